import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  CouponEventId,
  CouponEventIdSchema,
  MembershipEventId,
  MembershipEventIdSchema,
  PassEventIdSchema,
  SinkSubscriptionPayloadSchema,
} from "../../../gen/io/integrations_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../../test/support/events.ts";
import { golden } from "../../../test/support/golden.ts";
import { JSON_TYPE, PAYLOAD, PROTOBUF } from "../../../test/support/kafka-forms.ts";
import { passkit } from "../../formats/passkit.ts";
import { sampleEvent } from "../../formats/samples.ts";
import { readEvent } from "./read-event.ts";

const { CREATED, INSTALLED, UPDATED, UNINSTALLED, INVALIDATED, DELETED } = PassEventType;

function read(payload: object | string, headers: Readonly<Record<string, string>> = {}): PassEvent {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  return readEvent({ "content-type": `${JSON_TYPE};${PAYLOAD}`, ...headers }, Buffer.from(text));
}

/** What the payload was read as: type and protocol event. */
function happened(event: string, status: number, hint?: string) {
  const headers = hint === undefined ? {} : { "event-type": hint };
  const { type, protocolEvent } = read({ event, pass: { id: "p1", metadata: { status } } }, headers);
  return { type, ...(protocolEvent.case && { [protocolEvent.case]: protocolEvent.value }) };
}

describe("PassKit's samples (seed 003)", () => {
  test.each([
    ["created", CREATED],
    ["installed", INSTALLED],
    ["updated", UPDATED],
    // Its event is PASS_EVENT_RECORD_UPDATED, too: its status tells.
    ["uninstalled", UNINSTALLED],
  ])("%s", (name, type) => {
    const text = golden(`passkit/${name}.json`);
    const event = read(text);
    expect(event).toEqual(create(PassEventSchema, { type, pass: sampleEvent(type)?.pass }));
    expect(passkit.render(decodedEvent(event), plainOptions).body.toString()).toBe(text);
  });

  test("the explained one writes metaData", () => {
    const { pass } = read('{"event":"PASS_EVENT_RECORD_UPDATED","pass":{"id":"p1","metaData":{"status":2}}}');
    expect(pass?.metadata?.status).toBe(2);
  });
});

test("the parameter proto is found under any spelling that a content type may have", () => {
  const text = Buffer.from('{"event":"PASS_EVENT_INSTALLED","pass":{"id":"p1"}}');
  const named = 'Application/JSON; charset=utf-8; PROTO = "io.SinkSubscriptionPayload"';
  expect(readEvent({ "content-type": named }, text).type).toBe(INSTALLED);
});

describe("the event's name", () => {
  test.each([
    ["PASS_EVENT_RECORD_CREATED", 0, { type: CREATED }],
    ["PASS_EVENT_INSTALLED", 1, { type: INSTALLED }],
    ["PASS_EVENT_RECORD_UPDATED", 1, { type: UPDATED }],
    ["PASS_EVENT_RECORD_UPDATED", 2, { type: UNINSTALLED }],
    ["PASS_EVENT_RECORD_UPDATED", 3, { type: UPDATED }],
    ["PASS_EVENT_UNINSTALLED", 2, { type: UNINSTALLED }],
    ["PASS_EVENT_UNINSTALLED", 1, { type: UNINSTALLED }],
    ["PASS_EVENT_INVALIDATED", 3, { type: INVALIDATED }],
    ["PASS_EVENT_RECORD_DELETED", 2, { type: DELETED }],
    ["MEMBER_EVENT_ENROLLED", 0, { type: CREATED, membershipEvent: MembershipEventId.MEMBER_EVENT_ENROLLED }],
    ["MEMBER_EVENT_UPDATED", 2, { type: UPDATED, membershipEvent: MembershipEventId.MEMBER_EVENT_UPDATED }],
    ["COUPON_EVENT_CREATED", 0, { type: CREATED, couponEvent: CouponEventId.COUPON_EVENT_CREATED }],
    ["COUPON_EVENT_REDEEMED", 1, { type: UPDATED, couponEvent: CouponEventId.COUPON_EVENT_REDEEMED }],
    ["COUPON_EVENT_UPDATED", 1, { type: UPDATED, couponEvent: CouponEventId.COUPON_EVENT_UPDATED }],
    ["COUPON_EVENT_DELETED", 1, { type: DELETED, couponEvent: CouponEventId.COUPON_EVENT_DELETED }],
  ])("%s with status %i", (event, status, expected) => {
    expect(happened(event, status)).toEqual(expected);
  });

  test("every one that PassKit has is read, and its zero values are not", () => {
    for (const { values } of [PassEventIdSchema, MembershipEventIdSchema, CouponEventIdSchema]) {
      for (const { name, number } of values) {
        if (number === 0) expect(() => happened(name, 0)).toThrow("event: is no event of PassKit's");
        else expect(happened(name, 0).type).not.toBe(PassEventType.UNSPECIFIED);
      }
    }
  });
});

