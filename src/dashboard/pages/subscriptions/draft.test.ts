import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ActionMethod, DataType, MembershipEventId } from "../../../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../../../gen/io/pass_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { Format, SubscriptionSchema } from "../../../../gen/passbus/v1/subscription_pb.js";
import { refusalOf } from "../../parts/failure.tsx";
import {
  changedPaths,
  type Draft,
  draftOf,
  flawsOf,
  keptMessageOf,
  messageOf,
  NEW_DRAFT,
  parseSchedule,
  scheduleText,
} from "./draft.ts";

describe("a schedule as text", () => {
  it.each([
    ["", []],
    ["5s, 1m,2h  1d", [5_000, 60_000, 7_200_000, 86_400_000]],
    ["1.5s 250ms", [1_500, 250]],
    ["5", undefined],
    ["5s, soon", undefined],
    ["-5s", undefined],
  ])("reads %j", (text, durations) => {
    expect(parseSchedule(text)).toEqual(durations);
  });

  it("writes each wait in its largest whole unit, to be read again as it was", () => {
    const waits = [250, 1_500, 5_000, 60_000, 5_400_000, 7_200_000, 86_400_000];
    expect(scheduleText(waits)).toBe("250ms, 1500ms, 5s, 1m, 90m, 2h, 1d");
    expect(parseSchedule(scheduleText(waits))).toEqual(waits);
  });
});

describe("a subscription in a form", () => {
  const FULL: Draft = {
    ...NEW_DRAFT,
    url: "https://hooks.example.com/a",
    entityId: "shop-7",
    eventTypes: [PassEventType.CREATED, PassEventType.SCANNED],
    description: "tills",
    filter: "event.pass.id != ''",
    headers: [["x-tenant", "7"]],
    labels: [["team", "blue"]],
    ratePerSecond: "2.5",
    burst: "5",
    maxInFlight: "8",
    timeoutSeconds: "10",
    retrySchedule: "5s, 1m",
    conflate: true,
    protocol: PassProtocol.MEMBERSHIP,
  };
  const PASSKIT: Draft = {
    ...NEW_DRAFT,
    format: Format.PASSKIT,
    membershipEvents: [MembershipEventId.MEMBER_EVENT_ENROLLED],
    passkitMethod: ActionMethod.METHOD_PUT,
    mapping: { source: "meta.tier", destination: "tier", dataType: DataType.TEXT, isRequired: true },
  };

  it("comes back from the API's message as it went in", () => {
    expect(draftOf(create(SubscriptionSchema, messageOf(FULL)))).toEqual(FULL);
    expect(draftOf(create(SubscriptionSchema, messageOf(NEW_DRAFT)))).toEqual(NEW_DRAFT);
    expect(draftOf(create(SubscriptionSchema, messageOf(PASSKIT)))).toEqual(PASSKIT);
  });

  it("names the changed fields alone in an update's mask", () => {
    expect(changedPaths(FULL, FULL)).toEqual([]);
    const changed = { ...FULL, filter: "", timeoutSeconds: "", headers: [] };
    expect(changedPaths(FULL, changed)).toEqual(["filter", "headers", "policy.attempt_timeout"]);
  });

  it("takes events away that the new format can't say, and gives up a mapping whose names are gone", () => {
    const standard = { ...PASSKIT, format: Format.STANDARD };
    expect(messageOf(standard).membershipEvents).toEqual([]);
    expect(changedPaths(PASSKIT, standard)).toEqual(["format", "membership_events"]);
    const unmapped = { ...PASSKIT, mapping: { ...PASSKIT.mapping, source: " ", destination: "" } };
    expect(messageOf(unmapped).formatOptions).not.toHaveProperty("passkitFieldMapping");
    expect(changedPaths(PASSKIT, unmapped)).toEqual(["format_options.passkit_field_mapping"]);
  });

  it("leaves out what only another format knows", () => {
    const ethpass = messageOf({ ...FULL, format: Format.ETHPASS, ethpassAuthorization: "Bearer x" });
    expect(ethpass.eventTypes).toEqual([]);
    expect(ethpass.formatOptions).toEqual({ ethpassAuthorization: "Bearer x" });
    expect(messageOf({ ...FULL, ethpassAuthorization: "Bearer x" }).formatOptions).toEqual({});
  });

  it("sees by itself what can't be put into a message", () => {
    expect([...flawsOf(FULL).keys()]).toEqual([]);
    const wrong = { ...FULL, retrySchedule: "soon", maxInFlight: "-1", ratePerSecond: "x" };
    expect([...flawsOf(wrong).keys()]).toEqual([
      "subscription.policy.retry_schedule",
      "subscription.policy.rate_per_second",
      "subscription.policy.max_in_flight",
    ]);
  });

  it.each([
    ["0.5", false],
    ["2.5", false],
    ["0", false],
    ["8", true],
    ["", true],
  ])("takes %j for a number of requests: %j", (text, isTaken) => {
    for (const [field, name] of [
      ["burst", "burst"],
      ["maxInFlight", "max_in_flight"],
    ] as const) {
      expect(flawsOf({ ...FULL, [field]: text }).has(`subscription.policy.${name}`)).toBe(!isTaken);
    }
  });

  it("is not kept with a text that can't be read, and the refusal names the field", () => {
    const wrong = { ...FULL, retrySchedule: "5 s, 1 min" };
    expect(messageOf(wrong).policy?.retrySchedule).toEqual([]);
    try {
      keptMessageOf(wrong);
      expect.unreachable("kept with the default schedule");
    } catch (error) {
      const { fields, message } = refusalOf(error);
      expect([...fields.keys()]).toEqual(["subscription.policy.retry_schedule"]);
      expect(message).toContain("nothing was sent");
    }
    expect(keptMessageOf(FULL)).toEqual(messageOf(FULL));
  });
});
