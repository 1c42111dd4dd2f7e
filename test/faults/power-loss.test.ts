/**
 * The power goes. Every write and sync of an embedded passbus under load is recorded (strace); from the record the disk
 * is made anew as it may be after a cut at any moment: what was synced is there, of the rest any part, torn. Whatever
 * had been answered OK by then is to be there, to be read again or stored with all its deliveries.
 *
 * Simulated is the loss of what a process wrote and did not sync, which kill -9 leaves in the kernel. Not simulated is a
 * disk that lies about its syncs, and the file system's own recovery: files and their sizes are taken as they were told.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/kernel/random.ts";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { recordFault } from "../support/fault-table.ts";
import type { PacedPublisher } from "../support/paced-publisher.ts";
import { type Cut, cutAt, type DiskImage, readImage, writeImage } from "../support/power-cut.ts";
import { remains } from "../support/store-files.ts";
import { StraceRecord, strace } from "../support/strace-record.ts";

const IS_LONG = process.env.PASSBUS_TEST_LONG === "true";
const CUTS = IS_LONG ? 1_000 : 30;
const HEALTHY = 3;
const EVENTS = 200;
const PROMPT_MS = 2_000;
const FILES = ["log.db", "log.db-wal", "store.db", "store.db-wal"];
/** Another one each run would be no reason to believe in it; the figures are the same again. */
const SEED = 20_261_122;

/** What is wrong with a disk after a cut: events that had been answered and are neither to be read again nor stored. */
function lostAfter(cut: Cut, answered: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "passbus-cut-"));
  try {
    writeImage(cut.image, folder);
    const left = remains(folder);
    const rows = Map.groupBy(left.deliveries, ({ eventId }) => eventId);
    const isStored = (id: string) => left.storedEvents.has(id) && rows.get(id)?.length === HEALTHY;
    const broken = ["log.db", "store.db"].filter((file) => integrityOf(join(folder, file)) !== "ok");
    return [...answered.filter((id) => !left.unfinishedEvents.has(id) && !isStored(id)), ...broken];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function integrityOf(file: string): unknown {
  const database = new DatabaseSync(file);
  try {
    return database.prepare("PRAGMA integrity_check").get()?.integrity_check;
  } finally {
    database.close();
  }
}

/** Events that had been answered by a moment, by a clock of milliseconds. */
function answeredBy(publisher: PacedPublisher, atMs: number): readonly string[] {
  const accepted = [...publisher.accepted.values()];
  return accepted.filter(({ acceptedAtMs }) => acceptedAtMs + 1 < atMs).map(({ eventId }) => eventId);
}

/** A record of what is written, and the disk that it begins with: nothing was written while strace attached itself. */
async function recordFrom(run: EmbeddedRun): Promise<{ readonly base: DiskImage; readonly record: StraceRecord }> {
  const paths = FILES.map((file) => join(run.dataDir, file));
  for (let tries = 0; tries < 10; tries += 1) {
    const base = readImage(run.dataDir, FILES);
    const record = await StraceRecord.start(run.passbus.pid, paths);
    if (isDeepStrictEqual(base, readImage(run.dataDir, FILES))) return { base, record };
    await record[Symbol.asyncDispose]();
  }
  throw new Error("passbus never stopped writing");
}

describe.skipIf(!strace.present)(strace.title("a power cut"), { timeout: IS_LONG ? 600_000 : 60_000 }, () => {
  test(`at ${CUTS} moments: what was answered is there, and a start delivers it`, async ({ task }) => {
    await using run = await EmbeddedRun.start({ healthy: HEALTHY });
    await run.until(run.publish(8).whenAccepted(8));
    await run.settled();
    const { base, record: started } = await recordFrom(run);
    await using record = started;
    const publisher = run.publish(EVENTS);
    await run.until(publisher.whenAccepted(EVENTS / 2));
    publisher.hurry(10);
    await run.until(publisher.whenUnderWay(10));
    const random = seededRandom(SEED);
    let last: Cut | undefined;
    const { accepted } = await run.kill(async () => {
      const calls = await record.calls();
      const moments = Array.from({ length: CUTS }, () => 1 + Math.floor(random.next() * calls.length));
      const cuts = moments.map((at) => ({ at, cut: cutAt(base, calls, at, random) }));
      const found = cuts.flatMap(({ at, cut }) =>
        lostAfter(cut, answeredBy(publisher, calls[at - 1]?.atMs ?? 0)).map((what) => `${what} after call ${at}`),
      );
      expect(found).toEqual([]);
      last = cutAt(base, calls, calls.length, random);
      writeImage(last.image, run.dataDir);
      const torn = cuts.reduce((sum, { cut }) => sum + cut.unsynced, 0);
      console.log(`${CUTS} cuts in ${calls.length} calls; unsynced at a cut: ${(torn / CUTS).toFixed(1)} on average`);
      expect(torn).toBeGreaterThan(0);
    });
    const { readyAtMs } = await run.restart();
    const verdict = await run.settled();
    expect(verdict.violations).toEqual([]);
    expect(verdict.findings).toMatchObject({ accepted: EVENTS + 8, delivered: (EVENTS + 8) * HEALTHY });
    const row = verdict.row(`power loss (${CUTS} cuts, one of them started)`, readyAtMs, accepted);
    expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
    recordFault(task, row);
  });
});
