import kafkajs from "kafkajs";
import { expect, test } from "vitest";
import { isUncertain, readFailure, unavailable } from "./failure.ts";

const tooLarge = () =>
  Object.assign(new kafkajs.KafkaJSProtocolError("The message is too large"), { type: "MESSAGE_TOO_LARGE", code: 10 });

test("a protocol error is found below what kafkajs wraps round it", () => {
  const wrapped = new Error("gave up", { cause: tooLarge() });
  const twice = new kafkajs.KafkaJSNumberOfRetriesExceeded(wrapped, { retryCount: 5, retryTime: 1 });
  expect(readFailure(twice)).toEqual({ code: "MESSAGE_TOO_LARGE", message: "The message is too large" });
});

test("the system's code says more than kafkajs' name for it", () => {
  const refused = new kafkajs.KafkaJSConnectionError("Connection error", { broker: "b:1", code: "ECONNREFUSED" });
  expect(readFailure(refused).code).toBe("ECONNREFUSED");
  expect(isUncertain(readFailure(refused))).toBe(false);
});

test("an answer that is lost with its connection leaves open what became of the records", () => {
  // kafkajs does not export it.
  const closed = Object.assign(new Error("Closed connection"), { name: "KafkaJSConnectionClosedError" });
  expect(readFailure(closed).code).toBe("KafkaJSConnectionClosedError");
  expect(isUncertain(readFailure(closed))).toBe(true);
});

test("of topics that could not be made the first says why", () => {
  const reason = Object.assign(new Error("Replication-factor is invalid"), { type: "INVALID_REPLICATION_FACTOR" });
  const together = Object.assign(new Error("Topic creation errors"), { errors: [reason] });
  expect(readFailure(together).code).toBe("INVALID_REPLICATION_FACTOR");
});

test("what is no error is said as it is", () => {
  expect(readFailure("no")).toEqual({ code: "unknown", message: "no" });
});

test("whoever called is told the innermost reason, with all of it as the cause", () => {
  const cause = new Error("gave up", { cause: tooLarge() });
  const error = unavailable("Kafka does not answer", cause);
  expect([error.code, error.cause]).toEqual(["log.unavailable", cause]);
  expect(error.message).toContain("MESSAGE_TOO_LARGE");
});
