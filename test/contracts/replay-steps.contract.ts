/** ReplayJobs: the steps that make deliveries due, once each; and DeliveryLog's cancel. */
import { describe, expect, test } from "vitest";
import { newDelivery } from "../../src/delivery/replay.ts";
import { item, LEASE, NOW, step, taken } from "./replay-rows.ts";
import {
  ACME,
  claim,
  delivery,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  outcome,
  put,
  type StoreUnderTest,
  stored,
  T0,
  waiting,
} from "./rows.ts";

export function replaySteps(name: string, the: () => StoreUnderTest): void {
  describe(`${name}: the steps of a replay`, () => {
    test.each(["failed", "delivered", "cancelled"] as const)("a %s delivery starts its next run", async (status) => {
      const before = finished("d1", status, "a1", { sequence: 3 });
      await put(the(), before);
      const after = await the().replays.step(
        step(await taken(the()), { due: ["d1"], cursor: { timeMs: T0, sequence: 3, id: "d1" } }),
      );
      expect(after).toMatchObject({ sent: 1, skipped: 0, leaseUntilMs: NOW + LEASE, cursor: { id: "d1" } });
      const { finishedAtMs: _finished, ...kept } = before;
      const next = {
        status: "waiting",
        workClass: "replay",
        dueAtMs: NOW,
        run: 2,
        fence: 1,
        runAttempts: 0,
        replayId: "rpl_1",
      };
      expect(await stored(the(), "d1")).toEqual({ ...kept, ...next });
      const [mine] = (await claim(the(), { nowMs: NOW })).claimed;
      expect(mine?.delivery).toMatchObject({ id: "d1", replayId: "rpl_1", run: 2, fence: 2 });
    });

    test("one that is open, or another's, or not there, is left alone and counted", async () => {
      const open = [
        waiting("d1"),
        delivery("d2", { status: "held" }),
        delivery("d3", { status: "attempting", leaseUntilMs: T0 + 1e6 }),
      ];
      const theirs = finished("d4", "failed", "a4", { tenant: GLOBEX });
      await put(the(), ...open, theirs);
      const after = await the().replays.step(
        step(await taken(the()), { due: ["d1", "d2", "d3", "d4", "d5"], skipped: 2 }),
      );
      expect(after).toMatchObject({ sent: 0, skipped: 7 });
      for (const row of open) expect(await stored(the(), row.id)).toEqual(row);
      expect(await stored(the(), "d4", GLOBEX)).toEqual(theirs);
    });

    test("one whose event is no longer stored stays as it ended", async () => {
      const alone = finished("d1", "delivered", "a1", { eventId: "evt_gone" });
      await flush(the(), first(alone));
      const job = await taken(the());
      const fresh = newDelivery(job, { ...item, eventId: "evt_gone" }, NOW);
      const after = await the().replays.step(step(job, { due: ["d1"], fresh: [fresh] }));
      expect(after).toMatchObject({ sent: 0, skipped: 2 });
      expect(await stored(the(), "d1")).toEqual(alone);
      expect(await the().deliveries.getDelivery(ACME, fresh.id)).toBeUndefined();
    });

    test("one that carries the replay's id already counts and stays, so that a step made twice sends once", async () => {
      await put(the(), finished("d1", "failed", "a1"));
      const job = await taken(the());
      const fresh = newDelivery({ ...job, freshIds: true }, item, NOW);
      await the().replays.step(step(job, { due: ["d1"], fresh: [fresh] }));
      const [once, anew] = [await stored(the(), "d1"), await stored(the(), fresh.id)];
      expect(await the().replays.step(step(job, { due: ["d1"], fresh: [fresh] }))).toMatchObject({
        sent: 4,
        skipped: 0,
      });
      expect(await stored(the(), "d1")).toEqual(once);
      expect(await stored(the(), fresh.id)).toEqual(anew);
    });

    test("a delivery that had no row is there, and one that had starts its next run", async () => {
      await the().deliveries.flush({ events: [event("evt_1"), event("evt_2")], deliveries: [] });
      const job = await taken(the());
      const made = newDelivery(job, item, NOW);
      const known = newDelivery(job, { ...item, eventId: "evt_2" }, NOW);
      await put(the(), finished(known.id, "delivered", "a1", { eventId: "evt_2", subscriptionId: "sub_1" }));
      const open = waiting("d3");
      await put(the(), open);
      const after = await the().replays.step(step(job, { fresh: [made, known, { ...made, id: "d3" }] }));
      expect(after).toMatchObject({ sent: 2, skipped: 1 });
      expect(await stored(the(), made.id)).toEqual(made);
      expect(await stored(the(), known.id)).toMatchObject({
        status: "waiting",
        run: 2,
        attemptCount: 1,
        replayId: "rpl_1",
      });
      expect(await stored(the(), "d3")).toEqual(open);
    });

    test("a worker's late write of the run before is refused", async () => {
      await put(the(), waiting("d1"));
      const [late] = (await claim(the())).claimed;
      if (late === undefined) throw new Error("nothing was claimed");
      await flush(the(), outcome(late.delivery, { status: "failed", finishedAtMs: T0 }, "a1"));
      await the().replays.step(step(await taken(the()), { due: ["d1"] }));
      expect(await flush(the(), outcome(late.delivery, { status: "delivered", finishedAtMs: NOW }, "a2"))).toEqual([
        false,
      ]);
      expect(await stored(the(), "d1")).toMatchObject({ status: "waiting", run: 2, attemptCount: 2 });
    });

    test("it is counted what waits for its first attempt, and where the others stand", async () => {
      const ids = ["d1", "d2", "d3", "d4"];
      await put(the(), ...ids.map((id) => finished(id, "failed", `a${id}`)));
      const job = await taken(the());
      await the().replays.step(step(job, { due: ids }));
      expect(await the().replays.unattempted(ACME, "rpl_1", 100)).toBe(4);
      expect(await the().replays.unattempted(ACME, "rpl_1", 3)).toBe(3);
      expect(await the().replays.unattempted(GLOBEX, "rpl_1", 100)).toBe(0);
      const { claimed } = await claim(the(), { nowMs: NOW });
      expect(await the().replays.unattempted(ACME, "rpl_1", 100)).toBe(4);
      const [one, two, three] = claimed.map((each) => each.delivery);
      if (one === undefined || two === undefined || three === undefined) throw new Error("too few were claimed");
      await flush(
        the(),
        outcome(one, { status: "delivered", finishedAtMs: NOW }, "b1"),
        outcome(two, { status: "failed", finishedAtMs: NOW }, "b2"),
        outcome(three, { status: "waiting", dueAtMs: NOW + 1, workClass: "replay" }, "b3"),
      );
      expect(await the().replays.unattempted(ACME, "rpl_1", 100)).toBe(1);
      expect(await the().replays.progress(ACME, "rpl_1")).toEqual({ pending: 2, delivered: 1, failed: 1 });
      expect(await the().replays.progress(GLOBEX, "rpl_1")).toEqual({ pending: 0, delivered: 0, failed: 0 });
    });

    test("a pass is busy while it has something open at the subscription, in its chain or by whichever replay", async () => {
      await put(
        the(),
        finished("d1", "failed", "a1", { passId: "p1", subscriptionId: "sub_a" }),
        delivery("d2", { status: "held", sequence: 2, passId: "p2", subscriptionId: "sub_a" }),
        finished("d3", "failed", "a3", { passId: "p3", subscriptionId: "sub_a", sequence: 3 }),
        finished("d4", "failed", "a4", { passId: "p3", subscriptionId: "sub_a", replayId: "rpl_0" }),
        waiting("d5", T0, { passId: "p1", subscriptionId: "sub_b", tenant: GLOBEX, sequence: 1 }),
      );
      await the().replays.step(step(await taken(the()), { due: ["d1"] }));
      const pairs = ["sub_a", "sub_b"].flatMap((subscriptionId) =>
        ["p1", "p2", "p3"].map((passId) => ({ subscriptionId, passId })),
      );
      const busy = ["p1", "p2"].map((passId) => ({ subscriptionId: "sub_a", passId }));
      expect(await the().replays.busyPasses(ACME, pairs)).toEqual(busy);
      expect(await the().replays.busyPasses(GLOBEX, pairs)).toEqual([{ subscriptionId: "sub_b", passId: "p1" }]);
      const mine = (await claim(the(), { nowMs: NOW })).claimed.find(({ delivery: { id } }) => id === "d1");
      if (mine === undefined) throw new Error("d1 was not claimed");
      expect(await the().replays.busyPasses(ACME, pairs)).toEqual(busy);
      await flush(the(), outcome(mine.delivery, { status: "delivered", finishedAtMs: NOW }, "b1"));
      expect(await the().replays.busyPasses(ACME, pairs)).toEqual(busy.slice(1));
      await the().deliveries.cancel(ACME, "d2", NOW);
      expect(await the().replays.busyPasses(ACME, pairs)).toEqual([]);
    });

    test("events come by id, those that are stored, of one tenant", async () => {
      const events = [event("evt_1"), event("evt_2", { passId: "p2" })];
      await the().deliveries.flush({ events, deliveries: [] });
      const found = await the().replays.events(ACME, ["evt_2", "evt_none", "evt_1"]);
      expect(new Map([...found].toSorted())).toEqual(new Map(events.map((each) => [each.id, each])));
      expect(await the().replays.events(GLOBEX, ["evt_1"])).toEqual(new Map());
    });

    test("a retry by hand is no part of a replay any more", async () => {
      await put(the(), finished("d1", "failed", "a1"));
      await the().replays.step(step(await taken(the()), { due: ["d1"] }));
      const retried = await the().deliveries.retry(ACME, "d1", NOW + 1);
      expect(retried).toMatchObject({ status: "waiting", workClass: "live", run: 2 });
      expect(retried).not.toHaveProperty("replayId");
      expect(await stored(the(), "d1")).toEqual(retried);
    });

    test("a retry by hand of a folded one says no longer what it was folded into", async () => {
      await put(the(), waiting("d1", T0, { sequence: 1 }), delivery("d2", { status: "held", sequence: 2 }));
      const fold = { tenant: ACME, folded: [{ id: "d1", fence: 0 }], into: { id: "d2", fence: 0 }, claim: false };
      await the().deliveries.fold({ folds: [fold], nowMs: NOW, leaseMs: 1_000 });
      expect(await stored(the(), "d1")).toMatchObject({ status: "cancelled", foldedInto: "d2" });
      const retried = await the().deliveries.retry(ACME, "d1", NOW + 1);
      expect(retried).toMatchObject({ status: "waiting", run: 2 });
      expect(retried).not.toHaveProperty("foldedInto");
      expect(await stored(the(), "d1")).toEqual(retried);
    });
  });
}

