/** Chains: what a store does for order per pass and for conflation (chains-store.ts). */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Chain, PromoteRequest } from "../../src/delivery/chains-store.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import {
  ACME,
  claim,
  claimedIds,
  delivery,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  LEASE_MS,
  leased,
  type MakeStore,
  outcome,
  put,
  type StoreUnderTest,
  stored,
  T0,
  waiting,
} from "./rows.ts";

const CHAIN: Chain = { tenant: ACME, subscriptionId: "sub_1", passId: "pass-1" };
const NEXT: PromoteRequest = { tenant: ACME, subscriptionId: "sub_1", afterPassId: "", limit: 100, nowMs: T0 + 900 };

const held = (id: string, sequence: number, over: Partial<Delivery> = {}): Delivery =>
  delivery(id, { status: "held", sequence, ...over });

export function deliveryOrderContract(name: string, make: MakeStore): void {
  describe(`${name}: order per pass`, () => {
    let store: StoreUnderTest;
    beforeEach(async () => {
      store = await make();
    });
    afterEach(() => store.close());

    const statusOf = async (id: string) => (await stored(store, id)).status;
    const open = async (...chains: readonly Chain[]) =>
      (await store.deliveries.openInChains(chains, 10)).map((rows) => rows.map(({ id }) => id));

    describe("openInChains", () => {
      test("tells what is open, by sequence, of the chains asked for and in their order", async () => {
        await put(
          store,
          held("d3", 30, { eventType: PassEventType.UPDATED, protocolEvent: true }),
          leased("d1", T0 + LEASE_MS, { sequence: 10 }),
          waiting("d2", T0, { sequence: 20 }),
          waiting("other-pass", T0, { sequence: 5, passId: "pass-2" }),
          waiting("other-subscription", T0, { sequence: 6, subscriptionId: "sub_2" }),
          waiting("other-tenant", T0, { sequence: 7, tenant: GLOBEX }),
        );
        const chains = [{ ...CHAIN, passId: "pass-2" }, { ...CHAIN, passId: "none" }, CHAIN];
        const [second, none, mine] = await store.deliveries.openInChains(chains, 10);
        expect(second?.map(({ id }) => id)).toEqual(["other-pass"]);
        expect(none).toEqual([]);
        expect(mine).toEqual([
          { id: "d1", eventType: PassEventType.CREATED, status: "attempting", sequence: 10, fence: 0 },
          { id: "d2", eventType: PassEventType.CREATED, status: "waiting", sequence: 20, fence: 0 },
          { id: "d3", eventType: PassEventType.UPDATED, status: "held", sequence: 30, protocolEvent: true, fence: 0 },
        ]);
        expect(await stored(store, "d3")).toHaveProperty("protocolEvent", true);
        expect(await stored(store, "d2")).not.toHaveProperty("protocolEvent");
        expect(await open({ ...CHAIN, tenant: GLOBEX }, { ...CHAIN, subscriptionId: "sub_2" })).toEqual([
          ["other-tenant"],
          ["other-subscription"],
        ]);
      });

      test("leaves out what is at its end, has no sequence, or is in a later run", async () => {
        await put(
          store,
          finished("done", "delivered", "a1", { sequence: 1 }),
          finished("failed", "failed", "a2", { sequence: 2 }),
          finished("again", "failed", "a3", { sequence: 3 }),
          waiting("plain"),
          held("d4", 4),
        );
        await store.deliveries.retry(ACME, "again", T0);
        expect(await open(CHAIN)).toEqual([["d4"]]);
        expect((await store.deliveries.openInChains([CHAIN], 1))[0]?.map(({ id }) => id)).toEqual(["d4"]);
      });

      test("goes from a sequence on, as far as asked for; a head is found behind any number of rows", async () => {
        const rows = Array.from({ length: 12 }, (_, at) => held(`d${at}`, at));
        await put(store, ...rows, held("e", 3, { passId: "pass-2" }));
        const [some] = await store.deliveries.openInChains([{ ...CHAIN, fromSequence: 7 }], 3);
        expect(some?.map(({ id }) => id)).toEqual(["d7", "d8", "d9"]);
        const heads = await store.deliveries.openInChains([CHAIN, { ...CHAIN, passId: "pass-2" }], 1);
        expect(heads.map(([head]) => head?.id)).toEqual(["d0", "e"]);
        expect(await store.deliveries.openInChains([], 1)).toEqual([]);
      });
    });

    describe("promote", () => {
      test("makes a held head due, by its age, and nothing behind it; a repeat does nothing", async () => {
        await put(store, held("d2", 2), held("d1", 1, { createdAtMs: T0 - 500 }), held("e1", 3, { passId: "pass-2" }));
        const both = [CHAIN, { ...CHAIN, passId: "pass-2" }];
        expect(await store.deliveries.promote(both, T0 - 100)).toBe(2);
        expect(await stored(store, "d1")).toMatchObject({ status: "waiting", dueAtMs: T0 - 500, fence: 1 });
        expect(await statusOf("d2")).toBe("held");
        // Made by a clock that is ahead of this one: due now all the same.
        expect(await stored(store, "e1")).toMatchObject({ status: "waiting", dueAtMs: T0 - 100 });
        expect(await store.deliveries.promote(both, T0)).toBe(0);
        expect(claimedIds(await claim(store)).toSorted()).toEqual(["d1", "e1"]);
      });

      test("waits for a head that waits, or is attempted, and goes on behind one that is at its end", async () => {
        await put(store, waiting("d1", T0, { sequence: 1 }), held("d2", 2), held("d3", 3));
        expect(await store.deliveries.promote([CHAIN], T0)).toBe(0);
        const [mine] = (await claim(store)).claimed;
        expect(await store.deliveries.promote([CHAIN], T0)).toBe(0);
        if (mine === undefined) throw new Error("nothing was claimed");
        expect(mine.delivery.sequence).toBe(1);
        await flush(store, outcome(mine.delivery, { status: "failed", finishedAtMs: T0 }, "a1"));
        expect(await store.deliveries.promote([CHAIN], T0)).toBe(1);
        expect([await statusOf("d2"), await statusOf("d3")]).toEqual(["waiting", "held"]);
      });

      test("is not kept back by a later run, and promotes none", async () => {
        await put(store, finished("d1", "failed", "a1", { sequence: 1 }), held("d2", 2));
        await store.deliveries.retry(ACME, "d1", T0);
        expect(await store.deliveries.promote([CHAIN], T0)).toBe(1);
        expect(await statusOf("d2")).toBe("waiting");
      });

      test("by two at once promotes once", async () => {
        const other = await store.connect();
        await put(store, held("d1", 1), held("d2", 2));
        const moved = await Promise.all([
          store.deliveries.promote([CHAIN], T0),
          other.deliveries.promote([CHAIN], T0),
          store.deliveries.promote([CHAIN], T0),
        ]);
        expect(moved.reduce((sum, one) => sum + one, 0)).toBe(1);
        expect([await statusOf("d1"), await statusOf("d2")]).toEqual(["waiting", "held"]);
      });

      test("reaches chains behind one that is longer than a look", async () => {
        const rows = Array.from({ length: 1_050 }, (_, at) => held(`a${at}`, at, { passId: "pass-a" }));
        await put(store, ...rows, held("b", 1, { passId: "pass-b" }), held("c", 1, { passId: "pass-c" }));
        const chains = ["pass-c", "pass-a", "pass-b"].map((passId) => ({ ...CHAIN, passId }));
        expect(await store.deliveries.promote(chains, T0)).toBe(3);
        expect([await statusOf("a0"), await statusOf("a1"), await statusOf("b"), await statusOf("c")]).toEqual([
          "waiting",
          "held",
          "waiting",
          "waiting",
        ]);
      });
    });

    describe("promoteNext", () => {
      test("walks a subscription's passes and promotes their heads, some at a time", async () => {
        await put(
          store,
          ...["pass-1", "pass-2", "pass-3"].flatMap((passId, at) => [
            held(`${passId}/a`, at, { passId }),
            held(`${passId}/b`, at + 10, { passId }),
          ]),
          held("other", 1, { subscriptionId: "sub_2" }),
          held("other-tenant", 1, { tenant: GLOBEX }),
        );
        const one = await store.deliveries.promoteNext({ ...NEXT, limit: 3 });
        expect(one).toEqual({ promoted: 2, lastPassId: "pass-2" });
        const two = await store.deliveries.promoteNext({ ...NEXT, limit: 3, afterPassId: "pass-2" });
        expect(two).toEqual({ promoted: 1 });
        expect(await store.deliveries.promoteNext(NEXT)).toEqual({ promoted: 0 });
        expect(await statusOf("pass-1/b")).toBe("held");
        expect(await statusOf("other")).toBe("held");
        expect((await stored(store, "other-tenant", GLOBEX)).status).toBe("held");
      });

      test("passes over a chain that is longer than a look", async () => {
        await put(
          store,
          ...[1, 2, 3, 4].map((at) => held(`a${at}`, at, { passId: "a" })),
          held("b1", 9, { passId: "b" }),
        );
        expect(await store.deliveries.promoteNext({ ...NEXT, limit: 2 })).toEqual({ promoted: 1, lastPassId: "a" });
        const rest = await store.deliveries.promoteNext({ ...NEXT, limit: 2, afterPassId: "a" });
        expect(rest).toEqual({ promoted: 1 });
      });
    });

    describe("fold", () => {
      const request = { nowMs: T0 + 5, leaseMs: LEASE_MS };

      test("ends the older ones and claims the newest", async () => {
        await put(store, waiting("d1", T0, { sequence: 1 }), held("d2", 2), held("d3", 3, { eventId: "evt_3" }));
        const [mine] = (await claim(store)).claimed;
        expect(mine?.delivery.id).toBe("d1");
        const folded = [
          { id: "d1", fence: 1 },
          { id: "d2", fence: 0 },
        ];
        const folds = [{ tenant: ACME, folded, into: { id: "d3", fence: 0 }, claim: true }];
        const claimed = await store.deliveries.fold({ folds, ...request });
        expect(claimed.map(({ delivery: one }) => [one.id, one.status, one.fence])).toEqual([["d3", "attempting", 1]]);
        expect(claimed[0]?.event).toEqual(event("evt_3"));
        expect(claimed[0]?.delivery).toMatchObject({ sequence: 3, leaseUntilMs: T0 + 5 + LEASE_MS });
        for (const id of ["d1", "d2"]) {
          const ended = { status: "cancelled", foldedInto: "d3", finishedAtMs: T0 + 5 };
          expect(await stored(store, id)).toMatchObject(ended);
        }
        expect(await stored(store, "d3")).toMatchObject({ status: "attempting", leaseUntilMs: T0 + 5 + LEASE_MS });
        // Whoever had it claimed comes too late, and whoever folded it holds it now.
        const late = { tenant: ACME, id: "d1", fence: 1, run: 1 };
        expect(await flush(store, outcome(late, { status: "delivered", finishedAtMs: T0 }, "a1"))).toEqual([false]);
        const now = { tenant: ACME, id: "d3", fence: 1, run: 1 };
        expect(await flush(store, outcome(now, { status: "delivered", finishedAtMs: T0 }, "a2"))).toEqual([true]);
      });

      test("leaves alone what has changed since it was read, and what is in a later run", async () => {
        await put(
          store,
          waiting("d1", T0, { sequence: 1 }),
          held("d2", 2),
          finished("d3", "failed", "a1", { sequence: 3 }),
          waiting("d4", T0, { sequence: 4 }),
        );
        await store.deliveries.retry(ACME, "d3", T0 + 9_999);
        await claim(store, { limit: 2 });
        const folded = ["d1", "d2", "d3"].map((id) => ({ id, fence: id === "d3" ? 1 : 0 }));
        const folds = [{ tenant: ACME, folded, into: { id: "d4", fence: 0 }, claim: true }];
        expect(await store.deliveries.fold({ folds, ...request })).toEqual([]);
        expect(await statusOf("d1")).toBe("attempting");
        expect(await stored(store, "d2")).toMatchObject({ status: "cancelled", foldedInto: "d4" });
        expect(await statusOf("d3")).toBe("waiting");
        expect(await statusOf("d4")).toBe("attempting");
      });

      test("leaves one alone that is the caller's already, and other tenants' of the same id", async () => {
        await put(
          store,
          waiting("d1", T0, { sequence: 1 }),
          waiting("d2", T0, { sequence: 2 }),
          waiting("d1", T0 + 1, { sequence: 1, tenant: GLOBEX }),
        );
        await claim(store);
        const folds = [{ tenant: ACME, folded: [{ id: "d1", fence: 1 }], into: { id: "d2", fence: 1 }, claim: false }];
        expect(await store.deliveries.fold({ folds, ...request })).toEqual([]);
        expect(await stored(store, "d1")).toMatchObject({ status: "cancelled", foldedInto: "d2" });
        expect(await stored(store, "d2")).toMatchObject({ status: "attempting", fence: 1 });
        expect((await stored(store, "d1", GLOBEX)).status).toBe("waiting");
      });
    });

    test("moveOpen releases, where that is asked for, only what is in no chain: without a sequence, or in a later run", async () => {
      const plain = delivery("plain", { status: "held" });
      await put(store, held("d1", 1), plain, held("d2", 2), { ...held("again", 0), run: 2 });
      const move = {
        tenant: ACME,
        subscriptionId: "sub_1",
        from: "held",
        to: "waiting",
        nowMs: T0,
        limit: 10,
      } as const;
      expect(await store.deliveries.moveOpen({ ...move, unsequenced: true })).toBe(2);
      expect(await statusOf("again")).toBe("waiting");
      expect([await statusOf("d1"), await statusOf("plain"), await statusOf("d2")]).toEqual([
        "held",
        "waiting",
        "held",
      ]);
      expect(await store.deliveries.moveOpen(move)).toBe(2);
    });

    test("moveOpen finds what is in no chain behind more of a chain than it may move", async () => {
      const behind = { status: "held", createdAtMs: T0 + 1 } as const;
      await put(
        store,
        ...[1, 2, 3, 4, 5].map((at) => held(`d${at}`, at)),
        ...["e1", "e2", "e3"].map((id) => delivery(id, behind)),
      );
      const ends = { tenant: ACME, subscriptionId: "sub_1", nowMs: T0, limit: 2, unsequenced: true } as const;
      const move = { ...ends, from: "held", to: "waiting" } as const;
      expect([await store.deliveries.moveOpen(move), await store.deliveries.moveOpen(move)]).toEqual([2, 1]);
      expect([await statusOf("e3"), await statusOf("d1")]).toEqual(["waiting", "held"]);
      const back = { ...ends, from: "waiting", to: "cancelled" } as const;
      expect([await store.deliveries.moveOpen(back), await store.deliveries.moveOpen(back)]).toEqual([2, 1]);
      expect(await statusOf("d1")).toBe("held");
    });

    test("a flush stores chains that meet rows of an earlier one, and a repeat of it changes nothing", async () => {
      await put(store, held("d2", 2));
      const rows = [1, 2, 3, 4].map((at) => first(held(`d${at}`, at)));
      expect(await flush(store, ...rows)).toEqual([true, false, true, true]);
      const repeated = await flush(store, ...rows);
      expect(repeated[1]).toBe(false);
      expect(await open(CHAIN)).toEqual([["d1", "d2", "d3", "d4"]]);
      expect((await stored(store, "d3")).fence).toBe(0);
    });
  });
}
