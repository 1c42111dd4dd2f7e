import { createHmac } from "node:crypto";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { OperationalEventSchema } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../kernel/limits.ts";
import { canonicalBytes, completeEvent } from "./canonical.ts";
import { CANONICAL_CONTENT_TYPE } from "./content-type.ts";
import { type Decoded, recordDecoder } from "./decode.ts";
import type { LogRecord } from "./event-log.ts";
import type { TenantRule } from "./tenants.ts";

const fallback = { organisation: "boot", environment: "production" };
const tenants: TenantRule = {
  fallback: () => fallback,
  allows: (_topic, { organisation }) => organisation !== "forbidden",
};
const decode = recordDecoder(tenants);
const JSON_TYPE = { "content-type": "application/json" };

function event(): PassEvent {
  return create(PassEventSchema, {
    id: "evt_1",
    type: PassEventType.CREATED,
    pass: { id: "p1", classId: "c1", recordData: { b: "2", a: "1" } },
  });
}

function record(value: Uint8Array | null, headers: Record<string, string> = {}): LogRecord {
  const key = Buffer.from("p1");
  return { topic: "pass.events", partition: 2, offset: 40, appendedAtMs: 1_700_000_000_123, key, value, headers };
}

function bytesOf(message: PassEvent): Uint8Array {
  return toBinary(PassEventSchema, message);
}

function jsonOf(message: PassEvent): Uint8Array {
  return Buffer.from(toJsonString(PassEventSchema, message));
}

/** A list of small numbers: two bytes each in JSON, eleven in protobuf. */
function jsonOfContent(numbers: string): Uint8Array {
  const content = `{"a":[${numbers.slice(0, -1)}]}`;
  return Buffer.from(`{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"},"details":{"content":${content}}}`);
}

function decoded(result: Decoded) {
  if (result.kind !== "event") throw new Error(`dead: ${result.letter.reason} ${result.letter.message}`);
  return result.event;
}

function reason(result: Decoded): string {
  return result.kind === "dead" ? `${result.letter.reason}: ${result.letter.message}` : "event";
}

describe("a record that is an event", () => {
  test.each([
    ["protobuf by its header", bytesOf(event()), { "content-type": "application/x-protobuf" }],
    ["protobuf by its other name", bytesOf(event()), { "content-type": "application/protobuf; version=2" }],
    ["protobuf without a header", bytesOf(event()), {}],
    ["JSON by its header", jsonOf(event()), JSON_TYPE],
    ["JSON without a header", jsonOf(event()), {}],
  ])("%s", (_name, value, headers) => {
    const { stored } = decoded(decode(record(value, headers)));
    expect(stored).toMatchObject({ tenant: fallback, id: "evt_1", passId: "p1", entityId: "c1" });
    const first = decoded(decode(record(bytesOf(event()))));
    expect(stored.contentHash).toBe(first.stored.contentHash);
  });

  test("what the API appended is kept as it is", () => {
    const message = event();
    completeEvent(message, fallback, "evt_1");
    const value = canonicalBytes(message);
    const ce = { ce_specversion: "1.0", ce_id: "evt_1", ce_source: "/s", ce_type: "pass.deleted" };
    const { stored } = decoded(decode(record(value, { "content-type": CANONICAL_CONTENT_TYPE, ...ce })));
    expect(stored.type).toBe(PassEventType.CREATED);
    expect(stored.value).toBe(value);
    expect(stored.contentHash).toBe(decoded(decode(record(jsonOf(event())))).stored.contentHash);
  });

  test("occurred_at is the log's time where the producer gave none, and does not change the content", () => {
    const result = decoded(decode(record(bytesOf(event()))));
    expect(result.event.occurredAt).toMatchObject({ seconds: 1_700_000_000n, nanos: 123_000_000 });
    const later = decoded(decode({ ...record(bytesOf(event())), appendedAtMs: 1_800_000_000_000 }));
    expect(later.stored.contentHash).toBe(result.stored.contentHash);
  });

  test.each([
    ["protobuf", bytesOf, {}],
    ["JSON", jsonOf, JSON_TYPE],
    ["our own form, in a log that others write to", bytesOf, { "content-type": CANONICAL_CONTENT_TYPE }],
  ] as const)("what only passbus may say is refused by name: %s", (_form, write, headers) => {
    const forged = event();
    forged.operationalEvent = create(OperationalEventSchema, { message: "all is well" });
    expect(decode(record(write(forged), headers))).toMatchObject({
      kind: "dead",
      letter: { reason: "event.invalid", message: "operational_event: is set by passbus alone; leave it out" },
    });
  });

  test("headers win over what the value leaves empty", () => {
    const message = create(PassEventSchema, { type: PassEventType.CREATED, pass: { id: "p1" } });
    const headers = { "organisation-id": "acme", environment: "staging", "entity-id": "shop", "event-id": "mine" };
    expect(decoded(decode(record(bytesOf(message), headers))).stored).toMatchObject({
      tenant: { organisation: "acme", environment: "staging" },
      entityId: "shop",
      id: "mine",
    });
  });

  test("without an id it gets one from the record, the same each time, another at another place", () => {
    const message = { ...event(), id: "" };
    const id = (over: Partial<LogRecord>) => decoded(decode({ ...record(bytesOf(message)), ...over })).stored.id;
    expect(id({})).toMatch(/^evt_[\w-]{22}$/);
    expect(id({})).toBe(id({}));
    const others = [
      id({ offset: 41 }),
      id({ partition: 3 }),
      id({ topic: "t" }),
      id({ appendedAtMs: 1 }),
      id({ key: null }),
    ];
    expect(new Set([id({}), ...others]).size).toBe(6);
  });

  test("where content is hashed with a key, that id is too: who reads it can check no guess at what is in the record", () => {
    const idUnder = (key: string) => {
      const contentHash = (value: Uint8Array) => createHmac("sha256", key).update(value).digest("base64url");
      const ofKey = recordDecoder(tenants, { contentHash });
      return decoded(ofKey(record(bytesOf({ ...event(), id: "" })))).stored.id;
    };
    expect(idUnder("one")).toBe(idUnder("one"));
    expect(idUnder("one")).not.toBe(idUnder("other"));
  });
});

