/** DeliveryStore.flush: how writes meet what is stored (protocol, rules 3 to 5). */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/kernel/limits.ts";
import {
  ACME,
  attempt,
  claim,
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
  triedOnce,
  waiting,
} from "./rows.ts";

const ids = (of: { readonly attempts: readonly { readonly id: string }[] }) => of.attempts.map(({ id }) => id);

export function deliveryFlushContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: events`, () => {
    test("an event comes back as it was stored, after a restart too", async () => {
      const odd = event("evt_ü", { passId: "ß/1", entityId: "shop", content: "\0\u{1f4a9}", loggedAtMs: T0 + 7 });
      const empty = event("evt_0", { content: "" });
      await store.deliveries.flush({ events: [odd, empty], deliveries: [] });
      expect(await store.deliveries.getEvent(odd)).toEqual(odd);
      const again = await store.reopen();
      expect(await again.deliveries.getEvent(odd)).toEqual(odd);
      expect(await again.deliveries.getEvent(empty)).toEqual(empty);
    });

    test("other content under a known id is a conflict: the first one stands, its `first` writes are left out", async () => {
      await store.deliveries.flush({ events: [event("evt_1")], deliveries: [] });
      const rival = event("evt_1", { content: "something else" });
      const result = await store.deliveries.flush({
        events: [event("evt_2"), rival],
        deliveries: [first(waiting("d1")), first(waiting("d2", T0, { eventId: "evt_2" }))],
      });
      expect(result.conflicts).toEqual([{ tenant: ACME, id: "evt_1" }]);
      expect(result.applied).toEqual([false, true]);
      expect((await store.deliveries.getEvent(rival))?.contentHash).toBe(event("evt_1").contentHash);
      expect(await store.deliveries.getDelivery(ACME, "d1")).toBeUndefined();
      expect((await stored(store, "d2")).status).toBe("waiting");
    });

    test("a conflict leaves out nothing of another tenant's event of the same id", async () => {
      await store.deliveries.flush({ events: [event("evt_1")], deliveries: [] });
      const result = await store.deliveries.flush({
        events: [event("evt_1", { content: "else" }), event("evt_1", { tenant: GLOBEX, content: "else" })],
        deliveries: [first(waiting("d1")), first(waiting("d1", T0, { tenant: GLOBEX }))],
      });
      expect(result).toEqual({ conflicts: [{ tenant: ACME, id: "evt_1" }], applied: [false, true] });
    });

    test("the outcome of a claimed delivery is written although its event met a conflict in the same batch", async () => {
      await put(store, waiting("d1"));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      const result = await store.deliveries.flush({
        events: [event("evt_1", { content: "else" })],
        deliveries: [outcome(mine.delivery, { status: "delivered", finishedAtMs: T0 }, "a1")],
      });
      expect(result.applied).toEqual([true]);
    });

    test("two contents under one id in one batch: one of them stands, the other is the conflict", async () => {
      const [left, right] = [event("evt_1", { content: "left" }), event("evt_1", { content: "right" })];
      const result = await store.deliveries.flush({ events: [left, right], deliveries: [] });
      expect(result.conflicts).toEqual([{ tenant: ACME, id: "evt_1" }]);
      expect([left.contentHash, right.contentHash]).toContain((await store.deliveries.getEvent(left))?.contentHash);
    });

    test("the same content again is no conflict, and the earliest log time is kept", async () => {
      for (const loggedAtMs of [T0, T0 - 50, T0 + 50]) {
        const { conflicts } = await store.deliveries.flush({
          events: [event("evt_1", { loggedAtMs })],
          deliveries: [],
        });
        expect(conflicts).toEqual([]);
      }
      expect((await store.deliveries.getEvent(event("evt_1")))?.loggedAtMs).toBe(T0 - 50);
    });
  });

  describe(`${name}: first writes`, () => {
    test("a delivery comes back as it was stored, in every state, after a restart too", async () => {
      const written = [
        waiting("d_waiting", T0 + 3),
        leased("d_leased", T0 + LEASE_MS),
        delivery("d_held", { status: "held", workClass: "replay" }),
        triedOnce("d_tried", "a1"),
        finished("d_delivered", "delivered", "a2", { subscriptionId: "sub_ü", passId: "ß" }),
        finished("d_failed", "failed", "a3"),
        delivery("d_cancelled", { status: "cancelled", finishedAtMs: T0 }),
      ];
      expect((await put(store, ...written)).applied).toEqual(written.map(() => true));
      const again = await store.reopen();
      for (const one of written) {
        if (one.status === "attempting") continue; // A restart may end the leases of the dead.
        expect(await again.deliveries.getDelivery(ACME, one.id)).toEqual(one);
      }
    });

    test("an attempt's whole record comes back", async () => {
      const full = attempt("a1", {
        errorMessage: "503 „später“",
        request: {
          method: "PUT",
          url: "https://a.example/",
          headers: { a: "", b: "c" },
          bodySha256: "00ff",
          bodyBytes: 9,
        },
        connection: { dnsMs: 3, connectMs: 0, tlsMs: 12 },
        responseHeaders: { "retry-after": "7" },
        responseExcerpt: "\ufffd\0 busy",
      });
      await put(store, finished("d1", "failed", "x", { attempts: [full] }));
      expect((await stored(store, "d1")).attempts).toEqual([full]);
    });

    test("a spill that meets a row changes nothing and gains no lease", async () => {
      await put(store, triedOnce("d1", "a1"));
      const before = await stored(store, "d1");
      for (const spill of [leased("d1", T0 + 1), waiting("d1", T0), delivery("d1", { status: "held" })]) {
        expect(await flush(store, first(spill))).toEqual([false]);
      }
      expect(await stored(store, "d1")).toEqual(before);
    });

    test.each(["waiting", "held"] as const)("a delivered outcome makes a %s row of run 1 delivered", async (status) => {
      const row = status === "waiting" ? waiting("d1", T0 + 9) : delivery("d1", { status: "held" });
      await put(store, row);
      expect(await flush(store, first(finished("d1", "delivered", "a1")))).toEqual([true]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({ status: "delivered", fence: 1, run: 1, attemptCount: 1, finishedAtMs: T0 + 100 });
      expect(after).not.toHaveProperty("dueAtMs");
      expect(ids(after)).toEqual(["a1"]);
    });

    test("an attempt that is known is not counted again where the state is taken", async () => {
      await put(store, triedOnce("d1", "a1"));
      const again = finished("d1", "delivered", "x", { attempts: [attempt("a1"), attempt("a2")] });
      expect(await flush(store, first(again))).toEqual([true]);
      expect(await stored(store, "d1")).toMatchObject({ status: "delivered", attemptCount: 2, runAttempts: 2 });
    });

    test("a delivered outcome takes a claimed row too, and the claim's own outcome comes too late", async () => {
      await put(store, waiting("d1"));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      expect(await flush(store, first(finished("d1", "delivered", "a1")))).toEqual([true]);
      const late = outcome(mine.delivery, { status: "waiting", dueAtMs: T0, workClass: "retry" }, "a2");
      expect(await flush(store, late)).toEqual([false]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({ status: "delivered", fence: 2, attemptCount: 2 });
      expect(after).not.toHaveProperty("leaseUntilMs");
      expect(ids(after)).toEqual(["a1", "a2"]);
    });

    test.each(["delivered", "failed", "cancelled"] as const)(
      "a %s row stands: the attempt is appended",
      async (status) => {
        await put(store, finished("d1", status, "a1"));
        const before = await stored(store, "d1");
        for (const late of ["delivered", "failed"] as const) {
          expect(await flush(store, first(finished("d1", late, `late_${late}`)))).toEqual([false]);
        }
        const attempts = [...before.attempts, ...["late_delivered", "late_failed"].map((id) => attempt(id))];
        expect(await stored(store, "d1")).toEqual({ ...before, attempts, attemptCount: 3 });
      },
    );

    test("in a later run a delivered outcome of the first is only appended", async () => {
      await put(store, finished("d1", "failed", "a1"));
      await store.deliveries.retry(ACME, "d1", T0);
      expect(await flush(store, first(finished("d1", "delivered", "a2")))).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "waiting", run: 2, runAttempts: 0, attemptCount: 2 });
    });

    test("an outcome that is not delivered leaves a waiting row as it is", async () => {
      await put(store, triedOnce("d1", "a1", T0 + 5_000));
      const worse = [triedOnce("d1", "a2", T0 + 60_000), finished("d1", "failed", "a3")];
      expect(await flush(store, ...worse.map(first))).toEqual([false, false]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({
        status: "waiting",
        dueAtMs: T0 + 5_000,
        fence: 0,
        runAttempts: 1,
        attemptCount: 3,
      });
      expect(ids(after)).toEqual(["a1", "a2", "a3"]);
    });

    test.each([
      [{ status: "waiting", workClass: "retry", dueAtMs: T0 + 9 } as const],
      [{ status: "failed", finishedAtMs: T0 + 100 } as const],
      [{ status: "delivered", finishedAtMs: T0 + 100 } as const],
    ])("a spill under a lease takes the outcome of the one who holds it: $status", async (next) => {
      const spill = leased("d1", T0 + LEASE_MS);
      await put(store, spill);
      expect(await flush(store, outcome(spill, next, "a1"))).toEqual([true]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({ ...next, fence: 0, runAttempts: 1, attemptCount: 1 });
      expect(after).not.toHaveProperty("leaseUntilMs");
    });

    test("whoever met another's spill, and so holds no lease, changes its state by a delivery alone", async () => {
      const spill = leased("d1", T0 + LEASE_MS);
      await put(store, spill);
      expect(await flush(store, first(finished("d1", "failed", "a1")))).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "attempting", fence: 0, attemptCount: 1 });
      expect(await flush(store, first(finished("d1", "delivered", "a2")))).toEqual([true]);
      const late = { status: "failed", finishedAtMs: T0 + 200 } as const;
      expect(await flush(store, outcome(spill, late, "a3"))).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "delivered", fence: 1, attemptCount: 3 });
    });
  });

  describe(`${name}: outcomes of claimed deliveries`, () => {
    async function claimed(id: string) {
      await put(store, triedOnce(id, "a1", T0));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      return mine.delivery;
    }

    test.each([
      [{ status: "delivered", finishedAtMs: T0 + 1 } as const],
      [{ status: "failed", finishedAtMs: T0 + 1 } as const],
      [{ status: "waiting", dueAtMs: T0 + 60_000, workClass: "retry" } as const],
    ])("$status is written with its attempt", async (next) => {
      const mine = await claimed("d1");
      expect(await flush(store, outcome(mine, next, "a2"))).toEqual([true]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({ ...next, fence: 1, run: 1, runAttempts: 2, attemptCount: 2 });
      expect(ids(after)).toEqual(["a1", "a2"]);
      expect(after).not.toHaveProperty("leaseUntilMs");
    });

    test.each([{ status: "held" } as const, { status: "cancelled", finishedAtMs: T0 + 1 } as const])(
      "$status needs no attempt",
      async (next) => {
        const mine = await claimed("d1");
        expect(await flush(store, outcome(mine, next))).toEqual([true]);
        expect(await stored(store, "d1")).toMatchObject({ ...next, runAttempts: 1, attemptCount: 1 });
      },
    );

    test("with an older fence the attempt is appended and the state stands", async () => {
      const mine = await claimed("d1");
      const [theirs] = (await claim(store, { nowMs: T0 + LEASE_MS })).claimed;
      expect(theirs?.delivery.fence).toBe(2);
      expect(await flush(store, outcome(mine, { status: "failed", finishedAtMs: T0 }, "late"))).toEqual([false]);
      const after = await stored(store, "d1");
      expect(after).toMatchObject({ status: "attempting", fence: 2, runAttempts: 1, attemptCount: 2 });
      expect(ids(after)).toEqual(["a1", "late"]);
    });

    test("with another run it is refused", async () => {
      const mine = await claimed("d1");
      expect(await flush(store, outcome({ ...mine, run: 2 }, { status: "held" }))).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "attempting", run: 1 });
    });

    test("only once: afterwards the row is not attempting any more", async () => {
      const mine = await claimed("d1");
      const next = { status: "waiting", dueAtMs: T0 + 1, workClass: "retry" } as const;
      expect(await flush(store, outcome(mine, next, "a2"))).toEqual([true]);
      const other = outcome(mine, { status: "failed", finishedAtMs: T0 }, "a3");
      expect(await flush(store, other)).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "waiting", attemptCount: 3, runAttempts: 2 });
    });

    test("for a delivery that is not stored it is refused, and makes none", async () => {
      const nobody = delivery("d_none", { fence: 1 });
      expect(await flush(store, outcome(nobody, { status: "held" }, "a1"))).toEqual([false]);
      expect(await store.deliveries.getDelivery(ACME, "d_none")).toBeUndefined();
    });
  });

  describe(`${name}: repeated and parallel flushes`, () => {
    test("a flush whose answer was lost leaves the same when it is sent again", async () => {
      await put(store, waiting("d_claimed"), leased("d_spilled", T0 + LEASE_MS));
      const { claimed } = await claim(store);
      const mine = claimed.map((one) => one.delivery);
      expect(mine.map(({ id }) => id)).toEqual(["d_claimed"]);
      const batch = {
        events: [event("evt_1"), event("evt_2", { loggedAtMs: T0 + 5 })],
        deliveries: [
          ...mine.map((one) => outcome(one, { status: "failed", finishedAtMs: T0 }, "b1")),
          first(finished("d_spilled", "delivered", "b2")),
          first(triedOnce("d_new", "b3", T0 + 1, { eventId: "evt_2" })),
          first(leased("d_newly_spilled", T0 + LEASE_MS, { eventId: "evt_2" })),
        ],
      };
      expect((await store.deliveries.flush(batch)).applied).toEqual([true, true, true, true]);
      const read = () =>
        Promise.all(["d_claimed", "d_spilled", "d_new", "d_newly_spilled"].map((id) => stored(store, id)));
      const once = await read();
      expect((await store.deliveries.flush(batch)).conflicts).toEqual([]);
      expect(await read()).toEqual(once);
    });

    test("of many attempts the first and the last ones are kept, and all are counted", async () => {
      await put(store, triedOnce("d1", "a0"));
      const late = Array.from({ length: 40 }, (_, index) => first(finished("d1", "failed", `a${index + 1}`)));
      await flush(store, ...late);
      const after = await stored(store, "d1");
      expect(after.attemptCount).toBe(41);
      expect(ids(after)).toEqual(["a0", ...Array.from({ length: LIMITS.attemptsKept - 1 }, (_, i) => `a${i + 21}`)]);
    });

    test("a history that is too long is cut when it is inserted", async () => {
      const attempts = Array.from({ length: 30 }, (_, index) => attempt(`a${index}`));
      await put(store, finished("d1", "failed", "x", { attempts }));
      const kept = ids(await stored(store, "d1"));
      expect([kept.length, kept[0], kept[1], kept.at(-1)]).toEqual([LIMITS.attemptsKept, "a0", "a10", "a29"]);
    });

    test("parallel flushes of one delivery leave one row, with every attempt", async () => {
      const other = await store.connect();
      await store.deliveries.flush({ events: [event("evt_1")], deliveries: [] });
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, index) =>
          flush(index % 2 === 0 ? store : other, first(finished("d1", "failed", `a${index}`))),
        ),
      );
      expect(results.flat().filter(Boolean)).toHaveLength(1);
      const after = await stored(store, "d1");
      expect(new Set(ids(after)).size).toBe(12);
      expect(after).toMatchObject({ status: "failed", attemptCount: 12 });
    });

    test("a batch of a thousand is stored whole", async () => {
      const batch = Array.from({ length: 1_000 }, (_, index) =>
        finished(`d${index}`, "delivered", `a${index}`, { eventId: `evt_${index}` }),
      );
      expect((await put(store, ...batch)).applied).not.toContain(false);
      const known = await store.deliveries.knownDeliveries(ACME, [...batch.map(({ id }) => id), "d_none"]);
      expect(known).toEqual(new Set(batch.map(({ id }) => id)));
    });
  });
}
