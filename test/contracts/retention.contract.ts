/** RetentionStore: what goes with age and what never does, payloads that go early, held deliveries that end, and turns. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PurgedKind, PurgeStep } from "../../src/delivery/retention.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import type { DeadLetter } from "../../src/intake/dead-letters.ts";
import type { Cursor } from "../../src/kernel/page.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import {
  ACME,
  ACME_TEST,
  claim,
  claimedIds,
  delivery,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  leased,
  type MakeStore,
  outcome,
  put,
  type StorePorts,
  type StoreUnderTest,
  stored,
  T0,
  triedOnce,
  waiting,
} from "./rows.ts";

const MINUTE_MS = 60_000;
/** The suites' rows ended by this time. Their events' retention began in the store's own time: now, or T0. */
const ENDED_MS = T0 + 100;
const NEVER_MS = T0 - 1_000_000_000;

/** An event alone, each with one delivered delivery, in the order of their log times. */
async function putFinished(store: StorePorts, count: number, over: Partial<Delivery> = {}): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, at) => `n${String(at).padStart(3, "0")}`);
  await put(
    store,
    ...ids.map((id) => finished(`dlv_${id}`, "delivered", `att_${id}`, { eventId: `evt_${id}`, ...over })),
  );
  return ids;
}

export function retentionContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  /** All steps of one kind; how many went. */
  async function purgeAll(
    kind: PurgedKind,
    beforeMs: number,
    { tenant = ACME, limit = 500, nowMs = T0 }: { tenant?: Tenant; limit?: number; nowMs?: number } = {},
  ): Promise<number> {
    let purged = 0;
    let after: Cursor | undefined;
    for (let steps = 0; steps < 1_000; steps++) {
      const place: { after?: Cursor } = after === undefined ? {} : { after };
      const step: PurgeStep = await store.retention.purge({ tenant, kind, beforeMs, limit, nowMs, ...place });
      expect(step.purged).toBeLessThanOrEqual(limit);
      purged += step.purged;
      if (!step.more) return purged;
      after = step.at;
    }
    throw new Error("it came to no end");
  }

  const farMs = () => Date.now() + 3_600_000;
  const eventOf = (id: string, tenant: Tenant = ACME) => store.deliveries.getEvent({ tenant, id });
  const deliveryOf = (id: string, tenant: Tenant = ACME) => store.deliveries.getDelivery(tenant, id);

  describe(`${name}: deliveries past their time`, () => {
    test("go when they ended then or earlier, however they ended, and no others", async () => {
      await put(
        store,
        finished("old", "delivered", "a1"),
        finished("failed", "failed", "a2"),
        finished("cancelled", "cancelled", "a3"),
        finished("young", "delivered", "a4", { finishedAtMs: ENDED_MS + 1 }),
      );
      expect(await purgeAll("deliveries", NEVER_MS)).toBe(0);
      expect(await purgeAll("deliveries", ENDED_MS)).toBe(3);
      expect(await deliveryOf("old")).toBeUndefined();
      expect(await deliveryOf("young")).toBeDefined();
      expect(await purgeAll("deliveries", ENDED_MS + 1)).toBe(1);
    });

    test.each([
      ["waits", waiting("d1")],
      ["is tried again", triedOnce("d1", "a1")],
      ["is held", delivery("d1", { status: "held" })],
      ["is attempted", leased("d1", T0 + MINUTE_MS)],
    ])("one that %s never goes, nor its event, nor the event's payload", async (_, open) => {
      await put(store, open);
      expect(await purgeAll("deliveries", farMs())).toBe(0);
      expect(await purgeAll("events", farMs())).toBe(0);
      expect(await purgeAll("payloads", farMs())).toBe(0);
      expect(await deliveryOf("d1")).toBeDefined();
      expect(await eventOf("evt_1")).toEqual(event("evt_1"));
    });

    test("one that was retried begins anew", async () => {
      await put(store, finished("d1", "failed", "a1"));
      await store.deliveries.retry(ACME, "d1", T0 + 500);
      expect(await purgeAll("deliveries", farMs())).toBe(0);
      expect(await purgeAll("events", farMs())).toBe(0);
      expect(claimedIds(await claim(store, { nowMs: T0 + 500 }))).toEqual(["d1"]);
      await flush(
        store,
        outcome({ tenant: ACME, id: "d1", fence: 2, run: 2 }, { status: "delivered", finishedAtMs: T0 + 900 }, "a2"),
      );
      expect(await purgeAll("deliveries", T0 + 899)).toBe(0);
      expect(await purgeAll("deliveries", T0 + 900)).toBe(1);
    });

    test("go in as many steps as the limit needs, past those that stay", async () => {
      await putFinished(store, 12);
      await put(store, waiting("open", T0, { eventId: "evt_open", createdAtMs: T0 - 9 }));
      expect(await purgeAll("deliveries", ENDED_MS, { limit: 5 })).toBe(12);
      expect(await deliveryOf("open")).toBeDefined();
    });
  });

  describe(`${name}: events past their time`, () => {
    test("go with what is known of them, and may come again", async () => {
      const [id = ""] = await putFinished(store, 1);
      expect(await purgeAll("events", NEVER_MS)).toBe(0);
      expect(await eventOf(`evt_${id}`)).toBeDefined();
      expect(await purgeAll("events", farMs())).toBe(1);
      expect(await eventOf(`evt_${id}`)).toBeUndefined();
      expect(await store.deliveries.knownEvents([event(`evt_${id}`)])).toEqual([undefined]);
      await store.deliveries.flush({ events: [event(`evt_${id}`)], deliveries: [] });
      expect(await eventOf(`evt_${id}`)).toEqual(event(`evt_${id}`));
    });

    test("a delivery that outlives its event can't be made again", async () => {
      await put(store, finished("d1", "failed", "a1"));
      await purgeAll("events", farMs());
      expect(await store.deliveries.retry(ACME, "d1", T0)).toBe("payloadDropped");
      expect(await stored(store, "d1")).toMatchObject({ status: "failed", run: 1 });
    });

    test("go in as many steps as the limit needs, past those that stay", async () => {
      await put(store, waiting("open", T0, { eventId: "evt_a" }));
      await putFinished(store, 12);
      expect(await purgeAll("events", farMs(), { limit: 5 })).toBe(12);
      expect(await eventOf("evt_a")).toBeDefined();
    });
  });

  describe(`${name}: payloads past their time`, () => {
    test("go, and their events stay, marked with the time, and are listed so", async () => {
      const [id = ""] = await putFinished(store, 1);
      expect(await purgeAll("payloads", NEVER_MS)).toBe(0);
      expect(await purgeAll("payloads", farMs(), { nowMs: T0 + 7 })).toBe(1);
      const left = { ...event(`evt_${id}`), value: new Uint8Array(), payloadDroppedAtMs: T0 + 7 };
      expect(await eventOf(`evt_${id}`)).toEqual(left);
      expect((await store.deliveries.listEvents(ACME, {}, { size: 10 })).items).toEqual([left]);
      expect(await purgeAll("payloads", farMs(), { nowMs: T0 + 9 })).toBe(0);
      expect(await purgeAll("events", farMs())).toBe(1);
    });

    test("that are gone already count for what a step looks at, and hold up none behind them", async () => {
      await putFinished(store, 7);
      await purgeAll("payloads", farMs());
      await put(store, finished("young", "delivered", "a_young", { eventId: "evt_young" }));
      const steps: number[] = [];
      let after: Cursor | undefined;
      for (let more = true; more; ) {
        const asked = { tenant: ACME, kind: "payloads", beforeMs: farMs(), limit: 3, nowMs: T0 } as const;
        const step = await store.retention.purge(after === undefined ? asked : { ...asked, after });
        steps.push(step.purged);
        more = step.more;
        after = step.at ?? after;
      }
      expect(steps).toEqual([0, 0, 1]);
    });

    test("of a delivery whose event's payload is gone nothing can be made again", async () => {
      await put(store, finished("d1", "failed", "a1"));
      await purgeAll("payloads", farMs());
      expect(await store.deliveries.retry(ACME, "d1", T0)).toBe("payloadDropped");
      expect(await stored(store, "d1")).toMatchObject({ status: "failed", run: 1, finishedAtMs: ENDED_MS });
    });

    test("whatever is due all the same fails, and says why", async () => {
      await put(store, finished("d1", "delivered", "a1"));
      await purgeAll("payloads", farMs());
      await flush(store, first(waiting("d2", T0, { subscriptionId: "sub_2" })));
      expect((await claim(store)).claimed).toEqual([]);
      expect(await stored(store, "d2")).toMatchObject({
        status: "failed",
        attempts: [{ errorCode: "event.payload_dropped" }],
      });
    });

    test("an event that comes again brings its payload back; other content stays another event", async () => {
      await put(store, finished("d1", "delivered", "a1"));
      await purgeAll("payloads", farMs());
      expect(await store.deliveries.knownEvents([event("evt_1")])).toEqual([
        { contentHash: event("evt_1").contentHash, loggedAtMs: T0, payloadDropped: true },
      ]);
      const other = await store.deliveries.flush({ events: [event("evt_1", { content: "other" })], deliveries: [] });
      expect(other.conflicts).toHaveLength(1);
      expect(await eventOf("evt_1")).toMatchObject({ payloadDroppedAtMs: T0 });
      expect(await put(store, waiting("d2", T0, { subscriptionId: "sub_2" }))).toEqual({
        conflicts: [],
        applied: [true],
      });
      expect(await eventOf("evt_1")).toEqual(event("evt_1"));
      expect(claimedIds(await claim(store))).toEqual(["d2"]);
      expect(await purgeAll("payloads", farMs())).toBe(0);
    });

    test("a round goes on where the one before ended", async () => {
      await putFinished(store, 4);
      const asked = { tenant: ACME, kind: "payloads", beforeMs: farMs(), limit: 10, nowMs: T0 } as const;
      const { at, purged } = await store.retention.purge(asked);
      expect([purged, at]).toEqual([4, expect.anything()]);
      const rest = await store.retention.purge({ ...asked, ...(at && { after: at }) });
      expect(rest).toMatchObject({ purged: 0, more: false });
    });
  });

  describe(`${name}: dead letters past their time`, () => {
    const letter = (offset: number, tenant: Tenant = ACME): DeadLetter => ({
      tenant,
      reason: "event.unreadable",
      message: "no event",
      record: {
        topic: "pass.events",
        partition: 0,
        offset,
        appendedAtMs: T0 + offset,
        key: null,
        value: Uint8Array.of(1),
        headers: {},
      },
    });
    const left = async (tenant: Tenant = ACME) =>
      (await store.deadLetters.list(tenant, {}, { size: 100 })).items.map(({ record }) => record.offset);

    test("go, the older ones, in as many steps as it takes", async () => {
      await store.deadLetters.put(Array.from({ length: 12 }, (_, offset) => letter(offset)));
      expect(await purgeAll("deadLetters", NEVER_MS)).toBe(0);
      expect(await purgeAll("deadLetters", farMs(), { limit: 5 })).toBe(12);
      expect(await left()).toEqual([]);
    });

    test("no other organisation's or environment's go with them", async () => {
      await store.deadLetters.put([letter(1), letter(2, ACME_TEST), letter(3, GLOBEX)]);
      await purgeAll("deadLetters", farMs());
      expect([await left(), await left(ACME_TEST), await left(GLOBEX)]).toEqual([[], [2], [3]]);
    });
  });

  describe(`${name}: tenants and what they were given`, () => {
    test("each one that has something kept is told, with its organisation's times", async () => {
      await put(store, finished("d1", "delivered", "a1"), finished("d2", "delivered", "a2", { tenant: ACME_TEST }));
      await put(store, finished("d3", "delivered", "a3", { tenant: GLOBEX }));
      const given = { eventRetentionMs: 3_600_000, deliveryRetentionMs: 7_200_000, payloadRetentionMs: 3_600_001 };
      await store.limits.setLimits("acme", { organisation: 3, callsPerSecond: 7, eventsPerSecond: 9, ...given });
      await store.limits.setLimits("globex", { payloadRetentionMs: 5_000_000 });
      expect(await store.limits.limits("acme")).toEqual({
        ...{ organisation: 3, callsPerSecond: 7, eventsPerSecond: 9 },
        ...given,
      });
      const told = (await store.retention.tenants()).filter(({ tenant }) =>
        ["acme", "globex"].includes(tenant.organisation),
      );
      expect(told.toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))).toEqual(
        [
          { tenant: ACME, ...given },
          { tenant: ACME_TEST, ...given },
          { tenant: GLOBEX, payloadRetentionMs: 5_000_000 },
        ].toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1)),
      );
      await store.limits.setLimits("acme", {});
      expect(await store.limits.limits("acme")).toEqual({});
    });

    test("nothing of another tenant goes", async () => {
      for (const tenant of [ACME, ACME_TEST, GLOBEX]) {
        await put(store, finished("d1", "delivered", "a1", { tenant }));
      }
      expect(await purgeAll("deliveries", farMs(), { tenant: ACME_TEST })).toBe(1);
      expect(await purgeAll("events", farMs(), { tenant: ACME_TEST })).toBe(1);
      for (const tenant of [ACME, GLOBEX]) {
        expect(await deliveryOf("d1", tenant)).toBeDefined();
        expect(await eventOf("evt_1", tenant)).toBeDefined();
      }
      expect(await purgeAll("events", farMs(), { tenant: { organisation: "nobody", environment: "x" } })).toBe(0);
    });
  });

  describe(`${name}: held deliveries past their time`, () => {
    test("end as failed with the reason in their history, those that are still held", async () => {
      await put(
        store,
        delivery("held", { status: "held", attempts: [], fence: 3 }),
        waiting("waits"),
        finished("done", "delivered", "a1"),
      );
      const ids = ["held", "waits", "done", "unknown"];
      expect(await store.retention.expireHeld(ACME, ids, T0 + 50)).toBe(1);
      const ended = await stored(store, "held");
      expect(ended).toMatchObject({ status: "failed", finishedAtMs: T0 + 50, fence: 4, run: 1, attemptCount: 1 });
      expect(ended.attempts).toMatchObject([{ errorCode: "hold.expired", startedAtMs: T0 + 50, durationMs: 0 }]);
      expect(await stored(store, "waits")).toMatchObject({ status: "waiting", dueAtMs: T0 });
      expect(await store.retention.expireHeld(ACME, ids, T0 + 60)).toBe(0);
      expect(await purgeAll("deliveries", T0 + 50)).toBe(1);
    });

    test("none of another tenant", async () => {
      await put(store, delivery("held", { status: "held", tenant: GLOBEX }));
      expect(await store.retention.expireHeld(ACME, ["held"], T0)).toBe(0);
      expect(await stored(store, "held", GLOBEX)).toMatchObject({ status: "held" });
    });
  });

  describe(`${name}: turns`, () => {
    const take = (holder: string, nowMs: number, ports: StorePorts = store) =>
      ports.retention.takeTurn({ holder, nowMs, leaseMs: MINUTE_MS });

    test("are one process's until its lease ends, which it may renew", async () => {
      const other = await store.connect();
      expect(await take("a", T0)).toEqual({ state: null });
      expect(await take("b", T0 + 1, other)).toBeUndefined();
      expect(await take("a", T0 + 50_000)).toEqual({ state: null });
      expect(await take("b", T0 + 50_000 + MINUTE_MS - 1, other)).toBeUndefined();
      expect(await take("b", T0 + 50_000 + MINUTE_MS, other)).toEqual({ state: null });
      expect(await take("a", T0 + 50_001 + MINUTE_MS)).toBeUndefined();
    });

    test("hand on what the holder kept, also over a restart; who is no holder keeps nothing", async () => {
      await take("a", T0);
      await store.retention.keepState("a", "of a");
      await store.retention.keepState("b", "of b");
      const again = await store.reopen();
      expect(await take("b", T0 + MINUTE_MS, again)).toEqual({ state: "of a" });
      await again.retention.keepState("b", "of b");
      expect(await take("b", T0 + MINUTE_MS, again)).toEqual({ state: "of b" });
    });

    test("one that a clock a year ahead took is free when clocks are right again", async () => {
      expect(await take("wrong", T0 + 365 * 24 * 3_600_000)).toEqual({ state: null });
      expect(await take("right", T0)).toEqual({ state: null });
    });

    test("of many who ask at once one has it", async () => {
      const ports = await Promise.all([store.connect(), store.connect()]);
      const all = [store, ...ports].flatMap((each, at) => [take(`${at}a`, T0, each), take(`${at}b`, T0, each)]);
      expect((await Promise.all(all)).filter((turn) => turn !== undefined)).toHaveLength(1);
    });
  });
}
