/** How events outlive the deliveries of them that are open. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ACME,
  claim,
  delivery,
  event,
  finished,
  first,
  GLOBEX,
  outcome,
  put,
  T0,
  triedOnce,
  waiting,
} from "../../../test/contracts/rows.ts";
import { type MongoDatabase, mongoDatabase } from "../../../test/support/mongo-database.ts";
import { mongodb } from "../../../test/support/services/services.ts";
import { within } from "../../../test/support/within.ts";
import type { Delivery } from "../../domain/delivery.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { COLLECTIONS, type EventDocument } from "./documents.ts";
import { EventTable } from "./events.ts";
import type { MongoStore } from "./mongodb.ts";
import { Wire } from "./wire.ts";

const HOUR_MS = 3_600_000;

describe.skipIf(!mongodb.present)(mongodb.title("events in MongoDB"), () => {
  let database: MongoDatabase;
  let store: MongoStore;
  let events: EventTable;
  let clock: ManualClock;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  beforeEach(async () => {
    clock = new ManualClock(T0);
    store = await database.connect({ clock });
    events = new EventTable(new Wire(database.client.db()), clock);
  });
  afterEach(async () => {
    await store.close();
    await database.empty();
  });
  afterAll(() => database.drop());

  /** When its retention began; "pinned" where it has not. */
  async function retainedFrom(id = "evt_1", tenant = "acme/production"): Promise<number | "pinned"> {
    const found = await database.client
      .db()
      .collection<EventDocument>(COLLECTIONS.events)
      .findOne({ _id: `${tenant}/${id}` });
    if (found === null) throw new Error("the event is not stored");
    expect(found.pinned === undefined).toBe(found.retainedFrom !== undefined);
    return found.retainedFrom?.getTime() ?? "pinned";
  }

  async function claimOne(): Promise<Delivery> {
    const [mine] = (await claim(store, { nowMs: T0 + 1e6 })).claimed;
    if (mine === undefined) throw new Error("nothing was claimed");
    return mine.delivery;
  }

  test("the retention of one that nobody waits for begins when it is recorded", async () => {
    await store.deliveries.flush({ events: [event("evt_2")], deliveries: [] });
    await put(store, finished("d1", "delivered", "a1"));
    expect([await retainedFrom("evt_1"), await retainedFrom("evt_2")]).toEqual([T0, T0]);
    clock.advance(1_000 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(0);
  });

  test.each([
    ["waits", waiting("d1")],
    ["is held", delivery("d1", { status: "held" })],
    ["is leased", delivery("d1", { status: "attempting", leaseUntilMs: T0 + 9 })],
    ["is tried again", triedOnce("d1", "a1")],
  ])("while a delivery of it %s, nothing that expires is in it, however long that lasts", async (_, open) => {
    await put(store, open);
    expect(await retainedFrom()).toBe("pinned");
    for (let months = 0; months < 3; months++) {
      clock.advance(30 * 24 * HOUR_MS);
      expect(await events.unpinFinished()).toBe(0);
      expect(await retainedFrom()).toBe("pinned");
    }
  });

  test("its retention begins when the last delivery of it is done", async () => {
    await put(store, waiting("d1"), waiting("d2", T0, { subscriptionId: "sub_2" }));
    const done = (await claim(store)).claimed.map((each) =>
      outcome(each.delivery, { status: "delivered", finishedAtMs: T0 }, `a_${each.delivery.id}`),
    );
    await store.deliveries.flush({ events: [], deliveries: done.slice(0, 1) });
    clock.advance(7 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(0);
    await store.deliveries.flush({ events: [], deliveries: done.slice(1) });
    clock.advance(7 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(1);
    expect(await retainedFrom()).toBe(T0 + 14 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(0);
  });

  test("a spill that comes after its event pins it", async () => {
    await store.deliveries.flush({ events: [event("evt_1")], deliveries: [] });
    expect(await retainedFrom()).toBe(T0);
    await store.deliveries.flush({ events: [], deliveries: [first(waiting("d1"))] });
    expect(await retainedFrom()).toBe("pinned");
  });

  test("so does one that comes with its event a second time, of its own tenant alone", async () => {
    await store.deliveries.flush({ events: [event("evt_1"), event("evt_1", { tenant: GLOBEX })], deliveries: [] });
    await put(store, waiting("d1"));
    expect([await retainedFrom("evt_1"), await retainedFrom("evt_1", "globex/production")]).toEqual(["pinned", T0]);
  });

  test("what met other content pins nothing", async () => {
    await store.deliveries.flush({ events: [event("evt_1")], deliveries: [] });
    await store.deliveries.flush({
      events: [event("evt_1", { content: "else" })],
      deliveries: [first(waiting("d1"))],
    });
    expect(await retainedFrom()).toBe(T0);
  });

  test("a delivery that is sent again pins its event again", async () => {
    await put(store, finished("d1", "failed", "a1"));
    await store.deliveries.retry(ACME, "d1", T0);
    expect(await retainedFrom()).toBe("pinned");
    const mine = await claimOne();
    await store.deliveries.flush({
      events: [],
      deliveries: [outcome(mine, { status: "delivered", finishedAtMs: T0 }, "a2")],
    });
    clock.advance(7 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(1);
  });

  test("one that is pinned anew while the upkeep looks stays pinned", async () => {
    await put(store, finished("d0", "delivered", "a0"), waiting("d1"));
    const mine = await claimOne();
    const done = outcome(mine, { status: "cancelled", finishedAtMs: T0 });
    await store.deliveries.flush({ events: [], deliveries: [done] });
    clock.advance(7 * HOUR_MS);
    // Between the upkeep's look at the deliveries and its write comes a retry's pin, as it would from another process.
    const wire = new Wire(database.client.db());
    const find = wire.find.bind(wire);
    wire.find = async (collection, filter, options) => {
      const found = await find(collection, filter, options);
      if (collection === COLLECTIONS.deliveries) await store.deliveries.retry(ACME, "d0", T0);
      return found as never;
    };
    await new EventTable(wire, clock).unpinFinished();
    expect(await retainedFrom()).toBe("pinned");
  });

  test("many are looked at in turn", async () => {
    const many = Array.from({ length: 1_100 }, (_, index) => `evt_${index}`);
    await put(store, ...many.map((eventId) => waiting(`d_${eventId}`, T0, { eventId })));
    await store.deliveries.moveOpen({
      tenant: ACME,
      subscriptionId: "sub_1",
      from: "waiting",
      to: "cancelled",
      nowMs: T0,
      limit: 1_095,
    });
    clock.advance(7 * HOUR_MS);
    expect(await events.unpinFinished()).toBe(1_095);
    expect(await events.unpinFinished()).toBe(0);
  });

  test("the upkeep of a store does it by itself, again after a failure, until it is closed", async () => {
    const failures: unknown[] = [];
    await put(store, waiting("d1"));
    await store.deliveries.moveOpen({
      tenant: ACME,
      subscriptionId: "sub_1",
      from: "waiting",
      to: "cancelled",
      nowMs: T0,
      limit: 1,
    });
    clock.advance(7 * HOUR_MS);
    store.startUpkeep((error) => failures.push(error));
    await within(
      5_000,
      "the end of the pin",
      (async () => {
        while ((await retainedFrom()) === "pinned");
      })(),
    );
    expect(failures).toEqual([]);
  });

  test("a delivery whose event is gone fails, and says why; its neighbours are claimed", async () => {
    await put(store, waiting("d1"), waiting("d2", T0, { eventId: "evt_2" }));
    await database.client
      .db()
      .collection<EventDocument>(COLLECTIONS.events)
      .deleteOne({ _id: "acme/production/evt_1" });
    const result = await claim(store);
    expect(result.claimed.map((each) => each.delivery.id)).toEqual(["d2"]);
    expect(result.nextDueAtMs).toBe(T0);
    const failed = await store.deliveries.getDelivery(ACME, "d1");
    expect(failed).toMatchObject({
      status: "failed",
      finishedAtMs: T0,
      attempts: [{ errorCode: "event.payload_dropped" }],
    });
  });

  test("a claim takes no more than its bytes of events, and the rest is due at once", async () => {
    const ids = Array.from({ length: 80 }, (_, index) => `evt_${index}`);
    await store.deliveries.flush({
      events: ids.map((id) => event(id, { content: id.padEnd(256 * 1024, "x") })),
      deliveries: ids.map((eventId) => first(waiting(`d_${eventId}`, T0, { eventId }))),
    });
    const claimed: string[] = [];
    while (claimed.length < ids.length) {
      const result = await claim(store);
      expect(result.claimed.length).toBeLessThanOrEqual(65);
      expect(result.claimed.length).toBeGreaterThan(0);
      claimed.push(...result.claimed.map((each) => each.delivery.id));
      if (claimed.length < ids.length) expect(result.nextDueAtMs).toBe(T0);
    }
    expect(new Set(claimed).size).toBe(80);
  });
});
