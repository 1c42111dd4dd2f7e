import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SinkSubscriptionPayloadSchema } from "../../../gen/io/integrations_pb.js";
import { PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { anyEvent } from "../../../test/support/any-event.ts";
import { framed, PAYLOAD, PROTOBUF } from "../../../test/support/kafka-forms.ts";
import { isFramed, readIndexes } from "./confluent.ts";
import { readEvent } from "./read-event.ts";

const EVENT = toBinary(
  PassEventSchema,
  create(PassEventSchema, { id: "evt-1", type: PassEventType.CREATED, pass: { id: "p1" } }),
);

const indexesOf = (...bytes: number[]) => readIndexes({ schemaId: 7, rest: Uint8Array.from(bytes) });

describe("message indexes", () => {
  test.each([
    ["one zero byte for the first message", [0, 0x0a], [0], [0x0a]],
    ["written out", [2, 0, 0x0a], [0], [0x0a]],
    ["a message within a message", [4, 2, 0], [1, 0], []],
    ["one that takes two bytes", [2, 0xc8, 0x01, 0x0a], [100], [0x0a]],
  ])("%s", (_name, bytes, indexes, message) => {
    const read = indexesOf(...bytes);
    expect(read.indexes).toEqual(indexes);
    expect([...read.message]).toEqual(message);
  });

  test.each([
    ["nothing", []],
    ["fewer than counted", [4, 2]],
    ["a negative count", [1, 0]],
    ["a negative index", [2, 1]],
    ["more than any schema nests", [66, ...Array<number>(33).fill(0)]],
    ["a varint in more bytes than it takes", [0x82, 0x00, 0]],
    ["a varint of more than 32 bits", [0xff, 0xff, 0xff, 0xff, 0x10]],
    ["an index of more than 32 bits", [2, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ["a varint that does not end", [0x80]],
  ])("%s is refused", (_name, bytes) => {
    expect(() => indexesOf(...bytes)).toThrow("after schema id 7 of Confluent's framing stand no message indexes");
  });
});

test("no event is mistaken for a framed one", () => {
  fc.assert(
    fc.property(anyEvent, (event) => !isFramed(toBinary(PassEventSchema, event))),
    { numRuns: 50 },
  );
});

describe("a framed value", () => {
  const headers = { "content-type": PROTOBUF };

  test.each([
    ["that ends after the schema's id", Buffer.from([0, 0, 0, 1, 2]), /ends within Confluent's framing/],
    ["of another message of the schema", framed(EVENT, [2, 2]), /message \[1\] of schema id 258 is not passbus/],
    ["of a message within ours", framed(EVENT, [4, 0, 0]), /message \[0, 0\] of schema id 258/],
    ["that is Avro", framed(Buffer.from("\x12Patrick", "latin1")), /no message indexes|is not passbus/],
    ["that does not decode", framed(EVENT.subarray(0, 10), [0]), /^in Confluent's framing, schema id 258: /],
  ])("%s is refused", (_name, value, message) => {
    for (const given of [headers, {}]) {
      const refusal = expect.objectContaining({ code: "event.unreadable", message: expect.stringMatching(message) });
      expect(() => readEvent(given, value)).toThrow(refusal);
    }
  });

  test("is what its content type names, wherever that stands in its schema", () => {
    const payload = create(SinkSubscriptionPayloadSchema, { event: "PASS_EVENT_INSTALLED", pass: { id: "p1" } });
    const value = framed(toBinary(SinkSubscriptionPayloadSchema, payload), [4, 10, 2]);
    const event = readEvent({ "content-type": `${PROTOBUF};${PAYLOAD}` }, value);
    expect(event).toMatchObject({ type: PassEventType.INSTALLED, pass: { id: "p1" } });
    const named = { "content-type": `${PROTOBUF};proto=passbus.v1.PassEvent` };
    expect(readEvent(named, framed(EVENT, [2, 6])).id).toBe("evt-1");
  });
});
