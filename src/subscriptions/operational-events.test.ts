import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MembershipEventId } from "../../gen/io/integrations_pb.js";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { ListSubscriptionsRequestSchema } from "../../gen/passbus/v1/subscription_service_pb.js";
import { refusal, type SubscriptionInit, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import type { EventKind } from "../domain/event.ts";
import { subscriptionMessage } from "./message.ts";
import { sampleFor } from "./sample.ts";

describe("operational_events", () => {
  test.each([Format.STANDARD, Format.CLOUDEVENTS])("are kept and shown (format %i)", async (format) => {
    const { add, clock } = subscriptionsRoom();
    const operationalEvents = [Type.DELIVERY_FAILED, Type.SUBSCRIPTION_DISABLED];
    const { subscription } = await add({ operationalEvents, format });
    expect(subscription).toMatchObject({ operationalEvents, eventTypes: [] });
    expect(subscriptionMessage(subscription, clock.now()).operationalEvents).toEqual(operationalEvents);
  });

  test("are absent where there are none", async () => {
    const { add } = subscriptionsRoom();
    expect((await add()).subscription).not.toHaveProperty("operationalEvents");
  });

  test.each([Format.PASSKIT, Format.PASSENTRY, Format.ETHPASS])(
    "are refused by name where the format can't say them (%i)",
    async (format) => {
      const { add } = subscriptionsRoom();
      const error = await refusal(add({ operationalEvents: [Type.DELIVERY_FAILED], format }));
      expect(error.message).toBe(
        `subscription.operational_events: FORMAT_${Format[format]} can't say passbus's own events; use FORMAT_STANDARD or FORMAT_CLOUDEVENTS`,
      );
    },
  );

  test("are each one that there is, and stand once", async () => {
    const { add } = subscriptionsRoom();
    const operationalEvents = [Type.DELIVERY_FAILED, 99 as Type, Type.UNSPECIFIED, Type.DELIVERY_FAILED];
    const { violations } = await refusal(add({ operationalEvents }));
    expect(violations.map(({ field }) => field)).toEqual([
      "subscription.operational_events[1]",
      "subscription.operational_events[2]",
      "subscription.operational_events[3]",
    ]);
    expect(violations[0]?.description).toMatch(/^99 is not an operational event; use OPERATIONAL_EVENT_TYPE_SUB/);
  });

  test("are changed and taken away by an update", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add({ operationalEvents: [Type.DELIVERY_FAILED] })).subscription;
    const paths = ["operational_events"];
    expect(await change({ id, operationalEvents: [Type.FILTER_FAILED] }, paths)).toMatchObject({
      operationalEvents: [Type.FILTER_FAILED],
    });
    expect(await change({ id }, paths)).not.toHaveProperty("operationalEvents");
  });

  test("keep the format from becoming one that can't say them", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add({ operationalEvents: [Type.DELIVERY_FAILED] })).subscription;
    const error = await refusal(change({ id, format: Format.PASSKIT }, ["format"]));
    expect(error.violations.map(({ field }) => field)).toEqual(["subscription.operational_events"]);
  });
});

describe("a list", () => {
  async function stage() {
    const { add, service } = subscriptionsRoom();
    const make = async (name: string, init: SubscriptionInit) =>
      [(await add({ url: `https://${name}.example/`, ...init })).subscription.id, name] as const;
    const names = new Map([
      await make("passes", {}),
      await make("ops", { operationalEvents: [Type.DELIVERY_FAILED, Type.ENDPOINT_FAILING] }),
      await make("both", { operationalEvents: [Type.DELIVERY_FAILED], eventTypes: [PassEventType.CREATED] }),
    ]);
    return async (ask: MessageInitShape<typeof ListSubscriptionsRequestSchema>) => {
      const { items } = await service.list(tenant, create(ListSubscriptionsRequestSchema, ask));
      return items.map(({ id }) => names.get(id));
    };
  }

  test("is narrowed to those that name one", async () => {
    const list = await stage();
    expect(await list({ operationalEvent: Type.DELIVERY_FAILED })).toEqual(["both", "ops"]);
    expect(await list({ operationalEvent: Type.ENDPOINT_FAILING })).toEqual(["ops"]);
    expect(await list({ operationalEvent: Type.FILTER_FAILED })).toEqual([]);
  });

  test("by an event type leaves out those that get operational events alone", async () => {
    const list = await stage();
    expect(await list({ eventType: PassEventType.CREATED })).toEqual(["both", "passes"]);
  });

  test("refuses a number that is none", async () => {
    const list = await stage();
    const error = await refusal(list({ operationalEvent: 99 as Type }));
    expect(error.violations.map(({ field }) => field)).toEqual(["operational_event"]);
  });
});

describe("a filter", () => {
  test("is tried on the samples of those that are named, and on no pass's where no type is", async () => {
    const { add } = subscriptionsRoom();
    const operationalEvents = [Type.DELIVERY_FAILED];
    // Every sample of a pass's event would fail on it.
    const filter = `event.pass.recordData.size() == 0 || event.pass.recordData.nothing == "x"`;
    expect((await add({ operationalEvents, filter })).subscription.filter).toBe(filter);
    const both = { operationalEvents, eventTypes: [PassEventType.CREATED], url: "https://b.example/" };
    expect((await refusal(add({ ...both, filter }))).message).toContain("fails on the sample of CREATED");
    const broken = `event.type == "UNSPECIFIED" && event.pass.recordData.nothing == "x"`;
    expect((await refusal(add({ ...both, filter: broken }))).message).toContain("the sample of DELIVERY_FAILED");
  });
});

describe("the sample for a subscription", () => {
  const sample = async (init: SubscriptionInit, kind: Partial<EventKind> = {}) => {
    const { subscription } = await subscriptionsRoom().add(init);
    return sampleFor(subscription, kind, "the_field", "evt_1", 5);
  };

  test("is of the first operational event where it gets nothing else", async () => {
    const { stored, event } = await sample({ operationalEvents: [Type.FILTER_FAILED], entityId: "shop" });
    expect(stored).toMatchObject({ type: 0, operationalType: Type.FILTER_FAILED, passId: "", entityId: "shop" });
    expect(event).toMatchObject({
      id: "evt_1",
      organisationId: tenant.organisation,
      environment: tenant.environment,
      entityId: "shop",
      operationalEvent: { type: Type.FILTER_FAILED },
    });
  });

  test.each<[string, SubscriptionInit]>([
    ["types", { eventTypes: [PassEventType.CREATED] }],
    ["protocol events", { membershipEvents: [MembershipEventId.MEMBER_EVENT_ENROLLED] }],
  ])("is of a pass where it names %s too", async (_what, init) => {
    const { event } = await sample({ operationalEvents: [Type.FILTER_FAILED], ...init });
    expect(event.pass?.id).not.toBe("");
  });

  test("is of whichever is asked for, where the format can say it", async () => {
    const asked = { operationalType: Type.ENDPOINT_RECOVERED };
    expect((await sample({}, asked)).event.operationalEvent?.type).toBe(Type.ENDPOINT_RECOVERED);
    const passkit = await refusal(sample({ format: Format.PASSKIT }, asked));
    expect(passkit.violations.map(({ field }) => field)).toEqual(["the_field"]);
    const unknown = await refusal(sample({}, { operationalType: 99 as Type }));
    expect(unknown.violations.map(({ field }) => field)).toEqual(["the_field"]);
  });
});
