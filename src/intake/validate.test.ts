import { create, fromBinary, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../kernel/limits.ts";
import { validateEvent } from "./validate.ts";

type Init = MessageInitShape<typeof PassEventSchema>;

function event(init: Init): PassEvent {
  const event = create(PassEventSchema, init);
  if (!("type" in init)) event.type = PassEventType.CREATED;
  if (!("pass" in init)) event.pass = create(PassSchema, { id: "p1" });
  return event;
}

function fields(init: Init): string[] {
  return validateEvent(event(init), "events[3]").map((violation) => violation.field);
}

/** A content that is `depth` objects deep. */
function nested(depth: number): { [key: string]: JsonValue } {
  return depth <= 1 ? {} : { a: nested(depth - 1) };
}

describe("validateEvent", () => {
  test("takes the least that an event must say", () => {
    expect(fields({})).toEqual([]);
  });

  test("takes an event with everything in it", () => {
    const full: Init = {
      id: "evt_1",
      occurredAt: { seconds: 1_700_000_000n, nanos: 1 },
      entityId: "class",
      pass: {
        id: "p",
        classId: "class",
        protocol: 100,
        personDetails: { gender: 1, externalIds: { 1: "x" } },
        metadata: { status: 2, lifecycleEvents: [2, 1024], renderLocation: { latitude: 1.5 } },
        recordData: { a: "b" },
      },
      details: { content: { list: [1, "two", null, { deep: true }] } },
      tokenGate: { registrations: [{ id: "r", createdAt: { seconds: 1n } }] },
      scan: { scannedAt: { seconds: 1n } },
      protocolEvent: { case: "membershipEvent", value: 1 },
    };
    expect(fields(full)).toEqual([]);
  });

  test("takes a pass of a proprietary protocol, which has a number and no name (seed 003)", () => {
    expect(fields({ pass: { id: "p", protocol: 1_000 as never } })).toEqual([]);
  });

  test.each<[string, Init]>([
    ["id", { id: "with blank" }],
    ["id", { id: "x".repeat(129) }],
    ["id", { id: "é" }],
    ["type", { type: PassEventType.UNSPECIFIED }],
    ["type", { type: 77 as PassEventType }],
    ["occurred_at", { occurredAt: { seconds: 253_402_300_800n } }],
    ["occurred_at", { occurredAt: { seconds: -62_135_596_801n } }],
    ["occurred_at", { occurredAt: { nanos: -1 } }],
    ["occurred_at", { occurredAt: { nanos: 1_000_000_000 } }],
    ["entity_id", { entityId: "a\nb" }],
    ["entity_id", { entityId: "a", pass: { id: "p", classId: "b" } }],
    ["pass", { pass: undefined as never }],
    ["pass.id", { pass: { id: "" } }],
    ["pass.id", { pass: { id: "x".repeat(129) } }],
    ["pass.id", { pass: { id: "\u0000" } }],
    ["pass.id", { pass: { id: "\ud800" } }],
    ["pass.classId", { pass: { id: "p", classId: "x".repeat(129) } }],
    ["pass.protocol", { pass: { id: "p", protocol: 4 as never } }],
    ["pass.metadata.status", { pass: { id: "p", metadata: { status: 1_000 as never } } }],
    ["pass.personDetails.gender", { pass: { id: "p", personDetails: { gender: 9 as never } } }],
    ["pass.metadata.status", { pass: { id: "p", metadata: { status: 4 as never } } }],
    ["pass.metadata.lifecycleEvents[1]", { pass: { id: "p", metadata: { lifecycleEvents: [2, 3 as never] } } }],
    ["pass.metadata.issueAt", { pass: { id: "p", metadata: { issueAt: { nanos: -5 } } } }],
    [
      "pass.metadata.renderLocation.longitude",
      { pass: { id: "p", metadata: { renderLocation: { longitude: Number.NaN } } } },
    ],
    ["details.content", { details: { content: { a: [{ b: Number.POSITIVE_INFINITY }] } } }],
    ["details.content", { details: { content: nested(LIMITS.contentDepth + 1) } }],
    ["details.content", { details: { content: { a: ["fine", "\ud800"] } } }],
    ["details.content", { details: { content: { a: { "\udc00": 1 } } } }],
    ["token_gate.registrations[1].deleted_at", { tokenGate: { registrations: [{}, { deletedAt: { nanos: -1 } }] } }],
    ["scan.scanned_at", { scan: { scannedAt: { nanos: -1 } } }],
    ["membership_event", { protocolEvent: { case: "membershipEvent", value: 9 as never } }],
    ["operational_event", { operationalEvent: {} }],
    ["coupon_event", { protocolEvent: { case: "couponEvent", value: 3 as never } }],
  ])("names %s (row %#)", (field, init) => {
    expect(fields(init)).toEqual([`events[3].${field}`]);
  });

  test("names everything that is wrong, and without a path by the field's own name", () => {
    const wrong = event({ id: " ", pass: { id: "", protocol: 5 as never } });
    expect(validateEvent(wrong, "").map((violation) => violation.field)).toEqual(["id", "pass.id", "pass.protocol"]);
  });

  test("names no more of a long list than an answer, or a dead letter, may", () => {
    const pass = create(PassSchema, { id: "p1", metadata: { installDeviceAttributes: Array(250_000).fill(99) } });
    expect(fields({ pass })).toHaveLength(LIMITS.namedViolations);
  });

  test("content that is as deep as it may be can be read back", () => {
    const deepest = event({ details: { content: nested(LIMITS.contentDepth) } });
    expect(validateEvent(deepest, "")).toEqual([]);
    expect(fromBinary(PassEventSchema, toBinary(PassEventSchema, deepest))).toEqual(deepest);
  });

  test("content of any depth is refused without a stack overflow", () => {
    const text = `{"details":{"content":{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}}}`;
    const deep = event({ details: JSON.parse(text).details });
    expect(validateEvent(deep, "").map((violation) => violation.field)).toEqual(["details.content"]);
  });

  test("unknown numbers of JSON are found too", () => {
    const read = fromJson(PassEventSchema, { type: 9, pass: { id: "p" } });
    expect(validateEvent(read, "")).toEqual([
      { field: "type", description: "is not a number of passbus.v1.PassEventType" },
    ]);
  });
});
