/**
 * kill -9 at chosen moments of an event's way: while first attempts run, between an answer and its record, within a
 * flush, within a commit of the log, within a claim. Each kill is followed by a restart on the same files; then the
 * accounts are compared. What the moment was is shown by what the kill left.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { type FaultRow, recordFault } from "../support/fault-table.ts";
import { statusCounts } from "../support/store-files.ts";
import { unfinishedFrames, untilItGrows } from "../support/wal.ts";
import { eventually } from "../support/within.ts";

/** From readiness to the last of what was accepted before. */
const PROMPT_MS = 2_000;
const HEALTHY = 4;
const ROUNDS = 2;
/** So many that a commit has some to write. */
const CALLS_AT_ONCE = 20;
/** All are planned before the first can be recorded. */
const IN_ONE_CALL = { batch: 20, everyMs: 0 };
const AT_ONCE = { batch: 8, everyMs: 0 };

/** Restarts after the kill, waits for all, judges, and tells the last one's recovery. */
async function restartAndSettle(run: EmbeddedRun) {
  const { readyAtMs } = await run.restart();
  const verdict = await run.settled();
  expect(verdict.violations.join("; ")).toBe("");
  return { verdict, readyAtMs };
}

describe("kill -9", { timeout: 60_000 }, () => {
  test("while first attempts are in flight: each is made again, once", async ({ task }) => {
    await using run = await EmbeddedRun.start({ healthy: HEALTHY });
    for (const { path } of run.healthy) await run.sink.answer(path, "hold");
    const publisher = run.publish(24, AT_ONCE);
    await publisher.whenAccepted(24);
    for (const { path } of run.healthy) await run.sink.requests(path, 24, 10_000);
    const { accepted, left } = await run.kill();
    expect(left.deliveries.filter(({ status }) => status === "delivered")).toEqual([]);
    expect(left.unfinishedEvents).toEqual(accepted);
    for (const { path } of run.healthy) await run.sink.answer(path, { status: 200 });
    const { verdict, readyAtMs } = await restartAndSettle(run);
    expect(verdict.findings).toMatchObject({ delivered: 96, repeatBound: 96 });
    expect(verdict.findings.repeats).toHaveLength(96);
    const row = verdict.row("kill -9 while first attempts are in flight", readyAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
    recordFault(task, row);
  });

  test("between the receiver's answer and its record: what was answered comes again, once", async ({ task }) => {
    await using run = await EmbeddedRun.start({ healthy: HEALTHY });
    // The store's one writer waits for this lock: answers come, and none can be recorded.
    using lock = new WriteLock(join(run.dataDir, "store.db"));
    const publisher = run.publish(20, IN_ONE_CALL);
    await publisher.whenAccepted(20);
    for (const { path } of run.healthy) await run.sink.requests(path, 20, 10_000);
    const answered = (await run.sink.receipts()).filter(({ status }) => status === 200);
    const { accepted, left } = await run.kill();
    expect(answered).toHaveLength(20 * HEALTHY);
    expect(left.deliveries).toEqual([]);
    lock.release();
    const { verdict, readyAtMs } = await restartAndSettle(run);
    expect(verdict.findings.repeatBound).toBe(20 * HEALTHY);
    expect(verdict.findings.repeats).toHaveLength(20 * HEALTHY);
    const row = verdict.row("kill -9 between answer and record", readyAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
    recordFault(task, row);
  });

  for (const [moment, file] of [
    ["within a flush of the store", "store.db-wal"],
    ["within a commit of the log, so during Publish", "log.db-wal"],
  ] as const) {
    test(`${moment}, ${ROUNDS} times: nothing accepted is lost`, async ({ task }) => {
      await using run = await EmbeddedRun.start({ healthy: HEALTHY });
      const wal = join(run.dataDir, file);
      const rows: FaultRow[] = [];
      let unfinished = 0;
      for (let round = 1; round <= ROUNDS; round++) {
        const publisher = run.publish(200);
        await run.until(publisher.whenAccepted(60));
        publisher.hurry(CALLS_AT_ONCE);
        await run.until(publisher.whenUnderWay(CALLS_AT_ONCE));
        // From here on this process stands still: some of it must have arrived, and the rest be under way.
        await run.until(publisher.whenAccepted(publisher.accepted.size + 4));
        publisher.hurry(CALLS_AT_ONCE);
        await run.until(publisher.whenUnderWay(CALLS_AT_ONCE / 2));
        untilItGrows(wal, 5_000);
        const { accepted } = await run.kill();
        unfinished += unfinishedFrames(wal);
        const { verdict, readyAtMs } = await restartAndSettle(run);
        expect(verdict.findings.delivered).toBe(200 * round * HEALTHY);
        rows.push(verdict.row(`kill -9 ${moment}, ${ROUNDS} times`, readyAtMs, accepted));
      }
      const recoveredMs = Math.max(...rows.map((row) => row.recoveredMs ?? 0));
      expect(recoveredMs).toBeLessThan(PROMPT_MS);
      console.log(`kill -9 ${moment}: ${unfinished} frames of unfinished transactions in ${ROUNDS} logs`);
      for (const row of rows.slice(-1)) recordFault(task, { ...row, recoveredMs });
    });
  }

  test("within a claim: what was claimed is claimed again at once, and lost is nothing", async ({ task }) => {
    const policy = { retrySchedule: [durationFromMs(2_000), durationFromMs(500)] };
    await using run = await EmbeddedRun.start({ healthy: HEALTHY, draft: { policy } });
    // No 5xx, which would open the breaker: then nothing is claimed when it is due.
    for (const { path } of run.healthy) await run.sink.answer(path, { status: 400 });
    await run.publish(60, AT_ONCE).whenAccepted(60);
    await eventually(5_000, "every first attempt's record", () =>
      run.healthy.every(({ id }) => statusCounts(run.dataDir, id).waiting === 60) ? true : undefined,
    );
    for (const { path } of run.healthy) await run.sink.answer(path, { status: 200 });
    // The next write is a claim: nothing else is to be done before the first is due.
    untilItGrows(join(run.dataDir, "store.db-wal"), 5_000);
    const { accepted, left } = await run.kill();
    const open = left.deliveries.filter(({ status }) => status === "waiting" || status === "attempting");
    expect(open).toHaveLength(60 * HEALTHY);
    const { verdict, readyAtMs } = await restartAndSettle(run);
    expect(verdict.findings.delivered).toBe(60 * HEALTHY);
    const row = verdict.row("kill -9 within a claim of due deliveries", readyAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
    recordFault(task, row);
  });
});

class WriteLock implements Disposable {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec("BEGIN IMMEDIATE");
  }

  release(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
