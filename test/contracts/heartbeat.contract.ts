/** HeartbeatStore: whose leases end, and whose don't, when a worker is taken for dead. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HeartbeatStore, Pulse } from "../../src/delivery/heartbeat-store.ts";
import {
  ACME,
  claim,
  claimedIds,
  first,
  flush,
  LEASE_MS,
  leased,
  outcome,
  put,
  type StorePorts,
  stored,
  T0,
  waiting,
} from "./rows.ts";

/** A worker's connection. */
export interface WorkerPorts extends StorePorts {
  readonly heartbeats: HeartbeatStore;
}

export interface WorkersUnderTest {
  connect(): Promise<WorkerPorts>;
  close(): Promise<void>;
}

const NOW = T0 + 5_000;

async function pulseOf(watcher: WorkerPorts): Promise<Pulse> {
  const [pulse, ...others] = await watcher.heartbeats.pulses();
  if (pulse === undefined || others.length > 0) throw new Error(`there are ${others.length + 1} pulses, or none`);
  return pulse;
}

export function heartbeatContract(name: string, make: () => Promise<WorkersUnderTest>): void {
  let store: WorkersUnderTest;
  let mine: WorkerPorts;
  let theirs: WorkerPorts;
  beforeEach(async () => {
    store = await make();
    [mine, theirs] = await Promise.all([store.connect(), store.connect()]);
  });
  afterEach(() => store.close());

  describe(`${name}: heartbeats`, () => {
    test("a worker's beats are seen by the others, and not by itself", async () => {
      expect(await theirs.heartbeats.pulses()).toEqual([]);
      expect(await mine.heartbeats.beat()).toBe(1);
      const before = await pulseOf(theirs);
      expect(await mine.heartbeats.beat()).toBe(1);
      const after = await pulseOf(theirs);
      expect(after).toEqual({ ...before, beats: before.beats + 1, isDead: false });
      expect(await mine.heartbeats.pulses()).toEqual([]);
    });

    test("beats under way at once are of one worker", async () => {
      expect(await Promise.all([1, 2, 3, 4].map(() => mine.heartbeats.beat()))).toEqual([1, 1, 1, 1]);
      expect((await pulseOf(theirs)).beats).toBeGreaterThanOrEqual(1);
    });

    test("all that a dead worker has under a lease is due, under the fence that it has", async () => {
      await mine.heartbeats.beat();
      await put(theirs, waiting("d_claimed"), waiting("d_folded", T0 + 1e6, { sequence: 1 }));
      const [claimed] = (await claim(mine)).claimed;
      const into = { id: "d_folded", fence: 0 };
      const fold = { tenant: ACME, folded: [], into, claim: true };
      await mine.deliveries.fold({ folds: [fold], nowMs: T0, leaseMs: LEASE_MS });
      await flush(mine, first(leased("d_spilled", T0 + LEASE_MS)));
      expect(claimedIds(await claim(theirs, { nowMs: NOW }))).toEqual([]);

      expect(await theirs.heartbeats.bury(await pulseOf(theirs), NOW)).toBe(3);
      expect(await stored(theirs, "d_claimed")).toMatchObject({ status: "attempting", fence: 1, leaseUntilMs: NOW });
      const taken = await claim(theirs, { nowMs: NOW });
      expect([...claimedIds(taken)].sort()).toEqual(["d_claimed", "d_folded", "d_spilled"]);
      const late = claimed?.delivery ?? leased("none", 0);
      expect(await flush(mine, outcome(late, { status: "delivered", finishedAtMs: NOW }, "a_late"))).toEqual([false]);
    });

    test("others' leases stand, and so does what has ended or only waits", async () => {
      await mine.heartbeats.beat();
      await put(theirs, waiting("d_theirs"));
      await claim(theirs);
      await put(mine, waiting("d_done"));
      const [done] = (await claim(mine)).claimed;
      await flush(mine, outcome(done?.delivery ?? leased("none", 0), { status: "held" }));
      await put(mine, leased("d_ended", NOW - 1), waiting("d_waiting", T0 + 1e6));
      expect(await theirs.heartbeats.bury(await pulseOf(theirs), NOW)).toBe(0);
      expect(await stored(theirs, "d_theirs")).toMatchObject({ leaseUntilMs: T0 + LEASE_MS });
      expect(await stored(theirs, "d_ended")).toMatchObject({ leaseUntilMs: NOW - 1 });
      expect(await stored(theirs, "d_waiting")).toMatchObject({ dueAtMs: T0 + 1e6 });
    });

    test("one that has beaten since is not taken for dead", async () => {
      await mine.heartbeats.beat();
      await put(theirs, waiting("d1"));
      await claim(mine);
      const seen = await pulseOf(theirs);
      await mine.heartbeats.beat();
      expect(await theirs.heartbeats.bury(seen, NOW)).toBe(0);
      expect(await pulseOf(theirs)).toMatchObject({ isDead: false });
      expect(await stored(theirs, "d1")).toMatchObject({ leaseUntilMs: T0 + LEASE_MS });
    });

    test("one that was alive after all begins another life, whose leases stand when the earlier one is buried again", async () => {
      await mine.heartbeats.beat();
      await put(theirs, waiting("d_before"));
      await claim(mine);
      const seen = await pulseOf(theirs);
      expect(await theirs.heartbeats.bury(seen, NOW)).toBe(1);
      expect(await pulseOf(theirs)).toMatchObject({ holder: seen.holder, isDead: true });
      expect(await mine.heartbeats.beat()).toBe(2);
      expect(await mine.heartbeats.beat()).toBe(2);
      await put(theirs, waiting("d_after"));
      const again = await claim(mine, { nowMs: NOW });
      expect([...claimedIds(again)].sort()).toEqual(["d_after", "d_before"]);
      expect(await theirs.heartbeats.bury(seen, NOW)).toBe(0);
      expect(await stored(theirs, "d_after")).toMatchObject({ leaseUntilMs: NOW + LEASE_MS });
      const left = await pulseOf(theirs);
      expect(left.holder).not.toBe(seen.holder);
      expect(left).toMatchObject({ isDead: false });
    });

    test("a dead one is forgotten once nothing of it is left to end", async () => {
      await mine.heartbeats.beat();
      await put(theirs, waiting("d1"));
      await claim(mine);
      const seen = await pulseOf(theirs);
      expect(await theirs.heartbeats.bury(seen, NOW)).toBe(1);
      // It was about to claim when it was taken for dead.
      await put(theirs, waiting("d2", T0));
      await claim(mine, { nowMs: NOW, limit: 1 });
      const open = await theirs.heartbeats.bury(seen, NOW + 1);
      expect(open).toBe(1);
      expect(await theirs.heartbeats.bury(seen, NOW + 2)).toBe(0);
      expect(await theirs.heartbeats.pulses()).toEqual([]);
      expect(await theirs.heartbeats.bury(seen, NOW + 3)).toBe(0);
    });

    test("one that leaves ends its own leases, and is forgotten", async () => {
      await mine.heartbeats.beat();
      await theirs.heartbeats.beat();
      await put(theirs, waiting("d1"));
      await claim(mine);
      expect(await mine.heartbeats.leave(NOW)).toBe(1);
      expect(await theirs.heartbeats.pulses()).toEqual([]);
      expect(claimedIds(await claim(theirs, { nowMs: NOW }))).toEqual(["d1"]);
      expect(await theirs.heartbeats.leave(NOW)).toBe(1);
    });
  });
}
