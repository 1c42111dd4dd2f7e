import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ActionMethod,
  ConfigurationType,
  CouponEventId,
  IntegrationStatus,
  MembershipEventId,
  PassEventId,
  SinkSubscriptionSchema,
} from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { sampleSubscription } from "../../test/support/samples.ts";
import { refusal } from "../../test/support/subscriptions.ts";
import type { Subscription } from "../domain/subscription.ts";
import { changeOf, draftOf, sinkOf } from "./passkit.ts";

type SinkInit = MessageInitShape<typeof SinkSubscriptionSchema>;

const CONFIGURATION = `{"targetUrl":"https://a.example/hook"}`;

/** What PassKit requires, and what the test cares about laid over it. */
function sink(over: SinkInit = {}) {
  return create(SinkSubscriptionSchema, {
    classId: "class-1",
    protocol: PassProtocol.MEMBERSHIP,
    passEventId: [PassEventId.PASS_EVENT_RECORD_CREATED],
    configuration: CONFIGURATION,
    ...over,
  });
}

const membershipEvents = (...ids: MembershipEventId[]): SinkInit => ({
  protocolEventId: { case: "membershipEvents", value: { ids } },
});
const couponEvents = (...ids: CouponEventId[]): SinkInit => ({
  protocolEventId: { case: "couponEvents", value: { ids } },
});

function passkit(over: Partial<Subscription> = {}): Subscription {
  return sampleSubscription({
    entityId: "class-1",
    format: "PASSKIT",
    url: "https://a.example/hook",
    protocol: PassProtocol.MEMBERSHIP,
    eventTypes: [PassEventType.CREATED],
    ...over,
  });
}

async function fieldsOf(work: () => unknown): Promise<readonly string[]> {
  const error = await refusal((async () => work())());
  return error.violations.map(({ field }) => field);
}

describe("a new SinkSubscription", () => {
  test.each<[number, PassEventType]>([
    [PassEventId.PASS_EVENT_RECORD_CREATED, PassEventType.CREATED],
    [PassEventId.PASS_EVENT_INSTALLED, PassEventType.INSTALLED],
    [PassEventId.PASS_EVENT_RECORD_UPDATED, PassEventType.UPDATED],
    [PassEventId.PASS_EVENT_UNINSTALLED, PassEventType.UNINSTALLED],
    [PassEventId.PASS_EVENT_INVALIDATED, PassEventType.INVALIDATED],
    [PassEventId.PASS_EVENT_RECORD_DELETED, PassEventType.DELETED],
  ])("the event %i is the type %i, and back", (id, type) => {
    expect(draftOf(sink({ passEventId: [id] })).eventTypes).toEqual([type]);
    expect(sinkOf(passkit({ eventTypes: [type] })).passEventId).toEqual([id]);
  });

  test("becomes a subscription of FORMAT_PASSKIT whose scope is the class", () => {
    const draft = draftOf(sink({ passEventId: [1, 2, 1], configType: ConfigurationType.WEBHOOK }));
    expect(draft).toMatchObject({
      entityId: "class-1",
      format: Format.PASSKIT,
      state: State.ENABLED,
      protocol: PassProtocol.MEMBERSHIP,
      url: "https://a.example/hook",
      eventTypes: [PassEventType.CREATED, PassEventType.INSTALLED],
      formatOptions: { passkitMethod: ActionMethod.METHOD_NONE },
    });
  });

  test.each<[IntegrationStatus, State]>([
    [IntegrationStatus.INTEGRATION_STATUS_NONE, State.ENABLED],
    [IntegrationStatus.INTEGRATION_ACTIVE, State.ENABLED],
    [IntegrationStatus.INTEGRATION_DISABLED, State.DISABLED],
  ])("the status %i is the state %i", (status, state) => {
    expect(draftOf(sink({ status })).state).toBe(state);
  });

  test("may name its protocol's events, with or without others", () => {
    const enrolled = membershipEvents(MembershipEventId.MEMBER_EVENT_ENROLLED);
    expect(draftOf(sink({ ...enrolled, passEventId: [] }))).toMatchObject({
      eventTypes: [],
      membershipEvents: [MembershipEventId.MEMBER_EVENT_ENROLLED],
      couponEvents: [],
    });
    const redeemed = couponEvents(CouponEventId.COUPON_EVENT_REDEEMED, CouponEventId.COUPON_EVENT_DELETED);
    expect(draftOf(sink({ ...redeemed, protocol: PassProtocol.SINGLE_USE_COUPON }))).toMatchObject({
      eventTypes: [PassEventType.CREATED],
      membershipEvents: [],
      couponEvents: [CouponEventId.COUPON_EVENT_REDEEMED, CouponEventId.COUPON_EVENT_DELETED],
    });
  });

  test.each<[string, SinkInit, readonly string[]]>([
    ["an id", { id: "sub_1" }, ["id"]],
    ["no class", { classId: "" }, ["classId"]],
    ["no protocol", { protocol: 0 }, ["protocol"]],
    ["a protocol that has no name", { protocol: 99 as never }, ["protocol"]],
    ["no event", { passEventId: [] }, ["passEventId"]],
    ["an empty choice of the protocol's events", { ...membershipEvents(), passEventId: [] }, ["passEventId"]],
    ["PASS_EVENT_NONE", { passEventId: [0] }, ["passEventId[0]"]],
    ["3, which is no value", { passEventId: [1, 3 as never] }, ["passEventId[1]"]],
    ["63, all bits at once", { passEventId: [63 as never] }, ["passEventId[0]"]],
    ["MEMBER_EVENT_NONE", membershipEvents(0), ["membershipEvents.ids[0]"]],
    [
      "a coupon event that has no name",
      { ...couponEvents(3 as never), protocol: PassProtocol.SINGLE_USE_COUPON },
      ["couponEvents.ids[0]"],
    ],
    ["coupon events of a membership", couponEvents(CouponEventId.COUPON_EVENT_CREATED), ["couponEvents"]],
    [
      "membership events of a coupon",
      { ...membershipEvents(1), protocol: PassProtocol.SINGLE_USE_COUPON },
      ["membershipEvents"],
    ],
    ["SUSPENDED", { status: IntegrationStatus.INTEGRATION_SUSPENDED }, ["status"]],
    ["a status that has no name", { status: 9 as never }, ["status"]],
    ["another kind of receiver", { configType: ConfigurationType.ZAPIER }, ["configType"]],
    ["a kind that has no name", { configType: 42 as never }, ["configType"]],
    ["no configuration", { configuration: "" }, ["configuration"]],
    [
      "a secret of the caller's own",
      { configuration: `{"targetUrl":"https://a.example/","signingSecret":"whsec_x"}` },
      ["configuration.signingSecret"],
    ],
    [
      "all at once",
      { classId: "", protocol: 0, passEventId: [], configuration: "{}" },
      ["classId", "protocol", "passEventId", "configuration.targetUrl"],
    ],
  ])("with %s is refused, by the field's name", async (_, over, fields) => {
    expect(await fieldsOf(() => draftOf(sink(over)))).toEqual(fields);
  });

  test("a refused number comes with those that would be right", () => {
    expect(() => draftOf(sink({ passEventId: [3 as never] }))).toThrow(
      /3 is not a value of io\.PassEventId; use PASS_EVENT_RECORD_CREATED \(1\)/,
    );
    expect(() => draftOf(sink({ configType: ConfigurationType.DB_MYSQL }))).toThrow("DB_MYSQL is no webhook");
  });
});