describe("the header event-type", () => {
  test.each([
    ["an update of an uninstalled pass", "PASS_EVENT_RECORD_UPDATED", 2, "pass.updated", { type: UPDATED }],
    [
      "a pass that is still on another device",
      "PASS_EVENT_RECORD_UPDATED",
      1,
      "pass.uninstalled",
      { type: UNINSTALLED },
    ],
    ["the enum's name", "PASS_EVENT_RECORD_UPDATED", 2, "PASS_EVENT_TYPE_UPDATED", { type: UPDATED }],
    ["what the payload says too", "PASS_EVENT_INSTALLED", 1, "pass.installed", { type: INSTALLED }],
    ["where the payload names none", "", 1, "pass.scanned", { type: PassEventType.SCANNED }],
    ["beside a protocol's event", "MEMBER_EVENT_UPDATED", 1, "pass.installed", { type: INSTALLED, membershipEvent: 2 }],
    ["empty", "PASS_EVENT_INSTALLED", 1, "", { type: INSTALLED }],
  ])("decides: %s", (_name, event, status, hint, expected) => {
    expect(happened(event, status, hint)).toEqual(expected);
  });

  test.each([
    ["another event", "PASS_EVENT_INSTALLED", "pass.deleted", /^type: the value says PASS_EVENT_TYPE_INSTALLED, /],
    [
      "what an update never is",
      "PASS_EVENT_RECORD_UPDATED",
      "pass.created",
      /^type: the value says PASS_EVENT_RECORD_/,
    ],
    ["none of ours", "PASS_EVENT_RECORD_UPDATED", "updated", /^event-type: is not one of pass.created, /],
  ])("is refused: %s", (_name, event, hint, message) => {
    const refusal = expect.objectContaining({ code: "event.invalid", message: expect.stringMatching(message) });
    expect(() => happened(event, 2, hint)).toThrow(refusal);
  });

  test("is refused where a CloudEvent says another type", () => {
    const ce = { ce_specversion: "1.0", ce_id: "e", ce_source: "/s", ce_type: "pass.updated" };
    const update = { event: "PASS_EVENT_RECORD_UPDATED", pass: { id: "p1" } };
    expect(() => read(update, { ...ce, "event-type": "pass.uninstalled" })).toThrow(/^type: the header says /);
  });

  test("means nothing to a PassEvent: other producers have their own", () => {
    const event = create(PassEventSchema, { type: CREATED });
    const headers = { "content-type": PROTOBUF, "event-type": "member.enrolled" };
    expect(readEvent(headers, toBinary(PassEventSchema, event)).type).toBe(CREATED);
  });
});

describe("Go's JSON", () => {
  const at = (issueAt: unknown) => ({ event: "PASS_EVENT_INSTALLED", pass: { id: "p1", metadata: { issueAt } } });

  test.each([
    ["without nanoseconds", { seconds: 5 }, { seconds: 5n, nanos: 0 }],
    ["the zero value", {}, { seconds: 0n, nanos: 0 }],
    ["before 1970", { seconds: -1, nanos: 999_999_999 }, { seconds: -1n, nanos: 999_999_999 }],
    ["as protojson has it", "1970-01-01T00:00:05Z", { seconds: 5n, nanos: 0 }],
  ])("a time %s", (_name, time, expected) => {
    expect(read(at(time)).pass?.metadata?.issueAt).toMatchObject(expected);
  });

  test.each([
    ["beyond the year 9999", { seconds: 253_402_300_800 }],
    ["with half a second", { seconds: 0.5 }],
    ["in text", { seconds: "5" }],
    ["with too many nanoseconds", { seconds: 5, nanos: 1_000_000_000 }],
    ["with nanoseconds below zero", { seconds: 5, nanos: -1 }],
    ["with more than a time has", { seconds: 5, zone: "UTC" }],
  ])("a time %s is refused by name", (_name, time) => {
    expect(() => read(at(time))).toThrow(/^pass\.metadata\.issueAt: must be \{"seconds", "nanos"\}/);
  });

  test.each([
    ["an unknown field", '{"event":"PASS_EVENT_INSTALLED","pass":{"id":"p1","colour":"red"}}', /colour/],
    ["a field in two spellings", '{"pass":{"metadata":{},"metaData":{}}}', /^pass\.metadata: stands twice/],
    ["a field twice", '{"event":"A","event":"B"}', /a key stands twice/],
    ["a list", "[]", /must be a JSON object/],
    ["no JSON", "{", /^the value is no JSON$/],
    ["no event", '{"pass":{"id":"p1"}}', /^event: is required/],
    ["an event of nobody's", '{"event":"PASS_EVENT_MELTED","pass":{"id":"p1"}}', /^event: is no event/],
  ])("%s is refused", (_name, text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});

test("the payload makes no event where its content type doesn't name it", () => {
  const payload = create(SinkSubscriptionPayloadSchema, { event: "PASS_EVENT_INSTALLED", pass: { id: "p1" } });
  const bytes = toBinary(SinkSubscriptionPayloadSchema, payload);
  // protobuf-es reads a field by its number, whatever its wire type: what comes of it has no pass, which every event has.
  expect(readEvent({ "content-type": PROTOBUF }, bytes).pass).toBeUndefined();
  expect(() => readEvent({ "content-type": JSON_TYPE }, Buffer.from('{"event":"X"}'))).toThrow(/"event"/);
});
