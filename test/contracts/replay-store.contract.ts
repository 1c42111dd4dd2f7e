/** ReplayStore and ReplayJobs: jobs under leases, what they go through, and the steps that make deliveries due. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { type ReplayCursor, type ReplayFilter, sourceOf } from "../../src/delivery/replay.ts";
import type { ReplayCandidate } from "../../src/delivery/replay-store.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import { atT0, item, LEASE, NOW, replay, step, taken } from "./replay-rows.ts";
import { cancelledDeliveries, replaySteps } from "./replay-steps.contract.ts";
import {
  ACME,
  ACME_TEST,
  allPages,
  delivery,
  event,
  finished,
  GLOBEX,
  type MakeStore,
  put,
  type StorePorts,
  type StoreUnderTest,
  stored,
  T0,
  waiting,
} from "./rows.ts";

export function replayStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());
  replayJobs(name, () => store);
  replayCandidates(name, () => store);
  replaySteps(name, () => store);
  cancelledDeliveries(name, () => store);
}

function replayJobs(name: string, the: () => StoreUnderTest): void {
  describe(`${name}: replays and their leases`, () => {
    test("a replay is read as it was written, by its own tenant alone", async () => {
      const whole = replay("rpl_1", {
        filter: {
          subscriptionId: "sub_1",
          eventTypes: [PassEventType.SCANNED],
          passId: "p",
          status: "failed",
          fromMs: 1,
          toMs: 2,
        },
        targetSubscriptionId: "sub_2",
        freshIds: true,
        ratePerSecond: 0.5,
      });
      expect(await the().replays.insert(whole, 10)).toBe(true);
      const other = await the().connect();
      expect(await other.replays.get(ACME, "rpl_1")).toEqual(whole);
      expect(await other.replays.get(ACME_TEST, "rpl_1")).toBeUndefined();
      expect(await other.replays.get(ACME, "rpl_2")).toBeUndefined();
    });

    test("a list falls by time, then id, in pages, of one tenant", async () => {
      for (let at = 0; at < 7; at++)
        await the().replays.insert(replay(`rpl_${at}`, { createdAtMs: T0 + Math.floor(at / 3) }), 10);
      await the().replays.insert(replay("rpl_theirs", { tenant: GLOBEX }), 10);
      const pages = await allPages((page) => the().replays.list(ACME, page), 3);
      expect(pages.map((page) => page.map(({ id }) => id))).toEqual([
        ["rpl_6", "rpl_5", "rpl_4"],
        ["rpl_3", "rpl_2", "rpl_1"],
        ["rpl_0"],
      ]);
    });

    test("no more are open than may be, also when many are made at once; one that is over makes room", async () => {
      const other = await the().connect();
      const made = await Promise.all(
        Array.from({ length: 8 }, (_, at) => (at % 2 === 0 ? the() : other).replays.insert(replay(`rpl_${at}`), 3)),
      );
      expect(made.filter(Boolean)).toHaveLength(3);
      expect(await the().replays.insert(replay("rpl_theirs", { tenant: GLOBEX }), 3)).toBe(true);
      const open = made.indexOf(true);
      await the().replays.change(ACME, `rpl_${open}`, "pause", NOW);
      expect(await the().replays.countOpen(ACME)).toBe(3);
      expect(await the().replays.countOpen(ACME_TEST)).toBe(0);
      expect(await the().replays.insert(replay("rpl_9"), 3)).toBe(false);
      await the().replays.change(ACME, `rpl_${open}`, "cancel", NOW);
      expect(await the().replays.countOpen(ACME)).toBe(2);
      expect(await the().replays.insert(replay("rpl_9"), 3)).toBe(true);
      expect(await the().replays.insert(replay("rpl_10"), 3)).toBe(false);
      const [mine] = (await the().replays.take(atT0)).filter(({ tenant }) => tenant.organisation === "acme");
      if (mine === undefined) throw new Error("nothing was taken");
      await the().replays.step(step(mine, { finished: true }));
      expect(await the().replays.insert(replay("rpl_10"), 3)).toBe(true);
    });

    test("of workers that come at once one gets each", async () => {
      for (let at = 0; at < 5; at++) await the().replays.insert(replay(`rpl_${at}`), 10);
      const other = await the().connect();
      const got = await Promise.all([the(), other, the(), other].map(({ replays }) => replays.take(atT0)));
      expect(
        got
          .flat()
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(["rpl_0", "rpl_1", "rpl_2", "rpl_3", "rpl_4"]);
      expect(got.flat().every(({ fence, leaseUntilMs }) => fence === 1 && leaseUntilMs === T0 + LEASE)).toBe(true);
    });

    test("a job is another's when its lease has ended, and the first one's steps are refused from then on", async () => {
      await put(the(), finished("d1", "failed", "a1"), finished("d2", "failed", "a2"));
      const mine = await taken(the());
      expect(await the().replays.take({ ...atT0, nowMs: T0 + LEASE - 1 })).toEqual([]);
      const [theirs] = await the().replays.take({ ...atT0, nowMs: T0 + LEASE });
      if (theirs === undefined) throw new Error("the lease did not end");
      expect(theirs.fence).toBe(mine.fence + 1);
      expect(await the().replays.step(step(mine, { due: ["d1"], skipped: 7 }))).toBeUndefined();
      expect((await stored(the(), "d1")).status).toBe("failed");
      expect(await the().replays.step(step(theirs, { due: ["d2"] }))).toMatchObject({ sent: 1, skipped: 0 });
    });

    test("a job whose lease ends later than any may is another's: a clock that was wrong wrote it", async () => {
      const mine = await taken(the());
      const latest = { leaseUntilMs: NOW + LEASE + 60_000 };
      await the().replays.step(step(mine, latest));
      expect(await the().replays.take({ ...atT0, nowMs: NOW })).toEqual([]);
      const [theirs] = await the().replays.take({ ...atT0, nowMs: NOW - 1 });
      expect(theirs?.fence).toBe(mine.fence + 1);
    });

    test("a step makes the lease longer, and one that ends it gives the job away", async () => {
      const mine = await taken(the());
      await the().replays.step(step(mine, { leaseUntilMs: NOW + LEASE }));
      expect(await the().replays.take({ ...atT0, nowMs: NOW + LEASE - 1 })).toEqual([]);
      await the().replays.step(step(mine, { leaseUntilMs: NOW }));
      expect(await the().replays.take({ ...atT0, nowMs: NOW })).toHaveLength(1);
    });

    test.each(["pause", "cancel"] as const)("after %s nothing is made due, whoever had the job", async (change) => {
      await put(the(), finished("d1", "failed", "a1"));
      const mine = await taken(the());
      const changed = await the().replays.change(ACME, "rpl_1", change, NOW);
      expect(changed).toMatchObject({ state: change === "pause" ? "paused" : "cancelled" });
      expect(changed).toEqual(await the().replays.get(ACME, "rpl_1"));
      expect(await the().replays.step(step(mine, { due: ["d1"] }))).toBeUndefined();
      expect((await stored(the(), "d1")).status).toBe("failed");
      expect(await the().replays.take({ ...atT0, nowMs: T0 + 1e9 })).toEqual([]);
    });

    test("a resumed job is taken at once and goes on from where it was", async () => {
      const mine = await taken(the());
      const cursor = { timeMs: T0, sequence: 4, id: "d1" };
      await the().replays.step(step(mine, { cursor, skipped: 3, deferred: [item] }));
      await the().replays.change(ACME, "rpl_1", "pause", NOW);
      await the().replays.change(ACME, "rpl_1", "resume", NOW);
      const [again] = await the().replays.take(atT0);
      expect(again).toMatchObject({ cursor, skipped: 3, deferred: [item], fence: 4 });
    });

    test("a change that the state does not allow changes nothing; nor one of another tenant", async () => {
      const mine = await taken(the());
      expect(await the().replays.change(ACME, "rpl_1", "resume", NOW)).toEqual(mine);
      expect(await the().replays.change(GLOBEX, "rpl_1", "cancel", NOW)).toBeUndefined();
      const over = await the().replays.step(step(mine, { finished: true }));
      expect(over).toMatchObject({ state: "finished", finishedAtMs: NOW });
      for (const change of ["pause", "resume", "cancel"] as const) {
        expect(await the().replays.change(ACME, "rpl_1", change, NOW + 5)).toEqual(over);
      }
      expect(await the().replays.take({ ...atT0, nowMs: T0 + 1e9 })).toEqual([]);
    });

    test("it is all there after a restart", async () => {
      const mine = await taken(the());
      const after = await the().replays.step(
        step(mine, { cursor: { timeMs: T0, sequence: -1, id: "d1" }, skipped: 2 }),
      );
      const reopened = await the().reopen();
      expect(await reopened.replays.get(ACME, "rpl_1")).toEqual(after);
    });
  });
}

/** All that a replay comes by, page by page. */
async function walked(store: StorePorts, filter: Partial<ReplayFilter>, limit: number, target?: string) {
  const wanted = { filter: { eventTypes: [], toMs: T0 + 1e6, ...filter } };
  const source = sourceOf(target === undefined ? wanted : { ...wanted, targetSubscriptionId: target });
  const all: ReplayCandidate[] = [];
  let after: ReplayCursor | undefined;
  do {
    const { items, next } = await store.replays.candidates(ACME, source, after, limit);
    expect(items.length).toBeLessThanOrEqual(limit);
    all.push(...items);
    after = next;
  } while (after !== undefined);
  return all.map(({ place }) => place.id);
}

