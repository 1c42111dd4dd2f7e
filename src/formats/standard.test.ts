import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { EVENT_TYPES } from "../domain/event.ts";
import { sampleEvent } from "./samples.ts";
import { standard } from "./standard.ts";

function render(event: Parameters<typeof decodedEvent>[0]) {
  return standard.render(decodedEvent(event), plainOptions);
}

describe("STANDARD", () => {
  it("is type, time and data, in that order, without what the event belongs to", () => {
    const { method, headers, body } = render({
      type: PassEventType.SCANNED,
      pass: { id: "p1", classId: "c1", protocol: 100, metadata: { status: 1, utm: {} } },
      scan: { id: "s1", type: "nfc", reader: { id: "r1" } },
      protocolEvent: { case: "membershipEvent", value: 1 },
    });
    expect(method).toBe("POST");
    expect(headers).toEqual({ "content-type": "application/json" });
    expect(body.toString()).toBe(
      '{"type":"pass.scanned","timestamp":"2020-12-22T13:41:58.743534Z","data":{"id":"evt_1",' +
        '"entityId":"c1","pass":{"id":"p1","classId":"c1","protocol":"MEMBERSHIP",' +
        '"metadata":{"status":"PASS_INSTALLED","utm":{}}},' +
        '"scan":{"id":"s1","type":"nfc","reader":{"id":"r1"}},' +
        '"membershipEvent":"MEMBER_EVENT_ENROLLED"}}',
    );
  });

  it("leaves the event as it was", () => {
    const event = decodedEvent({ type: PassEventType.CREATED, pass: { id: "p1" } });
    const before = structuredClone(event.event);
    standard.render(event, plainOptions);
    expect(event.event).toEqual(before);
  });

  it("can say every type", () => {
    expect(standard.types).toEqual(EVENT_TYPES);
    const names = EVENT_TYPES.map((type) => JSON.parse(render({ type }).body.toString()).type);
    expect(names).toEqual([
      "pass.created",
      "pass.installed",
      "pass.updated",
      "pass.uninstalled",
      "pass.invalidated",
      "pass.deleted",
      "pass.scanned",
    ]);
  });

  it("refuses what it can't say, and a time that RFC 3339 can't say", () => {
    expect(() => render({ type: PassEventType.UNSPECIFIED })).toThrow("cannot say UNSPECIFIED");
    const occurredAt = create(TimestampSchema, { seconds: 1n << 60n });
    expect(() => render({ type: PassEventType.CREATED, occurredAt })).toThrow(
      expect.objectContaining({ code: "format.failed" }),
    );
  });

  it("renders the same for every subscription", () => {
    expect(standard.renderKey({ passkitUninstalledName: "enum", passkitMethod: 1 })).toBe(
      standard.renderKey(plainOptions),
    );
  });
});

describe("the built-in samples", () => {
  it.each(EVENT_TYPES)("has one of type %s, complete but for whom it belongs to", (type) => {
    const sample = sampleEvent(type);
    expect(sample).toMatchObject({ type, id: "", organisationId: "", environment: "" });
    expect(sample?.pass?.id).not.toBe("");
    expect(sample?.occurredAt?.seconds).toBeGreaterThan(0n);
  });

  it("has none for what isn't a type", () => {
    expect(sampleEvent(PassEventType.UNSPECIFIED)).toBeUndefined();
  });
});
