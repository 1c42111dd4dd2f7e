/** StatsStore: what is counted, what waits, and what workers say of themselves. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CountRow, StatsQuery, WorkerReport } from "../../src/delivery/stats-store.ts";
import { ACME, ACME_TEST, GLOBEX, leased, type MakeStore, put, type StoreUnderTest, T0, waiting } from "./rows.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** The beginning of an hour. */
const HOUR = T0 - (T0 % HOUR_MS);

function row(given: Partial<CountRow> = {}): CountRow {
  const counts = { delivered: 3, failed: 1, attempts: 6, failedAttempts: 3, events: 0 };
  const times = { durations: new Map([[4, 6]]), delays: new Map([[9, 3]]) };
  return { tenant: ACME, subscriptionId: "sub_1", atMs: HOUR, ...counts, ...times, ...given };
}

function query(given: Partial<StatsQuery> = {}): StatsQuery {
  return { tenant: ACME, subscriptionId: "sub_1", span: "minute", fromMs: HOUR, toMs: HOUR + HOUR_MS, ...given };
}

function report(worker: string, reportedAtMs: number, given: Partial<WorkerReport> = {}): WorkerReport {
  const numbers = { inFlight: 1, queued: 2, unflushed: 3, openRecords: 4, eventLoopDelayP99Ms: 5.5, lagRecords: 6 };
  return { worker, startedAtMs: T0, reportedAtMs, stalled: false, ...numbers, ...given };
}

export function statsStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: what is counted`, () => {
    test("is added up over writers, by the minute and by the hour", async () => {
      const other = await store.connect();
      const later = row({ atMs: HOUR + 5 * MINUTE_MS, durations: new Map([[7, 6]]), delays: new Map() });
      await store.stats.addCounts([row(), later]);
      await other.stats.addCounts([row({ durations: new Map([[4, 5], [30, 1]]) })]); // biome-ignore format: a table
      const [first, second, ...none] = await store.stats.readCounts(query());
      expect(none).toEqual([]);
      expect(second).toEqual(later);
      const twice = { delivered: 6, failed: 2, attempts: 12, failedAttempts: 6 };
      expect(first).toMatchObject({ atMs: HOUR, events: 0, ...twice });
      expect([...(first?.durations ?? [])].sort()).toEqual([[30, 1], [4, 11]].sort()); // biome-ignore format: a table
      expect(first?.delays).toEqual(new Map([[9, 6]]));
      const [hour, ...others] = await store.stats.readCounts(query({ span: "hour" }));
      expect(others).toEqual([]);
      expect(hour).toMatchObject({ atMs: HOUR, delivered: 9, failed: 3, attempts: 18, failedAttempts: 9 });
      expect(hour?.durations).toEqual(new Map([[4, 11], [30, 1], [7, 6]])); // biome-ignore format: a table
    });

    test("written by several at once, loses nothing", async () => {
      const others = await Promise.all([store.connect(), store.connect(), store.connect()]);
      await Promise.all(others.map(({ stats }) => stats.addCounts([row(), row({ subscriptionId: "", events: 1 })])));
      expect(await store.stats.readCounts(query())).toMatchObject([{ attempts: 18 }]);
      expect(await store.stats.readCounts(query({ subscriptionId: "" }))).toMatchObject([{ attempts: 18, events: 3 }]);
    });

    test("is read by tenant, subscription and time: at or after, and before", async () => {
      await store.stats.addCounts([0, 1, 2].map((at) => row({ atMs: HOUR + at * MINUTE_MS })));
      const times = async (given: Partial<StatsQuery>) =>
        (await store.stats.readCounts(query(given))).map(({ atMs }) => (atMs - HOUR) / MINUTE_MS);
      expect(await times({ fromMs: HOUR + 1, toMs: HOUR + 2 * MINUTE_MS })).toEqual([1]);
      expect(await times({})).toEqual([0, 1, 2]);
      expect(await times({ subscriptionId: "" })).toEqual([]);
      expect(await times({ tenant: ACME_TEST })).toEqual([]);
      expect(await times({ tenant: GLOBEX, subscriptionId: "sub_1" })).toEqual([]);
    });

    test("by the minute goes after two days, by the hour after thirty", async () => {
      await store.stats.addCounts([row()]);
      const purge = (beforeMs: number) =>
        store.retention.purge({ tenant: ACME, kind: "deliveryStats", beforeMs, limit: 9, nowMs: beforeMs });
      expect((await purge(HOUR + 48 * HOUR_MS)).purged).toBe(0);
      expect((await purge(HOUR + 48 * HOUR_MS + MINUTE_MS + 1)).purged).toBe(1);
      expect(await store.stats.readCounts(query())).toEqual([]);
      expect(await store.stats.readCounts(query({ span: "hour" }))).toHaveLength(1);
      expect((await purge(HOUR + (30 * 24 + 1) * HOUR_MS + 1)).purged).toBe(1);
      expect(await store.stats.readCounts(query({ span: "hour" }))).toEqual([]);
    });
  });

  describe(`${name}: what waits`, () => {
    test("is counted by its state, and how long the oldest that is due has been so", async () => {
      expect(await store.stats.backlog(ACME, T0)).toEqual({ waiting: 0, attempting: 0, held: 0, due: 0 });
      await put(
        store,
        waiting("d1", T0 - 5_000),
        waiting("d2", T0, { subscriptionId: "sub_b" }),
        waiting("d3", T0 + 1),
        leased("d4", T0 + 60_000),
        waiting("d5", T0 - 9_000, { tenant: GLOBEX }),
        waiting("d6", T0 - 9_000, { tenant: ACME_TEST }),
      );
      const backlog = { waiting: 3, attempting: 1, held: 0, due: 2, oldestDueAtMs: T0 - 5_000 };
      expect(await store.stats.backlog(ACME, T0)).toEqual(backlog);
      expect(await store.stats.backlog(GLOBEX, T0 - 9_001)).toEqual({ waiting: 1, attempting: 0, held: 0, due: 0 });
    });
  });

  describe(`${name}: what workers say of themselves`, () => {
    test("is the newest of each, of those that said it lately, for every connection", async () => {
      const other = await store.connect();
      await store.stats.report(report("wrk_b", T0));
      await store.stats.report(report("wrk_a", T0 + 1));
      await other.stats.report(report("wrk_b", T0 + 2, { stalled: true }));
      expect(await store.stats.reports(T0 + 1)).toEqual([
        report("wrk_a", T0 + 1),
        report("wrk_b", T0 + 2, { stalled: true }),
      ]);
      expect((await store.stats.reports(T0 + 2)).map(({ worker }) => worker)).toEqual(["wrk_b"]);
      await store.stats.report(report("wrk_c", T0 + 24 * HOUR_MS + 2));
      expect((await store.stats.reports(0)).map(({ worker }) => worker)).toEqual(["wrk_b", "wrk_c"]);
    });
  });
}