describe("a subscription as PassKit sees it", () => {
  test.each<[string, Partial<Subscription>, IntegrationStatus]>([
    ["enabled", {}, IntegrationStatus.INTEGRATION_ACTIVE],
    [
      "disabled by a person",
      { state: "disabled", disabledReason: "requested" },
      IntegrationStatus.INTEGRATION_DISABLED,
    ],
    ["gone", { state: "disabled", disabledReason: "gone" }, IntegrationStatus.INTEGRATION_SUSPENDED],
    ["failing", { state: "disabled", disabledReason: "failing" }, IntegrationStatus.INTEGRATION_SUSPENDED],
  ])("%s", (_, over, status) => {
    expect(sinkOf(passkit(over)).status).toBe(status);
  });

  test("one for all events names each of PassKit's", () => {
    expect(sinkOf(passkit({ eventTypes: [] })).passEventId).toEqual([1, 2, 4, 8, 16, 32]);
  });

  test("one for the protocol's events alone names no others", () => {
    const shown = sinkOf(passkit({ eventTypes: [], membershipEvents: [1, 2] }));
    expect(shown.passEventId).toEqual([]);
    expect(shown.protocolEventId).toMatchObject({ case: "membershipEvents", value: { ids: [1, 2] } });
  });

  test("the secret stands in the configuration only where it is given", () => {
    expect(sinkOf(passkit()).configuration).toBe(CONFIGURATION);
    expect(JSON.parse(sinkOf(passkit(), "whsec_x").configuration)).toMatchObject({ signingSecret: "whsec_x" });
  });

  test("another format than PASSKIT is refused with where to go", () => {
    expect(() => sinkOf(passkit({ format: "STANDARD" }))).toThrow(/FORMAT_STANDARD; use passbus\.v1/);
  });

  test("what is created comes back as it was asked for", () => {
    const ids = fc.uniqueArray(fc.constantFrom(1, 2, 4, 8, 16, 32), { minLength: 1 });
    const mapping = fc.option(
      fc.record({
        destinationFieldKey: fc.string({ minLength: 1 }),
        destinationFieldDataType: fc.constantFrom(0, 1, 13, 15, 19),
        isRequired: fc.boolean(),
        sourceFieldUniqueName: fc.string({ minLength: 1 }),
      }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(ids, fc.constantFrom(0, 1, 2, 3), mapping, (passEventId, actionMethod, fieldMapping) => {
        const config = { targetUrl: "https://a.example/?a=1&b=<2>", actionMethod, fieldMapping };
        const draft = draftOf(sink({ passEventId, configuration: JSON.stringify(config) }));
        const { passkitMethod = 0, passkitFieldMapping } = draft.formatOptions ?? {};
        const shown = sinkOf(
          passkit({
            url: draft.url,
            eventTypes: draft.eventTypes,
            formatOptions: {
              passkitUninstalledName: "documented",
              passkitMethod,
              ...(passkitFieldMapping === undefined ? {} : { passkitFieldMapping }),
            },
          }),
        );
        expect(shown.passEventId).toEqual(passEventId);
        const again = draftOf(sink({ passEventId, configuration: shown.configuration }));
        expect(again).toEqual(draft);
      }),
    );
  });
});

describe("an update", () => {
  const noSecret = () => {
    throw new Error("nobody asked for the secret");
  };

  test("what is written back as it was read changes nothing", () => {
    for (const over of [{}, { eventTypes: [] }, { eventTypes: [], membershipEvents: [1] }] as const) {
      for (const disabledReason of ["requested", "gone"] as const) {
        const current = passkit({ ...over, state: "disabled", disabledReason });
        const { change, paths } = changeOf(sinkOf(current, "whsec_x"), current, () => "whsec_x");
        expect(paths).toEqual(["url", "format_options.passkit_method", "format_options.passkit_field_mapping"]);
        expect(change).toMatchObject({ id: current.id, url: current.url });
      }
    }
  });

  test.each<[string, SinkInit, readonly string[], object]>([
    ["other events", { passEventId: [2] }, ["event_types"], { eventTypes: [PassEventType.INSTALLED] }],
    [
      "the protocol's events alone",
      { ...membershipEvents(2), passEventId: [] },
      ["event_types", "membership_events"],
      { eventTypes: [], membershipEvents: [2] },
    ],
    ["another protocol", { protocol: PassProtocol.EVENT_TICKETING }, ["protocol"], { protocol: 102 }],
    ["DISABLED", { status: IntegrationStatus.INTEGRATION_DISABLED }, ["state"], { state: State.DISABLED }],
    [
      "another URL and a method",
      { configuration: `{"targetUrl":"https://b.example/","actionMethod":"METHOD_PUT"}` },
      ["url", "format_options.passkit_method"],
      { url: "https://b.example/", formatOptions: { passkitMethod: ActionMethod.METHOD_PUT } },
    ],
  ])("%s", (_, over, paths, change) => {
    const result = changeOf(sink(over), passkit(), noSecret);
    expect(result.paths).toEqual(expect.arrayContaining([...paths]));
    expect(result.change).toMatchObject(change);
  });

  test("status 0 leaves it as it is, ACTIVE ends a suspension", () => {
    const suspended = passkit({ state: "disabled", disabledReason: "gone" });
    expect(changeOf(sink(), suspended, noSecret).paths).not.toContain("state");
    const active = changeOf(sink({ status: IntegrationStatus.INTEGRATION_ACTIVE }), suspended, noSecret);
    expect([active.paths.includes("state"), active.change.state]).toEqual([true, State.ENABLED]);
  });

  test.each<[string, SinkInit, readonly string[]]>([
    ["another class", { classId: "class-2" }, ["classId"]],
    ["no class", { classId: "" }, ["classId"]],
    ["no protocol", { protocol: 0 }, ["protocol"]],
    ["no event", { passEventId: [] }, ["passEventId"]],
    ["SUSPENDED", { status: IntegrationStatus.INTEGRATION_SUSPENDED }, ["status"]],
    ["no configuration", { configuration: " " }, ["configuration"]],
    ["another kind of receiver", { configType: ConfigurationType.BRAZE }, ["configType"]],
    [
      "another secret",
      { configuration: `{"targetUrl":"https://a.example/hook","signingSecret":"whsec_y"}` },
      ["configuration.signingSecret"],
    ],
  ])("to %s is refused", async (_, over, fields) => {
    expect(await fieldsOf(() => changeOf(sink(over), passkit(), () => "whsec_x"))).toEqual(fields);
  });

  test("the protocol can't leave its events behind", async () => {
    const current = passkit({ eventTypes: [], membershipEvents: [1] });
    const moved = { ...sinkOf(current), protocol: PassProtocol.SINGLE_USE_COUPON };
    expect(await fieldsOf(() => changeOf(moved, current, noSecret))).toEqual(["membershipEvents"]);
  });
});
