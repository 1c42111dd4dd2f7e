import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PassEvent, PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { anyEvent } from "../../../test/support/any-event.ts";
import { type FormedRecord, KAFKA_FORMS } from "../../../test/support/kafka-forms.ts";
import { sampleEvent } from "../../formats/samples.ts";
import { canonicalBytes, completeEvent } from "../canonical.ts";
import { CANONICAL_CONTENT_TYPE } from "../content-type.ts";
import { recordDecoder } from "../decode.ts";
import { validateEvent } from "../validate.ts";

const tenant = { organisation: "acme", environment: "production" };
const decode = recordDecoder({ fallback: () => tenant, allows: () => true });

function decoded({ headers, value }: FormedRecord) {
  const place = { topic: "pass.events", partition: 0, offset: 7, appendedAtMs: 1_700_000_000_000, key: null };
  const result = decode({ ...place, headers, value });
  if (result.kind === "dead") throw new Error(`${result.letter.reason}: ${result.letter.message}`);
  return result.event;
}

/** What the API would have appended. */
function published(event: PassEvent): FormedRecord {
  const copy = fromJsonString(PassEventSchema, toJsonString(PassEventSchema, event));
  completeEvent(copy, tenant, copy.id);
  return { headers: { "content-type": CANONICAL_CONTENT_TYPE }, value: canonicalBytes(copy) };
}

const SAYING_ALL = KAFKA_FORMS.filter(({ saysPassAlone }) => saysPassAlone !== true);

/** Seed 003's installed pass, with no more than PassKit's payload says. */
function passAlone(): PassEvent {
  const { type, pass } = sampleEvent(PassEventType.INSTALLED) ?? {};
  return create(PassEventSchema, { id: "evt-1", ...(type !== undefined && { type }), ...(pass && { pass }) });
}

describe("one event in every form is one content", () => {
  test.each(KAFKA_FORMS.map((form) => [form.name, form] as const))("%s: a pass alone", (_name, { record }) => {
    const expected = decoded(published(passAlone()));
    const { stored, event } = decoded(record(passAlone()));
    expect(event).toEqual(expected.event);
    expect(stored).toEqual(expected.stored);
  });

  test.each(SAYING_ALL.map((form) => [form.name, form] as const))("%s: all that an event says", (_name, { record }) => {
    const scanned = sampleEvent(PassEventType.SCANNED);
    if (scanned === undefined) throw new Error("no sample");
    const given = { ...scanned, id: "evt-2", organisationId: "acme", environment: "production" };
    expect(given.occurredAt).toBeDefined();
    const { stored, event } = decoded(record(given));
    expect(event).toEqual(decoded(published(given)).event);
    expect(stored).toEqual(decoded(published(given)).stored);
  });

  test.each(["", " ", "\n\t\r\n "])("JSON without a content type, behind %j", (blanks) => {
    const json = toJsonString(PassEventSchema, passAlone());
    const { event } = decoded({ headers: {}, value: Buffer.from(`${blanks}${json}\n`) });
    expect(event).toEqual(decoded(published(passAlone())).event);
  });

  test("protobuf without a content type, although it begins like a line break and a brace", () => {
    const id = "i".repeat("{".charCodeAt(0));
    const { value } = published(create(PassEventSchema, { ...passAlone(), id }));
    expect([...value.subarray(0, 2)]).toEqual([0x0a, 0x7b]);
    expect(decoded({ headers: {}, value }).event.id).toBe(id);
  });

  test("whatever the event", () => {
    fc.assert(
      fc.property(anyEvent, (any) => {
        if (any.pass !== undefined) any.pass.classId = "class";
        fc.pre(validateEvent(any, "").length === 0);
        const text = toJsonString(PassEventSchema, { ...any, organisationId: "acme" });
        const given = () => fromJsonString(PassEventSchema, text);
        const { stored } = decoded(published(given()));
        for (const { name, record } of SAYING_ALL) {
          expect(decoded(record(given())).stored, name).toEqual(stored);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("whatever a record holds, it becomes an event that keeps the rules, or a dead letter that says why not", () => {
  const hold = ({ headers, value }: FormedRecord) => {
    const place = { topic: "pass.events", partition: 0, offset: 7, appendedAtMs: 1_700_000_000_000, key: null };
    const result = decode({ ...place, headers, value });
    if (result.kind === "dead") expect(result.letter.message).not.toBe("");
    else expect(validateEvent(result.event.event, "")).toEqual([]);
  };
  const header = fc.oneof(
    fc.constantFrom(...["1.0", "pass.installed", "application/json", "application/cloudevents+json", ""]),
    fc.constantFrom(...["application/x-protobuf; proto=io.SinkSubscriptionPayload", "urn:passbus:acme:production"]),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const name = fc.constantFrom(
    ...["content-type", "event-type", "event-id", "entity-id", "organisation-id", "environment"],
    ...["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
  );
  const headers = fc.dictionary(name, header, { noNullPrototype: true });

  test("any bytes under any headers", () => {
    const start = fc.constantFrom([], [0], [0, 0, 0, 0, 1, 0], [0x7b]);
    const bytes = fc
      .tuple(start, fc.uint8Array({ maxLength: 60 }))
      .map(([first, rest]) => Uint8Array.from([...first, ...rest]));
    fc.assert(
      fc.property(headers, bytes, (given, value) => hold({ headers: given, value })),
      { numRuns: 1_000 },
    );
  });

  test("any JSON under any headers", () => {
    const member = fc.constantFrom(
      "specversion",
      "id",
      "source",
      "type",
      "time",
      "data",
      "data_base64",
      "event",
      "pass",
    );
    const json = fc.dictionary(member, fc.oneof(header, fc.jsonValue({ maxDepth: 3 })), { noNullPrototype: true });
    fc.assert(
      fc.property(headers, json, (given, value) => {
        hold({ headers: given, value: Buffer.from(JSON.stringify(value)) });
      }),
      { numRuns: 1_000 },
    );
  });

  test("any form with one byte changed and one header replaced", () => {
    const given = fc.record({
      form: fc.constantFrom(...KAFKA_FORMS),
      at: fc.nat(),
      byte: fc.nat(255),
      headers: fc.option(fc.tuple(name, header)),
    });
    fc.assert(
      fc.property(given, ({ form, at, byte, headers: replaced }) => {
        const { headers: right, value } = form.record(passAlone());
        const changed = Uint8Array.from(value);
        changed[at % changed.length] = byte;
        hold({ headers: replaced === null ? right : { ...right, [replaced[0]]: replaced[1] }, value: changed });
      }),
      { numRuns: 1_000 },
    );
  });
});

test("an event of a form without an id gets the record's own, the same each time", () => {
  const payload = KAFKA_FORMS.find(({ name }) => name === "PassKit's payload, JSON")?.record(passAlone());
  if (payload === undefined) throw new Error("no such form");
  const { "event-id": _, ...headers } = payload.headers;
  const [first, again] = [decoded({ ...payload, headers }), decoded({ ...payload, headers })];
  expect(first.stored.id).toMatch(/^evt_[\w-]{22}$/);
  expect(again.stored).toEqual(first.stored);
});

test("occurred_at is the CloudEvent's time, to the nanosecond", () => {
  const given = { ...passAlone(), occurredAt: { ...timestampFromMs(1_608_644_518_000), nanos: 743_534_001 } };
  for (const { name, record } of SAYING_ALL) {
    expect(decoded(record(given)).event.occurredAt, name).toMatchObject({
      seconds: 1_608_644_518n,
      nanos: 743_534_001,
    });
  }
});
