import { describe, expect, test } from "vitest";
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import { operationalEvent } from "../delivery/operational-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { dispositionOf, SubscriptionIndex } from "./subscription-index.ts";

const LOGGED = 1_700_000_000_000;

async function matched(event: DecodedEvent, ...subscriptions: Partial<Subscription>[]): Promise<string[]> {
  const feed = new MemoryStore();
  for (const over of subscriptions) feed.put(sampleSubscription(over));
  const index = new SubscriptionIndex({ feed, typesOf: (format) => formatOf(format).types, skewMs: 1_000 });
  const view = await index.refresh([event.stored.tenant]);
  return view.match(event).map((match) => match.subscription.id);
}

describe("who gets an event", () => {
  // The scopes of seed 000, and seed 003's "project level".
  test("an organisation's subscription gets every entity's events, an entity's its own", async () => {
    const subscriptions = [{ id: "all" }, { id: "mine", entityId: "class-1" }, { id: "other", entityId: "class-2" }];
    expect(await matched(sampleEvent("e"), ...subscriptions)).toEqual(["all", "mine"]);
  });

  // "A list of events you want to subscribe to" (seed 000), "only … data that you are 'subscribed' too" (seed 003).
  test("types are those named, or all that the format can say", async () => {
    const scanned = sampleEvent("e", { type: PassEventType.SCANNED });
    const subscriptions: Partial<Subscription>[] = [
      { id: "standard" },
      { id: "passkit", format: "PASSKIT" },
      { id: "named", eventTypes: [PassEventType.SCANNED] },
      { id: "others", eventTypes: [PassEventType.CREATED] },
    ];
    expect(await matched(scanned, ...subscriptions)).toEqual(["standard", "named"]);
    expect(await matched(sampleEvent("e"), ...subscriptions)).toEqual(["standard", "passkit"]);
  });

  test("a protocol lets only its passes through", async () => {
    const event = sampleEvent("e");
    if (event.event.pass) event.event.pass.protocol = PassProtocol.MEMBERSHIP;
    const subscriptions = [
      { id: "any" },
      { id: "members", protocol: PassProtocol.MEMBERSHIP },
      { id: "coupons", protocol: PassProtocol.SINGLE_USE_COUPON },
    ];
    expect(await matched(event, ...subscriptions)).toEqual(["any", "members"]);
  });

  test("protocol events, beside the types, or alone where no type is named", async () => {
    const named: Partial<Subscription>[] = [
      { id: "everything" },
      { id: "redeemed", couponEvents: [CouponEventId.COUPON_EVENT_REDEEMED] },
      { id: "redeemed and created", couponEvents: [2, 1], eventTypes: [PassEventType.CREATED] },
      { id: "redeemed and scanned", couponEvents: [2], eventTypes: [PassEventType.SCANNED] },
      { id: "deleted", couponEvents: [CouponEventId.COUPON_EVENT_DELETED] },
      { id: "updated members", membershipEvents: [MembershipEventId.MEMBER_EVENT_UPDATED] },
      { id: "passkit's", format: "PASSKIT", couponEvents: [2] },
    ];
    const redeemed = sampleEvent("e", { type: PassEventType.SCANNED });
    redeemed.event.protocolEvent = { case: "couponEvent", value: CouponEventId.COUPON_EVENT_REDEEMED };
    const all = ["everything", "redeemed and scanned", "redeemed", "redeemed and created", "passkit's"];
    expect(await matched(redeemed, ...named)).toEqual(all);
    expect(await matched(sampleEvent("e"), ...named)).toEqual(["everything"]);
    const created = sampleEvent("e", { type: PassEventType.CREATED });
    expect(await matched(created, ...named)).toEqual(["everything", "redeemed and created"]);
  });

  test("operational events alone, where these are named and no type is", async () => {
    const named: Partial<Subscription>[] = [
      { id: "everything" },
      { id: "operational", operationalEvents: [OperationalEventType.DELIVERY_FAILED] },
      { id: "both", operationalEvents: [4], eventTypes: [PassEventType.CREATED] },
      { id: "protocol's too", operationalEvents: [4], couponEvents: [1] },
      { id: "another", operationalEvents: [OperationalEventType.FILTER_FAILED] },
    ];
    const created = sampleEvent("e", { type: PassEventType.CREATED });
    expect(await matched(created, ...named)).toEqual(["everything", "both"]);
    const about = { id: "sub_1", tenant: TENANT, entityId: "", url: "https://a.example/" };
    const news = { type: OperationalEventType.DELIVERY_FAILED, about, occasion: ["x"], says: { message: "" } };
    expect(await matched(operationalEvent(news, LOGGED), ...named)).toEqual(["operational", "both", "protocol's too"]);
  });

  test("protocol events of another entity or protocol stay out", async () => {
    const redeemed = sampleEvent("e");
    redeemed.event.protocolEvent = { case: "couponEvent", value: CouponEventId.COUPON_EVENT_REDEEMED };
    const wanting = { couponEvents: [CouponEventId.COUPON_EVENT_REDEEMED] };
    const others = [
      { ...wanting, id: "other", entityId: "class-2" },
      { ...wanting, id: "members", protocol: PassProtocol.MEMBERSHIP },
    ];
    expect(await matched(redeemed, ...others)).toEqual([]);
  });

  // "Separate webhook subscriptions for each environment" (seed 000).
  test("organisations and environments never meet", async () => {
    const staging = { ...TENANT, environment: "staging" };
    expect(await matched(sampleEvent("e", { tenant: staging }), { id: "production" })).toEqual([]);
    expect(await matched(sampleEvent("e"), { id: "staging", tenant: staging })).toEqual([]);
  });

  test("a subscription younger than the event is left out, less the skew in favour of sending", async () => {
    const subscriptions = [
      { id: "older", createdAtMs: LOGGED - 1 },
      { id: "skewed", createdAtMs: LOGGED + 1_000 },
      { id: "younger", createdAtMs: LOGGED + 1_001 },
    ];
    expect(await matched(sampleEvent("e"), ...subscriptions)).toEqual(["older", "skewed"]);
  });

  test("a subscription whose creation is yet to come gets the event: the clock was set back", async () => {
    const feed = new MemoryStore();
    feed.put(sampleSubscription({ createdAtMs: LOGGED + 3_600_000 }));
    const now = { ms: LOGGED };
    const typesOf = () => formatOf("STANDARD").types;
    const index = new SubscriptionIndex({ feed, typesOf, clock: { now: () => now.ms } });
    const event = sampleEvent("e");
    const matches = async () => (await index.refresh([event.stored.tenant])).match(event).length;
    expect(await matches()).toBe(1);
    now.ms = LOGGED + 3_600_000;
    expect(await matches()).toBe(0);
  });
});