export function cancelledDeliveries(name: string, the: () => StoreUnderTest): void {
  describe(`${name}: cancelling a delivery`, () => {
    test.each([waiting("d1", T0 + 1e6), delivery("d1", { status: "held" })])(
      "one that is $status ends, and whoever had it before is refused",
      async (open) => {
        await put(the(), open);
        const answer = await the().deliveries.cancel(ACME, "d1", NOW);
        const { dueAtMs: _due, ...kept } = open;
        const ended = { ...kept, status: "cancelled", fence: 1, finishedAtMs: NOW };
        expect(answer).toEqual({ cancelled: true, delivery: ended });
        expect(await stored(the(), "d1")).toEqual(ended);
        expect((await claim(the(), { nowMs: T0 + 1e9 })).claimed).toEqual([]);
        expect(await flush(the(), outcome(open, { status: "delivered", finishedAtMs: NOW }, "a9"))).toEqual([false]);
        expect((await stored(the(), "d1")).status).toBe("cancelled");
      },
    );

    test("one that is attempted, or has ended, stays as it is", async () => {
      const rows = [
        delivery("d1", { status: "attempting", leaseUntilMs: T0 + 1e6 }),
        ...(["delivered", "failed", "cancelled"] as const).map((status) =>
          finished(`d_${status}`, status, `a_${status}`),
        ),
      ];
      await put(the(), ...rows);
      for (const row of rows) {
        expect(await the().deliveries.cancel(ACME, row.id, NOW)).toEqual({ cancelled: false, delivery: row });
        expect(await stored(the(), row.id)).toEqual(row);
      }
    });

    test("of another tenant, or none at all, is not there", async () => {
      await put(the(), waiting("d1"));
      expect(await the().deliveries.cancel(GLOBEX, "d1", NOW)).toBeUndefined();
      expect(await the().deliveries.cancel(ACME, "d9", NOW)).toBeUndefined();
      expect((await stored(the(), "d1")).status).toBe("waiting");
    });
  });
}