test("an event without an id has the same one whenever its record is read, also where its time had to be mended", () => {
  const value = bytesOf({ ...event(), id: "" });
  const read = (appendedAtMs: number) =>
    decoded(decode({ ...record(value), appendedAtMs, claimedTime: "-1" })).stored.id;
  expect(read(1_700_000_000_000)).toBe(read(1_800_000_000_000));
});

describe("a record that is dead", () => {
  test("the mark of our own records is believed in our own log alone", () => {
    const value = bytesOf({ ...event(), type: 99 as PassEventType });
    const marked = record(value, { "content-type": CANONICAL_CONTENT_TYPE });
    expect(reason(decode(marked))).toMatch(/^event\.invalid: type/);
    const ownLog = recordDecoder({ fallback: () => fallback, allows: () => true }, { isOwnLog: true });
    expect(reason(ownLog(marked))).toBe("event");
    expect(reason(ownLog(record(value)))).toMatch(/^event\.invalid: type/);
  });

  const protobuf = { "content-type": "application/x-protobuf" };
  test.each([
    ["a tombstone", null, {}, "event.empty"],
    ["an empty value", new Uint8Array(), {}, "event.empty"],
    ["garbage", Buffer.from("\xff\xfe\xfd", "latin1"), protobuf, "event.unreadable"],
    ["a truncated message", bytesOf(event()).subarray(0, 20), protobuf, "event.unreadable"],
    ["broken JSON", Buffer.from('{"id": "x"'), JSON_TYPE, "event.unreadable: the value is no JSON"],
    [
      "JSON with an unknown field",
      Buffer.from('{"nonsense": 1}'),
      JSON_TYPE,
      "event.unreadable: a key in passbus.v1.PassEvent is none",
    ],
    ["invalid UTF-8 in JSON", Buffer.from('{"id": "\xff"}', "latin1"), JSON_TYPE, "event.unreadable"],
    ["an unknown content type", bytesOf(event()), { "content-type": "text/csv" }, "event.unreadable"],
    [
      "another message of PassKit's",
      bytesOf(event()),
      { "content-type": "application/protobuf; proto=io.Pass" },
      "event.unreadable: content-type: the parameter proto names no message that passbus reads",
    ],
    [
      "a CloudEvent of a type that is none of ours",
      jsonOf(event()),
      { ...JSON_TYPE, ce_specversion: "1.0", ce_id: "evt_1", ce_source: "/s", ce_type: "order.paid" },
      "event.invalid: type: is not one of pass.created",
    ],
    [
      "a CloudEvent whose source and data name different tenants",
      jsonOf({ ...event(), organisationId: "a" }),
      { ...JSON_TYPE, ce_specversion: "1.0", ce_id: "evt_1", ce_source: "urn:passbus:b:p", ce_type: "pass.created" },
      "tenant.forbidden: the CloudEvent's source",
    ],
    ["too large a value", new Uint8Array(LIMITS.eventBytes + 1), {}, "limit.event_bytes"],
    ["an event that is too large as protobuf", jsonOfContent("1,".repeat(60_000)), JSON_TYPE, "limit.event_bytes"],
    [
      "another tenant in header and value",
      bytesOf({ ...event(), organisationId: "a" }),
      { "organisation-id": "b" },
      "tenant.forbidden",
    ],
    [
      "a tenant that the topic may not speak for",
      bytesOf(event()),
      { "organisation-id": "forbidden" },
      "tenant.forbidden",
    ],
    ["an id that differs from its header", bytesOf(event()), { "event-id": "evt_2" }, "event.invalid: id"],
    ["an id in the header that is none", bytesOf({ ...event(), id: "" }), { "event-id": "a b" }, "event.invalid: id"],
    ["no pass", bytesOf(create(PassEventSchema, { type: PassEventType.CREATED })), {}, "event.invalid: pass"],
    ["an unknown type", bytesOf({ ...event(), type: 99 as PassEventType }), {}, "event.invalid: type"],
  ])("%s", (_name, value, headers, expected) => {
    expect(reason(decode(record(value, headers)))).toMatch(new RegExp(`^${expected.replaceAll(".", "\\.")}`));
  });

  const passKit = { "content-type": "application/json; proto=io.SinkSubscriptionPayload" };
  const cloudEvent = { "content-type": "application/cloudevents+json" };
  const attributes = '"specversion":"1.0","id":"e","source":"/s","type":"pass.created"';
  test.each([
    ['{"pass":{"protocol":"MARY"}}', JSON_TYPE, "a value of io.PassProtocol is none of its names or numbers"],
    ['{"type":"MARY"}', JSON_TYPE, "a value of passbus.v1.PassEventType is none of its names or numbers"],
    ['{"MARY":1}', JSON_TYPE, "a key in passbus.v1.PassEvent is none of its fields"],
    ['{"pass":{"MARY":1}}', JSON_TYPE, "a key in io.Pass is none of its fields"],
    ['{"MARY":1,"MARY":1}', JSON_TYPE, "a key stands twice in one object of the JSON"],
    ['{"pass":{"recordData":{"MARY":1}}}', JSON_TYPE, "io.Pass.recordData does not decode"],
    ['{"pass":{"recordData":"MARY"}}', JSON_TYPE, "io.Pass.recordData does not decode"],
    ['{"pass":{"personDetails":{"surname":["MARY"]}}}', JSON_TYPE, ".surname does not decode"],
    ['{"occurredAt":"MARY"}', JSON_TYPE, "what stands for google.protobuf.Timestamp is none"],
    ['{"pass":"MARY"}', JSON_TYPE, "what stands for io.Pass is none"],
    ["MARY is none", JSON_TYPE, "the value is no JSON"],
    ["{}", { "content-type": "text/MARY" }, "content-type: is not one that passbus reads"],
    ["{}", { "content-type": "application/json; proto=MARY" }, "content-type: the parameter proto names no message"],
    ['{"event":"MARY"}', passKit, "event: is no event of PassKit's"],
    ['{"event":"","MARY":1}', passKit, "a key in io.SinkSubscriptionPayload is none of its fields"],
    ['{"MARY":1', passKit, "the value is no JSON"],
    ['{"event":""}', { ...passKit, "event-type": "MARY" }, "event-type: is not one of"],
    ["{}", { "content-type": "application/cloudevents+MARY" }, "content-type: passbus reads one CloudEvent"],
    ['{"specversion":"MARY"}', cloudEvent, "specversion: passbus reads 1.0"],
    [`{${attributes.replace("pass.created", "MARY")},"data":{}}`, cloudEvent, "type: is not one of"],
    [`{${attributes},"data":{"type":"MARY"}}`, cloudEvent, "a value of passbus.v1.PassEventType is none"],
    [`{${attributes},"time":"MARY","data":{}}`, cloudEvent, "time: is no time of RFC 3339"],
    [`{${attributes},"datacontenttype":"text/MARY","data":{}}`, cloudEvent, "content-type: is not one"],
    [`\0\0\0\0\x01{"type":"MARY"}`, JSON_TYPE, "a value of passbus.v1.PassEventType is none"],
    ["MARY", { "organisation-id": "MARY@" }, "the value does not decode"],
    ['{"type":1234567}', JSON_TYPE, "type: is not a number of passbus.v1.PassEventType"],
    ['{"organisationId":"MARY@"}', JSON_TYPE, "organisation_id: must be 1 to 64"],
  ])("and nothing of the record is said again: %s, %o", (value, headers, expected) => {
    const said = reason(decode(record(Buffer.from(value), headers as Readonly<Record<string, string>>)));
    expect(said).toContain(expected);
    expect(said.toLowerCase()).not.toMatch(/mary|1234567/);
  });

  test("nor where a topic may not speak for whom the record names", () => {
    const said = reason(decode(record(bytesOf(event()), { "organisation-id": "forbidden" })));
    expect(said).toBe("tenant.forbidden: topic pass.events may not speak for the tenant that the record names");
  });
});
