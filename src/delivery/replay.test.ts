import { describe, expect, it } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { deliveryId } from "../domain/delivery.ts";
import { newDelivery, REPLAY_CHANGES, type ReplayItem, sourceOf } from "./replay.ts";

const JOB = { id: "rpl_1", tenant: { organisation: "acme", environment: "production" } };

describe("what a replay made due, in the engine", () => {
  const replayed = async (status: number) => {
    const { clock, engine, store, sender, pass } = engineSetup();
    store.put(sampleSubscription());
    const { stored } = sampleEvent("evt_1");
    sender.reply = () => answer(status);
    const item: ReplayItem = { eventId: "evt_1", kind: stored, passId: stored.passId, subscriptionId: "sub_1" };
    const delivery = newDelivery({ ...JOB, tenant: stored.tenant, freshIds: false }, item, clock.now());
    await store.flush({ events: [stored], deliveries: [{ kind: "first", delivery }] });
    engine.start();
    await pass(200);
    return { requests: sender.requests, row: store.deliveries.get(delivery.id), delivery };
  };

  it("says so, under the webhook id of the delivery", async () => {
    const { requests, row, delivery } = await replayed(200);
    expect(requests.map(({ headers }) => [headers["webhook-replay"], headers["webhook-id"]])).toEqual([
      ["true", delivery.id],
    ]);
    expect(row).toMatchObject({ status: "delivered", replayId: "rpl_1" });
    expect(row?.attempts[0]?.request?.headers["webhook-replay"]).toBe("true");
  });

  it("stays behind live work when it is tried again", async () => {
    expect((await replayed(503)).row).toMatchObject({ status: "waiting", workClass: "replay", runAttempts: 1 });
  });
});

it("is not said of what no replay made due", async () => {
  const { engine, store, sender, take, pass } = engineSetup();
  store.put(sampleSubscription());
  engine.start();
  sender.reply = () => answer(503);
  const event = sampleEvent("evt_1");
  await take(event);
  await pass(100);
  expect(sender.requests.map(({ headers }) => headers["webhook-replay"])).toEqual([undefined]);
  expect(store.deliveries.get(deliveryId(event.stored, "sub_1"))).toMatchObject({ workClass: "retry" });
});

describe("a replay", () => {
  const filter = { eventTypes: [], toMs: 1 };
  it.each([
    [{ filter }, "deliveries"],
    [{ filter: { ...filter, subscriptionId: "sub_1" } }, "deliveries"],
    [{ filter: { ...filter, subscriptionId: "sub_1" }, targetSubscriptionId: "sub_2" }, "deliveries"],
    [{ filter, targetSubscriptionId: "sub_2" }, "events"],
  ] as const)("of %j goes through %s", (asked, kind) => {
    expect(sourceOf(asked)).toEqual({ kind, filter: asked.filter });
  });

  it("makes the same id for an event and a subscription each time; a fresh one is of the replay too", () => {
    const item = { eventId: "evt_1", kind: { type: 1 }, passId: "p", subscriptionId: "sub_1" };
    const known = newDelivery({ ...JOB, freshIds: false }, item, 5);
    expect(known.id).toBe(deliveryId({ tenant: JOB.tenant, id: "evt_1" }, "sub_1"));
    const fresh = newDelivery({ ...JOB, freshIds: true }, item, 5);
    expect(fresh.id).not.toBe(known.id);
    expect(newDelivery({ ...JOB, freshIds: true }, item, 99).id).toBe(fresh.id);
    expect(newDelivery({ ...JOB, id: "rpl_2", freshIds: true }, item, 5).id).not.toBe(fresh.id);
  });

  it("that is over changes no more", () => {
    for (const { from } of Object.values(REPLAY_CHANGES)) {
      expect(from).not.toContain("finished");
      expect(from).not.toContain("cancelled");
    }
  });
});
