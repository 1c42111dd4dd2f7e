import { describe, expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { LIMITS } from "../kernel/limits.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { bucketOf } from "./histogram.ts";
import { DeliveryCounts, StatsWriter } from "./stats.ts";
import type { CountRow, WorkerReport } from "./stats-store.ts";
import type { Work, WorkResult } from "./work.ts";

const ACME = { organisation: "acme", environment: "production" };
const START_MS = 1_700_000_000_000;
const MINUTE = START_MS - (START_MS % 60_000);

function work(subscriptionId = "sub_1", over: Partial<Work> = {}): Work {
  const stored = { tenant: ACME, id: "evt_1", loggedAtMs: START_MS - 100 };
  return { subscriptionId, event: { stored }, ...over } as unknown as Work;
}

const attempt = { id: "att_1", startedAtMs: START_MS, durationMs: 30 };
const DELIVERED: WorkResult = { attempt, next: { status: "delivered", finishedAtMs: START_MS } };
const FAILED: WorkResult = { attempt, next: { status: "failed", finishedAtMs: START_MS } };
const RETRIED: WorkResult = { attempt, next: { status: "waiting", dueAtMs: START_MS, workClass: "retry" } };

const numbersOf = ({ subscriptionId, atMs, delivered, failed, attempts, failedAttempts, events }: CountRow) => ({
  ...{ subscriptionId, atMs, delivered, failed, attempts, failedAttempts, events },
});

describe("what is counted", () => {
  test("is each attempt and what it came to, of its subscription and of its tenant, by the minute", () => {
    const clock = new ManualClock(START_MS);
    const counts = new DeliveryCounts(clock);
    counts.eventStored(ACME);
    counts.attempted(work(), RETRIED, true);
    counts.attempted(work(), DELIVERED, true);
    counts.attempted(work("sub_2"), FAILED, true);
    clock.advance(60_000);
    counts.attempted(work(), DELIVERED, true);
    const sums = { events: 1, delivered: 2, failed: 1, attempts: 4, failedAttempts: 2 };
    expect(counts.totals).toEqual(sums);
    const rows = counts.take();
    const none = { delivered: 0, failed: 0, attempts: 0, failedAttempts: 0, events: 0 };
    expect(rows.map(numbersOf)).toEqual([
      { ...none, subscriptionId: "", atMs: MINUTE, delivered: 1, failed: 1, attempts: 3, failedAttempts: 2, events: 1 },
      { ...none, subscriptionId: "sub_1", atMs: MINUTE, delivered: 1, attempts: 2, failedAttempts: 1 },
      { ...none, subscriptionId: "sub_2", atMs: MINUTE, failed: 1, attempts: 1, failedAttempts: 1 },
      { ...none, subscriptionId: "", atMs: MINUTE + 60_000, delivered: 1, attempts: 1 },
      { ...none, subscriptionId: "sub_1", atMs: MINUTE + 60_000, delivered: 1, attempts: 1 },
    ]);
    expect(rows[0]?.durations).toEqual(new Map([[bucketOf(30), 3]]));
    expect(rows[0]?.delays).toEqual(new Map([[bucketOf(130), 1]]));
    expect(counts.take()).toEqual([]);
  });

  test("of a decision without an attempt is nothing; of one that another had taken, the attempt alone", () => {
    const counts = new DeliveryCounts(new ManualClock(START_MS));
    counts.attempted(work(), { next: { status: "cancelled", finishedAtMs: START_MS } }, true);
    expect(counts.take()).toEqual([]);
    counts.attempted(work(), DELIVERED, false);
    expect(counts.take().map(numbersOf)).toMatchObject([{ attempts: 1, delivered: 0 }, { attempts: 1, delivered: 0 }]); // biome-ignore format: a table
  });

  test("of a replay or a later run is no delay: nobody has waited since the event was accepted", () => {
    const counts = new DeliveryCounts(new ManualClock(START_MS));
    counts.attempted(work("sub_1", { replayId: "rpl_1" }), DELIVERED, true);
    counts.attempted(work("sub_1", { claim: { fence: 3, run: 2, leaseUntilMs: 0, life: 0 } }), DELIVERED, true);
    for (const { delays, attempts } of counts.take()) expect([delays.size, attempts]).toEqual([0, 2]);
  });

  test("is bounded: beyond it only whole tenants are", () => {
    const counts = new DeliveryCounts(new ManualClock(START_MS));
    for (let at = 0; at <= LIMITS.countedRows; at++) counts.attempted(work(`sub_${at}`), DELIVERED, true);
    expect(counts.isCut).toBe(true);
    const rows = counts.take();
    expect(rows).toHaveLength(LIMITS.countedRows);
    expect(rows[0]).toMatchObject({ subscriptionId: "", attempts: LIMITS.countedRows + 1 });
    expect(counts.isCut).toBe(false);
  });
});

describe("the writer of what is counted", () => {
  function setUp() {
    const clock = new ManualClock(START_MS);
    const counts = new DeliveryCounts(clock);
    const written: CountRow[] = [];
    const reports: WorkerReport[] = [];
    const warned: string[] = [];
    const stage = { isDown: false };
    const writer = new StatsWriter({
      counts,
      store: {
        async addCounts(rows) {
          if (stage.isDown) throw new Error("down");
          written.push(...rows);
        },
        async report(report) {
          reports.push(report);
        },
      },
      report: () => ({ worker: "wrk_1" }) as WorkerReport,
      clock,
      log: { ...silentLog, warn: (event) => void warned.push(event) },
    });
    return { clock, counts, written, reports, warned, stage, writer };
  }

  test("writes every few seconds, and at the end", async () => {
    const { clock, counts, written, reports, writer } = setUp();
    writer.start();
    await settled();
    counts.attempted(work(), DELIVERED, true);
    expect(written).toEqual([]);
    clock.advance(5_000);
    await settled();
    expect(written).toHaveLength(2);
    expect(reports).toHaveLength(2);
    counts.attempted(work(), DELIVERED, true);
    await writer.stop();
    expect(written).toHaveLength(4);
  });

  test("keeps what could not be written, says so once, and writes it later", async () => {
    const { clock, counts, written, warned, stage, writer } = setUp();
    stage.isDown = true;
    counts.attempted(work(), DELIVERED, true);
    writer.start();
    await settled();
    clock.advance(5_000);
    await settled();
    expect([written.length, warned]).toEqual([0, ["stats.write_failed"]]);
    stage.isDown = false;
    clock.advance(5_000);
    await settled();
    expect(written).toHaveLength(2);
    await writer.stop();
  });
});
