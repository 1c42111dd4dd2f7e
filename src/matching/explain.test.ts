import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { CouponEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { operationalEvent } from "../delivery/operational-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import { DEFAULT_POLICY, type Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { matchExplainer } from "./explain.ts";
import { Filters } from "./filter.ts";
import { SubscriptionIndex } from "./subscription-index.ts";

const LOGGED = 1_700_000_000_000;
const typesOf = (format: Subscription["format"]) => formatOf(format).types;
const explain = matchExplainer({ typesOf });

function scanned(over: { readonly entityId?: string } = {}): DecodedEvent {
  const event = sampleEvent("evt_1", { type: PassEventType.SCANNED, ...over });
  if (event.event.pass !== undefined) event.event.pass.protocol = PassProtocol.MEMBERSHIP;
  return event;
}

describe("why a subscription gets no event", () => {
  test.each<[Partial<Subscription>, string, string]>([
    [{ eventTypes: [PassEventType.CREATED] }, "match.type", "its event_types do not have PASS_EVENT_TYPE_SCANNED"],
    [{ couponEvents: [CouponEventId.COUPON_EVENT_REDEEMED] }, "match.type", "events of the protocol"],
    [{ format: "PASSKIT" }, "match.format", "its format PASSKIT has no words for PASS_EVENT_TYPE_SCANNED"],
    [{ entityId: "class-2" }, "match.scope", 'its scope is the entity "class-2", the event is of "class-1"'],
    [{ protocol: PassProtocol.SINGLE_USE_COUPON }, "match.protocol", "SINGLE_USE_COUPON, this one is of MEMBERSHIP"],
    [{ createdAtMs: LOGGED + 1_001 }, "match.younger", "made at 2023-11-14T22:13:21.001Z, after the event"],
    [{ disabledSpans: [{ fromMs: LOGGED }] }, "match.disabled", "a person had it disabled"],
    [{ filter: 'event.pass.id == "another"' }, "match.filter", 'false for this event: event.pass.id == "another"'],
  ])("%j: %s", (over, reason, message) => {
    expect(explain(sampleSubscription(over), scanned())).toEqual({ reason, message: expect.stringContaining(message) });
  });

  test("an event of no entity is no entity's", () => {
    const event = scanned();
    const none = { ...event, stored: { ...event.stored, entityId: "" } };
    expect(explain(sampleSubscription({ entityId: "c" }), none)?.message).toContain("the event is of no entity");
  });

  test.each<[string, Partial<Subscription>]>([
    ["everything", {}],
    [
      "a disabled one that holds",
      { state: "disabled", disabledSpans: [{ fromMs: 0 }], policy: { ...DEFAULT_POLICY, whileDisabled: "hold" } },
    ],
    ["a filter that passes", { filter: 'event.pass.id == "pass-1"' }],
    ["a filter that fails on it", { filter: "event.scan.nothing == 1" }],
    ["a filter that this version does not take", { filter: "((" }],
  ])("nothing is wrong with %s", (_, over) => {
    expect(explain(sampleSubscription(over), scanned())).toBeUndefined();
  });

  test("a filter that many have is compiled once, also one that this version does not take", () => {
    const compile = vi.spyOn(Filters.prototype, "compile");
    const one = matchExplainer({ typesOf });
    const texts = ['event.pass.id == "another"', "((", 'event.pass.id == "pass-1"'];
    const judged = [...texts, ...texts].map((filter) => one(sampleSubscription({ filter }), scanned())?.reason);
    expect(judged).toEqual(["match.filter", undefined, undefined, "match.filter", undefined, undefined]);
    expect(compile.mock.calls.map(([text]) => text)).toEqual(texts);
    compile.mockRestore();
  });

  test.each<[Partial<Subscription>, string | undefined, string]>([
    [{}, "match.type", "its operational_events do not have OPERATIONAL_EVENT_TYPE_DELIVERY_FAILED"],
    [{ operationalEvents: [6] }, "match.type", "do not have OPERATIONAL_EVENT_TYPE_DELIVERY_FAILED"],
    [{ operationalEvents: [4], url: "b" }, undefined, ""],
    [{ operationalEvents: [4], urlKey: "https://a.example/" }, "match.own_endpoint", "about its own endpoint"],
    [{ operationalEvents: [4], entityId: "class-1" }, "match.scope", "the event is of no entity"],
  ])("of passbus's own events: %j: %s", (over, reason, message) => {
    const about = sampleSubscription({ id: "sub_about", url: "https://a.example/" });
    const news = { type: OperationalEventType.DELIVERY_FAILED, about, occasion: ["x"], says: { message: "" } };
    const refusal = explain(sampleSubscription(over), operationalEvent(news, LOGGED), about);
    expect(refusal?.reason).toBe(reason);
    expect(refusal?.message ?? "").toContain(message);
  });

  test("one that gets passbus's own events alone is told so", () => {
    const refusal = explain(sampleSubscription({ operationalEvents: [4] }), scanned());
    expect(refusal).toEqual({ reason: "match.type", message: expect.stringContaining("events of passbus itself") });
  });

  test("there is a reason exactly where the index does not match", async () => {
    const types = fc.constantFrom(PassEventType.CREATED, PassEventType.UPDATED, PassEventType.SCANNED);
    const subscription: fc.Arbitrary<Partial<Subscription>> = fc.record({
      eventTypes: fc.uniqueArray(types, { maxLength: 2 }),
      couponEvents: fc.array(fc.constantFrom(1, 2), { maxLength: 1 }),
      format: fc.constantFrom<Subscription["format"]>("STANDARD", "PASSKIT", "PASSENTRY", "ETHPASS"),
      entityId: fc.constantFrom("", "class-1", "class-2"),
      protocol: fc.constantFrom(0, PassProtocol.MEMBERSHIP, PassProtocol.SINGLE_USE_COUPON),
      createdAtMs: fc.constantFrom(LOGGED - 1, LOGGED + 1_000, LOGGED + 1_001),
      state: fc.constantFrom("enabled", "disabled"),
      disabledSpans: fc.constantFrom([], [{ fromMs: 0, toMs: LOGGED }], [{ fromMs: LOGGED }]),
      policy: fc.constantFrom(DEFAULT_POLICY, { ...DEFAULT_POLICY, whileDisabled: "hold" } as const),
    });
    const filter = fc.option(fc.constantFrom('event.pass.id == "pass-1"', 'event.pass.id == "x"', "event.no.no == 1"), {
      nil: undefined,
    });
    const event = fc.record({ type: types, entityId: fc.constantFrom("class-1", "class-2"), coupon: fc.boolean() });
    let refused = 0;
    let matched = 0;
    await fc.assert(
      fc.asyncProperty(subscription, filter, event, async (over, text, { type, entityId, coupon }) => {
        const decoded = sampleEvent("evt_1", { type, entityId });
        if (coupon) decoded.event.protocolEvent = { case: "couponEvent", value: CouponEventId.COUPON_EVENT_REDEEMED };
        const one = sampleSubscription({ ...over, ...(text !== undefined && { filter: text }) });
        const feed = new MemoryStore();
        feed.put(one);
        const view = await new SubscriptionIndex({ feed, typesOf }).refresh([one.tenant]);
        const isMatched = view.match(decoded).length === 1;
        expect(explain(one, decoded) === undefined).toBe(isMatched);
        if (isMatched) matched += 1;
        else refused += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(matched, refused)).toBeGreaterThan(20);
  });
});
