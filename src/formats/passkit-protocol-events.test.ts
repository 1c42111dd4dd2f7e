import { describe, expect, test } from "vitest";
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import { type PassEvent, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import type { FieldMapping, FormatOptions, ProtocolEvents } from "../domain/subscription.ts";
import { type RenderOptions, renderOptions } from "./format.ts";
import { passkit } from "./passkit.ts";

const PLAIN: FormatOptions = { passkitUninstalledName: "documented", passkitMethod: ActionMethod.METHOD_NONE };

function rendered(type: PassEventType, protocolEvent: PassEvent["protocolEvent"], options: RenderOptions = PLAIN) {
  const decoded = sampleEvent("e", { type });
  decoded.event.protocolEvent = protocolEvent;
  const { method, body } = passkit.render(decoded, options);
  return [JSON.parse(body.toString("utf8")).event, method];
}

describe("a protocol event's name in PASSKIT", () => {
  test.each<[PassEvent["protocolEvent"], string, string]>([
    [{ case: "membershipEvent", value: 1 }, "MEMBER_EVENT_ENROLLED", "POST"],
    [{ case: "membershipEvent", value: 2 }, "MEMBER_EVENT_UPDATED", "PUT"],
    [{ case: "couponEvent", value: 1 }, "COUPON_EVENT_CREATED", "POST"],
    [{ case: "couponEvent", value: 2 }, "COUPON_EVENT_REDEEMED", "PUT"],
    [{ case: "couponEvent", value: 4 }, "COUPON_EVENT_UPDATED", "PUT"],
    [{ case: "couponEvent", value: 8 }, "COUPON_EVENT_DELETED", "DELETE"],
  ])("%j is %s by %s where the subscription names it, whatever the type", (protocolEvent, name, method) => {
    const all = { ...PLAIN, membershipEvents: [1, 2], couponEvents: [1, 2, 4, 8] };
    expect(rendered(PassEventType.INSTALLED, protocolEvent, all)).toEqual([name, method]);
    expect(rendered(PassEventType.SCANNED, protocolEvent, all)).toEqual([name, method]);
    const put = { ...all, passkitMethod: ActionMethod.METHOD_PUT };
    expect(rendered(PassEventType.INSTALLED, protocolEvent, put)).toEqual([name, "PUT"]);
  });

  test("it is the type's where the subscription doesn't name it", () => {
    const redeemed: PassEvent["protocolEvent"] = { case: "couponEvent", value: 2 };
    const others: ProtocolEvents = { membershipEvents: [2], couponEvents: [1] };
    expect(rendered(PassEventType.UPDATED, redeemed)).toEqual(["PASS_EVENT_RECORD_UPDATED", "PUT"]);
    expect(rendered(PassEventType.UPDATED, redeemed, { ...PLAIN, ...others })).toEqual([
      "PASS_EVENT_RECORD_UPDATED",
      "PUT",
    ]);
    const enrolled: PassEvent["protocolEvent"] = { case: "membershipEvent", value: 1 };
    expect(rendered(PassEventType.CREATED, enrolled, { ...PLAIN, ...others })).toEqual([
      "PASS_EVENT_RECORD_CREATED",
      "POST",
    ]);
  });

  test("subscriptions that render differently have different keys", () => {
    const mapping = {
      destinationFieldKey: "a",
      destinationFieldDataType: 0,
      isRequired: false,
      sourceFieldUniqueName: "b",
    };
    const options: RenderOptions[] = [
      PLAIN,
      { ...PLAIN, membershipEvents: [1] },
      { ...PLAIN, couponEvents: [1] },
      { ...PLAIN, couponEvents: [1, 2] },
      { ...PLAIN, passkitFieldMapping: mapping },
      { ...PLAIN, passkitFieldMapping: { ...mapping, isRequired: true } },
    ];
    expect(new Set(options.map((each) => passkit.renderKey(each))).size).toBe(options.length);
  });

  test("the options of a subscription have its protocol events", () => {
    const named = sampleSubscription({ format: "PASSKIT", couponEvents: [2] });
    expect(renderOptions(named)).toEqual({ ...named.formatOptions, membershipEvents: [], couponEvents: [2] });
    const plain = sampleSubscription();
    expect(renderOptions(plain)).toBe(plain.formatOptions);
  });
});

describe("a field's other name in PASSKIT", () => {
  const data = { "person.emailAddress": "a@b.example", other: "1" };
  const mapping = (over: Partial<FieldMapping> = {}): FieldMapping => ({
    destinationFieldKey: "mail",
    destinationFieldDataType: 0,
    isRequired: false,
    sourceFieldUniqueName: "person.emailAddress",
    ...over,
  });
  const recordData = (passkitFieldMapping: FieldMapping, record: Record<string, string> = data) => {
    const decoded = sampleEvent("e");
    if (decoded.event.pass) decoded.event.pass.recordData = record;
    const body = passkit.render(decoded, { ...PLAIN, passkitFieldMapping }).body.toString("utf8");
    return JSON.parse(body).pass.recordData;
  };

  test("stands in for the one it has in the pass", () => {
    expect(recordData(mapping())).toEqual({ mail: "a@b.example", other: "1" });
    expect(recordData(mapping({ destinationFieldKey: "other" }))).toEqual({ other: "a@b.example" });
    expect(recordData(mapping({ destinationFieldKey: "person.emailAddress" }))).toEqual(data);
  });

  test("is missing with it, unless it is required", () => {
    const missing = { sourceFieldUniqueName: "person.surname" };
    expect(recordData(mapping(missing))).toEqual(data);
    expect(recordData(mapping({ ...missing, isRequired: true }))).toEqual({ ...data, mail: "" });
    expect(recordData(mapping({ ...missing, isRequired: true, destinationFieldKey: "other" }))).toEqual(data);
  });

  test.each(["constructor", "__proto__", "toString"])("%s is a name like any", (name) => {
    expect(recordData(mapping({ sourceFieldUniqueName: name }))).toEqual(data);
    const required = recordData(mapping({ sourceFieldUniqueName: name, destinationFieldKey: name, isRequired: true }));
    expect(Object.entries(required)).toContainEqual([name, ""]);
    const renamed = recordData(mapping({ destinationFieldKey: name }));
    expect(Object.entries(renamed)).toContainEqual([name, "a@b.example"]);
  });
});