function replayCandidates(name: string, the: () => StoreUnderTest): void {
  describe(`${name}: what a replay goes through`, () => {
    const { SCANNED } = PassEventType;
    const rows: readonly Delivery[] = [
      finished("d1", "delivered", "a1", { createdAtMs: T0 + 1, subscriptionId: "sub_a", passId: "p1" }),
      finished("d2", "failed", "a2", {
        createdAtMs: T0 + 2,
        subscriptionId: "sub_b",
        passId: "p1",
        eventType: SCANNED,
      }),
      finished("d3", "failed", "a3", { createdAtMs: T0 + 3, subscriptionId: "sub_a", passId: "p2" }),
      finished("d4", "cancelled", "a4", { createdAtMs: T0 + 4, subscriptionId: "sub_a", passId: "p1" }),
      waiting("d5", T0, { createdAtMs: T0 + 5, subscriptionId: "sub_b", passId: "p2" }),
      delivery("d6", { status: "held", createdAtMs: T0 + 6, subscriptionId: "sub_a", passId: "p1" }),
    ];
    const filters: readonly (readonly [Partial<ReplayFilter>, (of: Delivery) => boolean])[] = [
      [{}, () => true],
      [{ subscriptionId: "sub_a" }, (of) => of.subscriptionId === "sub_a"],
      [{ status: "failed" }, (of) => of.status === "failed"],
      [{ status: "delivered" }, (of) => of.status === "delivered"],
      [{ passId: "p1" }, (of) => of.passId === "p1"],
      [{ passId: "p1", subscriptionId: "sub_a", status: "cancelled" }, (of) => of.id === "d4"],
      [{ subscriptionId: "sub_a", status: "failed" }, (of) => of.id === "d3"],
      [{ subscriptionId: "sub_a", status: "delivered" }, (of) => of.id === "d1"],
      [{ eventTypes: [SCANNED] }, (of) => of.eventType === SCANNED],
      [{ fromMs: T0 + 2, toMs: T0 + 4 }, (of) => of.createdAtMs >= T0 + 2 && of.createdAtMs < T0 + 4],
      [{ subscriptionId: "sub_none" }, () => false],
    ];

    test("each filter gives what fits, the oldest first, in pages of any size, of one tenant", async () => {
      await put(the(), ...rows, ...rows.map((row) => ({ ...row, tenant: GLOBEX, id: `theirs_${row.id}` })));
      for (const [filter, fits] of filters) {
        const expected = rows.filter(fits).map(({ id }) => id);
        for (const limit of [1, 2, 100])
          expect(await walked(the(), filter, limit), JSON.stringify(filter)).toEqual(expected);
      }
    });

    test("a candidate says what there is to know of it", async () => {
      const replayed = { replayId: "rpl_9", sequence: 17, createdAtMs: T0 + 1, eventId: "evt_7" };
      await put(the(), finished("d1", "failed", "a1", replayed));
      const source = sourceOf({ filter: { eventTypes: [], toMs: NOW } });
      expect(await the().replays.candidates(ACME, source, undefined, 5)).toEqual({
        items: [
          {
            place: { timeMs: T0 + 1, sequence: 17, id: "d1" },
            eventId: "evt_7",
            kind: { type: PassEventType.CREATED },
            passId: "pass-1",
            delivery: { id: "d1", subscriptionId: "sub_1", status: "failed", replayId: "rpl_9" },
          },
        ],
      });
    });

    test("within a millisecond the place in the log decides, then the id, over pages of any size", async () => {
      // Ids that fall while the sequence rises, and some without one.
      const many = Array.from({ length: 60 }, (_, at) =>
        finished(`d${String(99 - at)}`, "delivered", `a${at}`, {
          createdAtMs: T0 + Math.floor(at / 25),
          ...(at % 10 === 0 ? {} : { sequence: at }),
        }),
      );
      await put(the(), ...many);
      const expected = many
        .toSorted(
          (left, right) =>
            left.createdAtMs - right.createdAtMs ||
            (left.sequence ?? -1) - (right.sequence ?? -1) ||
            (left.id < right.id ? -1 : 1),
        )
        .map(({ id }) => id);
      for (const filter of [{}, { subscriptionId: "sub_1" }, { passId: "pass-1" }]) {
        for (const limit of [1, 7, 60]) expect(await walked(the(), filter, limit)).toEqual(expected);
      }
    });

    test("more rows than one look takes in are all come by", async () => {
      const many = Array.from({ length: 450 }, (_, at) =>
        finished(`d${String(at).padStart(4, "0")}`, "delivered", `a${at}`, {
          // Half of them in one millisecond, which is more than a look takes in, and against the order of their ids.
          ...(at < 225 ? { createdAtMs: T0, sequence: 225 - at } : { createdAtMs: T0 + at }),
          eventType: at % 50 === 49 ? SCANNED : PassEventType.CREATED,
        }),
      );
      await put(the(), ...many);
      const inOrder = [...many.slice(0, 225).toReversed(), ...many.slice(225)];
      expect(await walked(the(), {}, 20)).toEqual(inOrder.map(({ id }) => id));
      const scanned = inOrder.filter(({ eventType }) => eventType === SCANNED).map(({ id }) => id);
      expect(await walked(the(), { eventTypes: [SCANNED] }, 1)).toEqual(scanned);
    });

    test("without a subscription, a target's are the events, by log time", async () => {
      const events = [
        event("evt_3", { loggedAtMs: T0 + 1 }),
        event("evt_1", { loggedAtMs: T0 + 2, type: SCANNED }),
        event("evt_2", { loggedAtMs: T0 + 2, passId: "p2" }),
      ];
      await the().deliveries.flush({ events: [...events, event("evt_9", { tenant: GLOBEX })], deliveries: [] });
      for (const limit of [1, 2, 9]) {
        expect(await walked(the(), {}, limit, "sub_t")).toEqual(["evt_3", "evt_1", "evt_2"]);
        expect(await walked(the(), { eventTypes: [SCANNED] }, limit, "sub_t")).toEqual(["evt_1"]);
        expect(await walked(the(), { passId: "p2" }, limit, "sub_t")).toEqual(["evt_2"]);
        expect(await walked(the(), { fromMs: T0 + 2 }, limit, "sub_t")).toEqual(["evt_1", "evt_2"]);
        expect(await walked(the(), { toMs: T0 + 2 }, limit, "sub_t")).toEqual(["evt_3"]);
      }
    });
  });
}