// "Enabled: Actively receiving events. Disabled: Temporarily paused" (seed 000).
describe("disabled", () => {
  const span = { fromMs: 100, toMs: 200 };
  test.each([
    ["drop", "enabled", [span], 99, "send"],
    ["drop", "enabled", [span], 100, "drop"],
    ["drop", "enabled", [span], 199, "drop"],
    ["drop", "enabled", [span], 200, "send"],
    ["drop", "disabled", [{ fromMs: 100 }], 5_000, "drop"],
    ["drop", "disabled", [{ fromMs: 100 }], 50, "hold"],
    ["drop", "disabled", [], 5_000, "hold"],
    ["hold", "disabled", [{ fromMs: 100 }], 5_000, "hold"],
    ["hold", "enabled", [span], 150, "send"],
  ] as const)("%s, %s, %j: an event of %i is to %s", (whileDisabled, state, disabledSpans, loggedAtMs, expected) => {
    const policy = { ...sampleSubscription().policy, whileDisabled };
    expect(dispositionOf(sampleSubscription({ policy, state, disabledSpans }), loggedAtMs)).toBe(expected);
  });
});

describe("the index", () => {
  test("sees what was there when it was refreshed, and what changed since", async () => {
    const feed = new MemoryStore();
    const index = new SubscriptionIndex({ feed, typesOf: (format) => formatOf(format).types });
    await index.refresh([TENANT]);
    expect(index.holds(TENANT)).toBe(true);
    expect(index.find(TENANT, "sub_1")).toBeUndefined();
    feed.put(sampleSubscription());
    expect(index.find(TENANT, "sub_1")).toBeUndefined();
    await index.refresh([TENANT]);
    expect(index.find(TENANT, "sub_1")?.version).toBe(1);
    feed.remove(sampleSubscription());
    await index.refresh([TENANT]);
    expect(index.find(TENANT, "sub_1")).toBeUndefined();
  });

  test("holds as many tenants as it may, those used last", async () => {
    const feed = new MemoryStore();
    const index = new SubscriptionIndex({ feed, typesOf: () => [], maxTenants: 2 });
    const tenant = (organisation: string) => ({ organisation, environment: "production" });
    await index.refresh([tenant("a")]);
    await index.refresh([tenant("b")]);
    await index.refresh([tenant("a")]);
    await index.refresh([tenant("c")]);
    expect(index.tenants().map(({ organisation }) => organisation)).toEqual(["a", "c"]);
    expect(index.holds(tenant("b"))).toBe(false);
  });

  test("a view stays whole while others push its tenants out of the index", async () => {
    const feed = new MemoryStore();
    const tenants = ["a", "b", "c", "d", "e"].map((organisation) => ({ organisation, environment: "production" }));
    for (const tenant of tenants) feed.put(sampleSubscription({ id: `sub_${tenant.organisation}`, tenant }));
    const index = new SubscriptionIndex({ feed, typesOf: (format) => formatOf(format).types, maxTenants: 2 });
    const views = await Promise.all([index.refresh(tenants), ...tenants.map((tenant) => index.refresh([tenant]))]);
    expect(index.tenants()).toHaveLength(2);
    for (const [at, tenant] of tenants.entries()) {
      for (const view of [views[0], views[at + 1]]) {
        expect(view?.find(tenant, `sub_${tenant.organisation}`)?.id).toBe(`sub_${tenant.organisation}`);
        expect(view?.match(sampleEvent("e", { tenant }))).toHaveLength(1);
      }
    }
    for (const tenant of index.tenants()) expect(index.find(tenant, `sub_${tenant.organisation}`)).toBeDefined();
  });

  test("what was not asked for is a mistake, not an empty answer", async () => {
    const index = new SubscriptionIndex({ feed: new MemoryStore(), typesOf: () => [] });
    const view = await index.refresh([]);
    expect(() => view.match(sampleEvent("e"))).toThrow("was not asked for");
  });

  test("a load that a newer one overtook is not held", async () => {
    const feed = new MemoryStore();
    feed.put(sampleSubscription());
    const old = await feed.load(TENANT);
    const slow = Promise.withResolvers<void>();
    let isSlow = true;
    const index = new SubscriptionIndex({
      typesOf: () => [],
      feed: {
        versions: (tenants) => feed.versions(tenants),
        load: async (tenant) => {
          if (!isSlow) return feed.load(tenant);
          isSlow = false;
          await slow.promise;
          return old;
        },
      },
    });
    const first = index.refresh([TENANT]);
    await Promise.resolve();
    feed.put(sampleSubscription({ version: 2 }));
    await index.refresh([TENANT]);
    slow.resolve();
    await first;
    expect(index.find(TENANT, "sub_1")?.version).toBe(2);
  });
});
