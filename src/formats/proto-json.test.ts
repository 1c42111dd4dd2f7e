import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { DeadLetterSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { EVENT_TYPES } from "../domain/event.ts";
import { protoJson, rfc3339 } from "./proto-json.ts";
import { sampleEvent } from "./samples.ts";

test("the built-in samples are written as protobuf-es writes them", () => {
  const samples = EVENT_TYPES.map((type) => sampleEvent(type)).filter((event) => event !== undefined);
  expect(samples).toHaveLength(EVENT_TYPES.length);
  for (const event of samples) {
    expect(protoJson(PassEventSchema, event)).toBe(JSON.stringify(toJson(PassEventSchema, event)));
  }
});

const text = fc.string({ unit: "binary", maxLength: 12 }).filter((value) => value.isWellFormed());
const time = fc
  .record({ seconds: fc.bigInt(-62_135_596_800n, 253_402_300_799n), nanos: fc.integer({ min: 0, max: 999_999_999 }) })
  .map((fields) => create(TimestampSchema, fields));
const number = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
);
const event = fc
  .record({
    id: text,
    type: fc.constantFrom(0, 1, 7, 99),
    occurredAt: fc.option(time, { nil: undefined }),
    pass: fc.record({
      id: text,
      protocol: fc.constantFrom(0, 100, 4_711),
      personDetails: fc.record({
        otherNames: fc.array(text, { maxLength: 3 }),
        externalIds: fc.dictionary(fc.integer({ min: -5, max: 5 }).map(String), text, { maxKeys: 3 }),
        dateOfBirth: fc.record({ year: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }),
      }),
      metadata: fc.record({
        lifecycleEvents: fc.array(fc.constantFrom(0, 1, 1_024, 3), { maxLength: 3 }),
        utm: fc.constant({}),
        renderLocation: fc.record({ latitude: number, longitude: number }),
      }),
      recordData: fc.dictionary(text, text, { maxKeys: 4 }),
    }),
    details: fc.record({
      nfc: fc.option(text, { nil: undefined }),
      content: fc.dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
      barcode: fc.record({ enabled: fc.boolean(), value: fc.option(text, { nil: undefined }) }),
    }),
    tokenGate: fc.record({ nfts: fc.array(fc.record({ tokenId: text }), { maxLength: 2 }) }),
    protocolEvent: fc.constantFrom(
      { case: undefined },
      { case: "membershipEvent" as const, value: 0 },
      { case: "couponEvent" as const, value: 2 },
    ),
  })
  // Read back from the wire, as events are: maps without prototypes, negative zero as it arrives.
  .map((fields) => fromBinary(PassEventSchema, toBinary(PassEventSchema, create(PassEventSchema, fields as never))));

test("any event is written as protobuf-es writes it", () => {
  fc.assert(
    fc.property(event, (message) => {
      expect(protoJson(PassEventSchema, message)).toBe(JSON.stringify(toJson(PassEventSchema, message)));
    }),
    { numRuns: 500 },
  );
});

test("64-bit numbers and bytes are strings", () => {
  const letter = create(DeadLetterSchema, {
    offset: 9_007_199_254_740_993n,
    partition: -3,
    value: Uint8Array.of(0, 255, 62),
    key: new Uint8Array(),
    truncated: true,
    appendedAt: timestampFromMs(1_500),
  });
  expect(protoJson(DeadLetterSchema, letter)).toBe(JSON.stringify(toJson(DeadLetterSchema, letter)));
  expect(protoJson(DeadLetterSchema, create(DeadLetterSchema))).toBe("{}");
});

test("a message type that has a form of its own in JSON, and none here, is refused rather than written wrong", () => {
  expect(() => protoJson(DurationSchema, create(DurationSchema))).toThrow("google.protobuf.Duration");
});

test("a time has as many digits as it needs", () => {
  const at = (nanos: number) => rfc3339(create(TimestampSchema, { seconds: 1n, nanos }));
  expect([at(0), at(500_000_000), at(1_000), at(7)]).toEqual([
    "1970-01-01T00:00:01Z",
    "1970-01-01T00:00:01.500Z",
    "1970-01-01T00:00:01.000001Z",
    "1970-01-01T00:00:01.000000007Z",
  ]);
});

test("a time that JSON cannot say is refused", () => {
  for (const seconds of [253_402_300_800n, -62_135_596_801n]) {
    const time = create(TimestampSchema, { seconds });
    expect(() => rfc3339(time)).toThrow(expect.objectContaining({ code: "format.failed" }));
  }
  const pass = create(PassSchema, { metadata: { issueAt: { seconds: 1n << 60n } } });
  expect(() => protoJson(PassSchema, pass)).toThrow("years 1 to 9999");
});
