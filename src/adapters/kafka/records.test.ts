import type { KafkaMessage } from "kafkajs";
import { describe, expect, test } from "vitest";
import { logRecord, readHeaders } from "./records.ts";

describe("headers", () => {
  test("none are none", () => {
    expect(readHeaders(undefined)).toEqual({ headers: {} });
    expect(readHeaders({})).toEqual({ headers: {} });
  });

  test("text is text", () => {
    expect(readHeaders({ a: Buffer.from("1"), ü: Buffer.from("é") })).toEqual({ headers: { a: "1", ü: "é" } });
  });

  test("of a name that stands twice the first counts, and all are kept", () => {
    const [one, two] = [Buffer.from("1"), Buffer.from("2")];
    expect(readHeaders({ a: [one, two] })).toEqual({
      headers: { a: "1" },
      rawHeaders: [
        ["a", one],
        ["a", two],
      ],
    });
  });

  test("bytes that are no text are kept", () => {
    const bytes = Buffer.of(0xff, 0xfe);
    expect(readHeaders({ a: bytes }).rawHeaders).toEqual([["a", bytes]]);
  });

  test("what kafkajs makes of a header called as every object's property is mended", () => {
    const headers = { constructor: [Object as unknown as Buffer, Buffer.from("x")] };
    expect(readHeaders(headers)).toEqual({ headers: Object.fromEntries([["constructor", "x"]]) });
  });

  test("a header without a value is an empty one", () => {
    expect(readHeaders({ a: null as unknown as Buffer })).toEqual({ headers: { a: "" } });
  });
});

test("a message has its place and time as numbers", () => {
  const message: KafkaMessage = {
    key: null,
    value: Buffer.from("v"),
    timestamp: "1700000000123",
    attributes: 0,
    offset: "9007199254740991",
    headers: {},
  };
  expect(logRecord("t", 3, message)).toEqual({
    topic: "t",
    partition: 3,
    offset: Number.MAX_SAFE_INTEGER,
    appendedAtMs: 1_700_000_000_123,
    key: null,
    value: Buffer.from("v"),
    headers: {},
  });
});

test.each(["-1", "1700000000123456", "NaN"])(
  "a producer's timestamp %s that can't be one counts as now",
  (timestamp) => {
    const before = Date.now();
    const { appendedAtMs, claimedTime } = logRecord("t", 0, {
      key: null,
      value: null,
      timestamp,
      attributes: 0,
      offset: "0",
      headers: {},
    });
    // Ids are made of it, and must be the same whenever the record is read.
    expect(claimedTime).toBe(timestamp);
    expect(appendedAtMs).toBeGreaterThanOrEqual(before);
    expect(appendedAtMs).toBeLessThanOrEqual(Date.now());
  },
);
