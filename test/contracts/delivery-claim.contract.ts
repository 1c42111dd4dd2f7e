/** DeliveryStore.claim and the sweeps: who gets what, when, and for how long. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ClaimResult } from "../../src/delivery/delivery-store.ts";
import type { Delivery, WorkClass } from "../../src/domain/delivery.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import {
  ACME,
  ACME_TEST,
  claim,
  claimedIds,
  delivery,
  event,
  finished,
  flush,
  GLOBEX,
  LEASE_MS,
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

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

const countBy = (result: ClaimResult): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const { delivery: of } of result.claimed) counts[of.subscriptionId] = (counts[of.subscriptionId] ?? 0) + 1;
  return counts;
};

/** `count` due deliveries of one subscription. */
function backlog(subscriptionId: string, count: number, over: Partial<Delivery> = {}): readonly Delivery[] {
  return range(count).map((index) =>
    waiting(`${subscriptionId}_${index}`, T0 - 10_000 + index, { subscriptionId, ...over }),
  );
}

export function deliveryClaimContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: claims`, () => {
    test("a claimed delivery has a new fence and lease, its event, and no attempts", async () => {
      await put(store, triedOnce("d1", "a1", T0));
      const { claimed, nextDueAtMs } = await claim(store);
      expect(nextDueAtMs).toBe(T0 + LEASE_MS);
      const { dueAtMs: _due, ...row } = triedOnce("d1", "a1", T0);
      expect(claimed).toEqual([
        {
          delivery: { ...row, status: "attempting", fence: 1, leaseUntilMs: T0 + LEASE_MS, attempts: [] },
          event: event("evt_1"),
        },
      ]);
      expect(await stored(store, "d1")).toMatchObject({
        status: "attempting",
        fence: 1,
        leaseUntilMs: T0 + LEASE_MS,
        attempts: [{ id: "a1" }],
      });
      expect(await stored(store, "d1")).not.toHaveProperty("dueAtMs");
    });

    test("only what waits and is due, or has an ended lease, is claimed", async () => {
      await put(
        store,
        waiting("due", T0),
        waiting("later", T0 + 1),
        leased("leased", T0 + 1),
        leased("lease_ended", T0),
        delivery("held", { status: "held" }),
        finished("delivered", "delivered", "a1"),
        finished("failed", "failed", "a2"),
        finished("cancelled", "cancelled", "a3"),
      );
      expect(new Set(claimedIds(await claim(store)))).toEqual(new Set(["due", "lease_ended"]));
      expect(claimedIds(await claim(store))).toEqual([]);
      expect(new Set(claimedIds(await claim(store, { nowMs: T0 + 1 })))).toEqual(new Set(["later", "leased"]));
    });

    test("the next due time is the earliest that is still to come", async () => {
      expect(await claim(store)).toEqual({ claimed: [] });
      await put(store, waiting("d1", T0 + 700), leased("d2", T0 + 300), waiting("d3", T0 + 500));
      expect((await claim(store)).nextDueAtMs).toBe(T0 + 300);
      const taken = await claim(store, { nowMs: T0 + 300 });
      expect([claimedIds(taken), taken.nextDueAtMs]).toEqual([["d2"], T0 + 500]);
      const rest = await claim(store, { nowMs: T0 + 700 });
      expect([new Set(claimedIds(rest)), rest.nextDueAtMs]).toEqual([new Set(["d3", "d1"]), T0 + 300 + LEASE_MS]);
    });

    test("what is left of a due backlog does not hide when the next is due", async () => {
      await put(store, ...backlog("sub_a", 5), waiting("soon", T0 + 40, { subscriptionId: "sub_a" }));
      const result = await claim(store, { limit: 2 });
      expect([result.claimed.length, result.nextDueAtMs]).toEqual([2, T0 + 40]);
    });

    test("held and terminal deliveries are never due", async () => {
      await put(store, delivery("held", { status: "held" }), finished("failed", "failed", "a1"));
      expect(await claim(store, { nowMs: T0 + 1e9 })).toEqual({ claimed: [] });
    });

    test("within a subscription live goes before retry before replay, each by its due time", async () => {
      const rows: readonly (readonly [string, WorkClass, number])[] = [
        ["replay_1", "replay", 1],
        ["retry_4", "retry", 4],
        ["retry_2", "retry", 2],
        ["live_9", "live", 9],
        ["live_3", "live", 3],
      ];
      await put(store, ...rows.map(([id, workClass, at]) => waiting(id, T0 - 100 + at, { workClass })));
      const order: string[] = [];
      for (const _ of rows) order.push(...claimedIds(await claim(store, { limit: 1 })));
      expect(order).toEqual(["live_3", "live_9", "retry_2", "retry_4", "replay_1"]);
    });

    test("a full claim is taken in the same order", async () => {
      await put(
        store,
        ...backlog("sub_a", 6, { workClass: "retry" }),
        waiting("urgent", T0, { subscriptionId: "sub_a" }),
      );
      const expected = ["urgent", ...range(6).map((index) => `sub_a_${index}`)];
      expect(claimedIds(await claim(store))).toEqual(expected);
    });

    test("the limit holds over all subscriptions, and each gets its share", async () => {
      await put(store, ...backlog("sub_a", 50), ...backlog("sub_b", 50), ...backlog("sub_c", 2));
      const result = await claim(store, { limit: 20 });
      expect(countBy(result)).toEqual({ sub_a: 9, sub_b: 9, sub_c: 2 });
      expect(new Set(claimedIds(result)).size).toBe(20);
    });

    test("where there are more subscriptions than the limit, each has its turn", async () => {
      await put(store, ...range(12).flatMap((index) => backlog(`sub_${String(index).padStart(2, "0")}`, 5)));
      const served = new Set<string>();
      for (const _ of range(4)) for (const id of Object.keys(countBy(await claim(store, { limit: 3 })))) served.add(id);
      expect(served.size).toBe(12);
    });

    test("an organisation with a hundred endpoints and thousands of due deliveries keeps no other's one waiting", async () => {
      const many = range(100).map((index) => `sub_${String(index).padStart(3, "0")}`);
      await put(store, ...many.slice(0, 50).flatMap((id) => backlog(id, 30)));
      await put(store, ...many.slice(50).flatMap((id) => backlog(id, 30, { tenant: ACME_TEST })));
      await put(store, waiting("theirs", T0, { tenant: GLOBEX, subscriptionId: "sub_z" }));
      const first = await claim(store, { limit: 20 });
      expect(claimedIds(first)).toContain("theirs");
      expect(first.claimed).toHaveLength(20);
      // Its own endpoints have their turns all the same.
      const served = new Set(Object.keys(countBy(first)));
      for (const _ of range(5))
        for (const id of Object.keys(countBy(await claim(store, { limit: 20 })))) served.add(id);
      expect(served.size).toBe(101);
    });

    test("free slots bound each subscription", async () => {
      await put(store, ...backlog("sub_a", 9), ...backlog("sub_b", 9), ...backlog("sub_c", 9));
      const slots = new Map([
        ["sub_a", 0],
        ["sub_b", 7],
      ]);
      const result = await claim(store, { slots, defaultSlots: 2 });
      expect(countBy(result)).toEqual({ sub_b: 7, sub_c: 2 });
    });

    test("a limit of none claims none, and still says what is next", async () => {
      await put(store, waiting("d1", T0), waiting("d2", T0 + 5));
      expect(await claim(store, { limit: 0 })).toEqual({ claimed: [], nextDueAtMs: T0 + 5 });
    });

    test("claims of many workers never collide", async () => {
      const workers: readonly StorePorts[] = [store, await store.connect(), await store.connect()];
      await put(store, ...range(6).flatMap((index) => backlog(`sub_${index}`, 40)));
      const claimed: string[] = [];
      while (claimed.length < 240) {
        const results = await Promise.all(
          workers.flatMap((worker) => [claim(worker, { limit: 17 }), claim(worker, { limit: 5 })]),
        );
        const ids = results.flatMap(claimedIds);
        expect(ids.length).toBeGreaterThan(0);
        claimed.push(...ids);
      }
      expect(new Set(claimed).size).toBe(240);
    });

    test("a lease that ends gives the work to the next, under a higher fence", async () => {
      await put(store, waiting("d1"));
      const [mine] = (await claim(store)).claimed;
      expect(claimedIds(await claim(store, { nowMs: T0 + LEASE_MS - 1 }))).toEqual([]);
      const [theirs] = (await claim(store, { nowMs: T0 + LEASE_MS })).claimed;
      expect([mine?.delivery.fence, theirs?.delivery.fence]).toEqual([1, 2]);
      if (mine === undefined || theirs === undefined) throw new Error("nothing was claimed");
      const done = { status: "delivered", finishedAtMs: T0 } as const;
      expect(await flush(store, outcome(mine.delivery, done, "a1"))).toEqual([false]);
      expect(await flush(store, outcome(theirs.delivery, done, "a2"))).toEqual([true]);
    });

    test("one event with many due deliveries comes with each of them", async () => {
      const subscriptions = range(5).map((index) => `sub_${index}`);
      await put(
        store,
        ...subscriptions.map((subscriptionId) => waiting(`d_${subscriptionId}`, T0, { subscriptionId })),
      );
      const { claimed } = await claim(store);
      expect(claimed.map((one) => one.event)).toEqual(subscriptions.map(() => event("evt_1")));
    });

    test("deliveries of the same ids in two tenants are claimed apart, each with its own event", async () => {
      const theirs = event("evt_1", { tenant: GLOBEX, content: "theirs" });
      await put(store, waiting("d1"));
      await store.deliveries.flush({
        events: [theirs],
        deliveries: [{ kind: "first", delivery: waiting("d1", T0, { tenant: GLOBEX }) }],
      });
      const { claimed } = await claim(store);
      const events = claimed.map((one) => [one.delivery.tenant.organisation, one.event]);
      expect(Object.fromEntries(events)).toEqual({ acme: event("evt_1"), globex: theirs });
    });
  });

  describe(`${name}: a clock that was set back`, () => {
    test("makes what waits due as much earlier, and nothing due before now; leases stand", async () => {
      const hour = 3_600_000;
      await put(
        store,
        waiting("past", T0 - 5),
        waiting("soon", T0 + hour - 1),
        waiting("ahead", T0 + hour + 5_000),
        leased("lease", T0 + hour + 60_000),
        finished("done", "failed", "a1"),
      );
      expect(await store.deliveries.turnBack({ nowMs: T0, byMs: hour })).toBe(2);
      const dueAt = async (id: string) => {
        const found = await store.deliveries.getDelivery(ACME, id);
        return found?.dueAtMs ?? found?.leaseUntilMs;
      };
      const times = ["past", "soon", "ahead", "lease", "done"].map((id) => dueAt(id));
      expect(await Promise.all(times)).toEqual([T0 - 5, T0, T0 + 5_000, T0 + hour + 60_000, undefined]);
      expect(await store.deliveries.turnBack({ nowMs: T0 + 61_000, byMs: hour })).toBe(0);
    });

    test("leaves leases that are longer than any; they are cut, and what waits as late is left", async () => {
      const hour = 3_600_000;
      await put(
        store,
        leased("healthy", T0 + LEASE_MS),
        leased("long", T0 + hour),
        leased("theirs", T0 + hour, { subscriptionId: "sub_2", tenant: GLOBEX }),
        waiting("late", T0 + hour),
        finished("done", "failed", "a1"),
      );
      const request = { beyondMs: T0 + LEASE_MS, toMs: T0 + LEASE_MS };
      expect(await store.deliveries.shortenLeases(request)).toBe(2);
      expect(await store.deliveries.shortenLeases(request)).toBe(0);
      expect(await stored(store, "healthy")).toMatchObject({ leaseUntilMs: T0 + LEASE_MS, fence: 0 });
      expect(await stored(store, "long")).toMatchObject({ status: "attempting", leaseUntilMs: T0 + LEASE_MS });
      expect(await stored(store, "late")).toMatchObject({ dueAtMs: T0 + hour });
      const { claimed } = await claim(store, { nowMs: T0 + LEASE_MS });
      expect(claimed.map(({ delivery: { id } }) => id).toSorted()).toEqual(["healthy", "long", "theirs"]);
    });
  });

  describe(`${name}: sweeps`, () => {
    const move = (over: Partial<Parameters<StorePorts["deliveries"]["moveOpen"]>[0]> & { readonly tenant?: Tenant }) =>
      store.deliveries.moveOpen({
        tenant: ACME,
        subscriptionId: "sub_a",
        from: "held",
        to: "waiting",
        nowMs: T0,
        limit: 100,
        ...over,
      });

    test("open subscriptions are those with waiting or held deliveries, by tenant", async () => {
      await put(
        store,
        ...backlog("sub_a", 3),
        delivery("h1", { status: "held", subscriptionId: "sub_a" }),
        delivery("h2", { status: "held", subscriptionId: "sub_b" }),
        waiting("w1", T0 + 1e6, { subscriptionId: "sub_c", tenant: GLOBEX }),
        leased("l1", T0 + 1, { subscriptionId: "sub_d" }),
        finished("f1", "failed", "a1", { subscriptionId: "sub_d" }),
        finished("f2", "delivered", "a2", { subscriptionId: "sub_e" }),
      );
      const open = await store.deliveries.openSubscriptions();
      expect(open.toSorted((left, right) => left.subscriptionId.localeCompare(right.subscriptionId))).toEqual([
        { tenant: ACME, subscriptionId: "sub_a", hasWaiting: true, hasHeld: true },
        { tenant: ACME, subscriptionId: "sub_b", hasWaiting: false, hasHeld: true },
        { tenant: GLOBEX, subscriptionId: "sub_c", hasWaiting: true, hasHeld: false },
      ]);
    });

    test("nothing is open where nothing is stored, or all is done", async () => {
      expect(await store.deliveries.openSubscriptions()).toEqual([]);
      await put(store, finished("f1", "failed", "a1"));
      expect(await store.deliveries.openSubscriptions()).toEqual([]);
    });

    test("held deliveries are released, the oldest first, due now, under a new fence", async () => {
      await put(
        store,
        ...[5, 3, 4, 1, 2].map((age) =>
          delivery(`d${age}`, { status: "held", subscriptionId: "sub_a", createdAtMs: T0 + age }),
        ),
      );
      expect(await move({ limit: 3, nowMs: T0 + 77 })).toBe(3);
      const states = await Promise.all([1, 2, 3, 4, 5].map((age) => stored(store, `d${age}`)));
      expect(states.map((row) => row.status)).toEqual(["waiting", "waiting", "waiting", "held", "held"]);
      expect(states[0]).toMatchObject({ dueAtMs: T0 + 77, fence: 1, run: 1 });
      expect(await move({})).toBe(2);
      expect(await move({})).toBe(0);
      expect((await claim(store, { nowMs: T0 + 77 })).claimed).toHaveLength(5);
    });

    test("waiting deliveries are held, and no longer due", async () => {
      await put(store, ...backlog("sub_a", 4), ...backlog("sub_b", 1));
      expect(await move({ from: "waiting", to: "held" })).toBe(4);
      expect(await stored(store, "sub_a_0")).toMatchObject({ status: "held", fence: 1 });
      expect(await stored(store, "sub_a_0")).not.toHaveProperty("dueAtMs");
      expect(claimedIds(await claim(store, { nowMs: T0 + 1e9 }))).toEqual(["sub_b_0"]);
    });

    test.each(["waiting", "held"] as const)("%s deliveries are cancelled, and then terminal", async (from) => {
      const rows = range(3).map((index) =>
        from === "held"
          ? delivery(`d${index}`, { status: "held", subscriptionId: "sub_a" })
          : waiting(`d${index}`, T0 + 1e6, { subscriptionId: "sub_a" }),
      );
      await put(store, ...rows);
      expect(await move({ from, to: "cancelled", nowMs: T0 + 5 })).toBe(3);
      expect(await stored(store, "d1")).toMatchObject({ status: "cancelled", finishedAtMs: T0 + 5, fence: 1 });
      expect(await store.deliveries.openSubscriptions()).toEqual([]);
    });

    test("what is being attempted or is done is not moved", async () => {
      await put(
        store,
        leased("l1", T0 + 1, { subscriptionId: "sub_a" }),
        finished("f1", "failed", "a1", { subscriptionId: "sub_a" }),
      );
      expect(await move({ from: "waiting", to: "cancelled" })).toBe(0);
      expect(await move({ from: "held", to: "cancelled" })).toBe(0);
    });

    test("the same subscription id in another tenant is another subscription", async () => {
      await put(store, ...backlog("sub_a", 2), ...backlog("sub_a", 3, { tenant: GLOBEX }));
      expect(await move({ tenant: ACME_TEST, from: "waiting", to: "held" })).toBe(0);
      expect(await move({ tenant: GLOBEX, from: "waiting", to: "held" })).toBe(3);
      expect((await stored(store, "sub_a_1")).status).toBe("waiting");
    });

    test("a delivery that was moved is no longer taken by the outcome of who had it before", async () => {
      await put(store, waiting("d1", T0, { subscriptionId: "sub_a" }));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      await flush(store, outcome(mine.delivery, { status: "held" }));
      await move({});
      const [again] = (await claim(store)).claimed;
      expect(again?.delivery.fence).toBe(3);
      expect(await flush(store, outcome(mine.delivery, { status: "failed", finishedAtMs: T0 }, "a1"))).toEqual([false]);
      expect((await stored(store, "d1")).status).toBe("attempting");
    });
  });
}
