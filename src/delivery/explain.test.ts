import { describe, expect, test } from "vitest";
import { attempt, finished, delivery as row, waiting } from "../../test/contracts/rows.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { type Delivery, deliveryId } from "../domain/delivery.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { Explain } from "../matching/explain.ts";
import { explainEvent } from "./explain.ts";

const event = sampleEvent("evt_1");
const LOGGED = event.stored.loggedAtMs;
const gets: Explain = () => undefined;
const refuses: Explain = () => ({ reason: "match.filter", message: "its filter is false" });

function one(subscription: Partial<Subscription>, explain: Explain, deliveries: readonly Delivery[] = []) {
  return [...explainEvent({ event, deliveries, subscriptions: [sampleSubscription(subscription)] }, explain)];
}

describe("an explanation", () => {
  const answered = attempt("a1", { statusCode: 503 });
  test.each<[Delivery, string]>([
    [finished("d", "delivered", "a1", { attemptCount: 1 }), "delivered at 2023-11-14T22:13:20.100Z, after 1 attempt"],
    [
      finished("d", "failed", "a1", { attempts: [answered], attemptCount: 11 }),
      "failed at 2023-11-14T22:13:20.100Z, after 11 attempts; the last: http.status 503",
    ],
    [finished("d", "cancelled", "a1"), "cancelled at 2023-11-14T22:13:20.100Z, after 1 attempt"],
    [
      waiting("d", LOGGED + 5_000, { attempts: [attempt("a", { errorCode: "dns.failed" })], attemptCount: 1 }),
      "waits for its next attempt at 2023-11-14T22:13:25.000Z, after 1 attempt; the last: dns.failed 500",
    ],
    [row("d", { status: "attempting" }), "is being attempted, after 0 attempts"],
    [row("d", { status: "held" }), "is held until its subscription, which is disabled (gone), is enabled again"],
  ])("says where a delivery stands: $status", (delivery, message) => {
    expect(one({ state: "disabled", disabledReason: "gone" }, refuses, [delivery])).toEqual([
      { subscriptionId: "sub_1", deliveryId: "d", reason: `delivery.${delivery.status}`, message },
    ]);
  });

  test("says of one that is held for order, and of one that was folded into another, what goes before or instead", () => {
    const behind = one({}, refuses, [row("d", { status: "held", sequence: 1 })]);
    expect(behind[0]?.message).toBe("is held until an earlier event of its pass is through");
    const folded = row("d", { status: "cancelled", finishedAtMs: LOGGED, foldedInto: "dlv_2" });
    expect(one({}, refuses, [folded])[0]?.message).toBe(
      "cancelled at 2023-11-14T22:13:20.000Z, after 0 attempts; a newer update of its pass goes in its place: dlv_2",
    );
  });

  test("says of a delivery whose subscription is gone that it is", () => {
    const [explained] = explainEvent({ event, deliveries: [waiting("d")], subscriptions: [] }, gets);
    expect(explained?.message).toMatch(/; the subscription was deleted since$/);
  });

  test("says why there is no delivery, after those that are there", () => {
    const subscriptions = [sampleSubscription({ id: "sub_2" }), sampleSubscription({ id: "sub_1" })];
    expect([...explainEvent({ event, deliveries: [waiting("d")], subscriptions }, refuses)]).toMatchObject([
      { subscriptionId: "sub_1", reason: "delivery.waiting" },
      { subscriptionId: "sub_2", reason: "match.filter", message: "its filter is false" },
    ]);
  });

  const changed = { createdAtMs: 0, updatedAtMs: LOGGED + 1 };
  test("says that the subscription was changed since, which may be why", () => {
    expect(one(changed, refuses)).toMatchObject([
      { reason: "match.filter", message: expect.stringMatching(/^its filter is false \(as it is now; it was changed/) },
    ]);
    expect(one(changed, gets)).toMatchObject([
      { reason: "match.changed", message: expect.stringContaining("2023-11-14T22:13:20.001Z") },
    ]);
  });

  test("says that the delivery is under way where nothing speaks against it", () => {
    const id = deliveryId(event.stored, "sub_1");
    for (const over of [{}, { createdAtMs: LOGGED + 1, updatedAtMs: LOGGED + 1 }, { updatedAtMs: LOGGED }]) {
      expect(one(over, gets)).toMatchObject([{ reason: "match.pending", message: expect.stringContaining(id) }]);
    }
  });
});

test("of an event without its payload it says why there are deliveries, and not why there are none", () => {
  const stored = { ...event.stored, value: new Uint8Array(), payloadDroppedAtMs: LOGGED + 1_000 };
  const evidence = {
    event: { ...event, stored },
    deliveries: [finished("d", "delivered", "a1", { subscriptionId: "sub_1" })],
    subscriptions: [sampleSubscription({ id: "sub_1" }), sampleSubscription({ id: "sub_2" })],
  };
  expect([...explainEvent(evidence, refuses)].map(({ subscriptionId, reason }) => [subscriptionId, reason])).toEqual([
    ["sub_1", "delivery.delivered"],
    ["sub_2", "event.payload_dropped"],
  ]);
});
