/**
 * kill -9 of an API and of a worker, each held at one stage of its work: by a receiver that keeps its answers back, or by
 * the proxy before a server. The one worker dies and another starts. Each row makes one, for a bed with one worker.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect } from "vitest";
import { LEASE_MS } from "../../../src/delivery/outcomes.ts";
import { DEFAULT_POLICY } from "../../../src/domain/subscription.ts";
import type { FaultBed } from "../../support/fault-bed.ts";
import type { FaultRow } from "../../support/fault-table.ts";
import type { RunningPassbus } from "../../support/passbus.ts";
import { HEALTHY, settled, type Trial } from "../../support/trial.ts";
import { eventually } from "../../support/within.ts";

const AT_ONCE = { batch: 20, everyMs: 0 };
/** From the readiness of the one that takes over until all that was accepted before is through (issue 6). */
const PROMPT_MS = 2_000;
/** As long for due deliveries of all endpoints, claimed in several rounds; some may become due only then. */
const CLAIMS_MS = 5_000;
/** What the proxy adds each way, so that a test can act between a write and the worker's knowledge of it. */
const HELD_MS = 250;
/** From a kill until the next worker has started, missed the dead one's heartbeats, and sent what that had claimed. */
const MISSED_MS = 40_000;
/** As many as an endpoint takes at the same time. */
const FIRST_ATTEMPTS = DEFAULT_POLICY.maxInFlight;
const FIRST_WEBHOOKS = FIRST_ATTEMPTS * HEALTHY;
/** How often it is tried to kill a worker within a second of its first request. */
const IN_TIME_TRIES = 3;
const EVENTS = 40;
const WEBHOOKS = EVENTS * HEALTHY;
/** Of a first retry; the schedule's jitter adds a fifth at most. */
const DUE_AFTER_MS = 2_500;
/** From the trial's start until the last first retry is due: before that they were published and failed. */
const LAST_DUE_MS = 4_500;

/** kill -9, and the next one, ready. What the dead one had sent to a server and a proxy still holds is lost. */
async function kill(bed: FaultBed, trial: Trial): Promise<RunningPassbus> {
  const atMs = await bed.endWorker(bed.worker, "SIGKILL");
  for (const proxy of [bed.store, bed.log]) if (proxy.mode.kind !== "pass") await proxy.set({ kind: "reset" });
  await trial.diedAlone(atMs);
  await trial.answer({ status: 200 });
  for (const proxy of [bed.store, bed.log]) await proxy.pass();
  return bed.addWorker();
}

/** Publishes, has every request kept back, does something, and lets the receiver answer all of them. */
async function answered(bed: FaultBed, trial: Trial, meanwhile: () => Promise<void>): Promise<void> {
  await trial.answer("hold");
  trial.publish(EVENTS, AT_ONCE);
  await trial.requests(EVENTS);
  await meanwhile();
  await trial.release();
  await eventually(5_000, "an answer to every request", async () => {
    const given = (await bed.sink.receipts()).filter(
      ({ path, status }) => trial.paths.includes(path) && status === 200,
    );
    return given.length === WEBHOOKS ? true : undefined;
  });
}

/** First attempts, all of them in flight. */
async function inFlight(bed: FaultBed): Promise<Trial> {
  const trial = await bed.trial();
  await trial.answer("hold");
  trial.publish(FIRST_ATTEMPTS, { batch: FIRST_ATTEMPTS, everyMs: 0 });
  await trial.requests(FIRST_ATTEMPTS);
  return trial;
}

/**
 * In flight for less than a second (`SPILL_AFTER_MS`): nothing but the log knows of them, and the next worker has them at
 * once. Where the machine was too slow for that, there is another trial.
 */
export async function killedInFlight(bed: FaultBed): Promise<FaultRow> {
  for (let tries = 0; tries < IN_TIME_TRIES; tries++) {
    await using trial = await inFlight(bed);
    const { accepted } = trial;
    const next = await kill(bed, trial);
    const wasInTime = (await trial.rows()).attempting === undefined;
    const verdict = await settled(trial);
    if (!wasInTime) continue;
    const row = verdict.row("kill -9 of a worker while first attempts are in flight", next.readyAtMs, accepted);
    expect(row).toMatchObject({ repeated: FIRST_WEBHOOKS, repeatBound: FIRST_WEBHOOKS });
    expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
    return row;
  }
  throw new Error(`${IN_TIME_TRIES} times no worker was killed before its attempts had left the log`);
}

/** In flight for long: they have left the log for the store, under leases, which end when heartbeats have been missed. */
export async function killedInLongFlight(bed: FaultBed): Promise<FaultRow> {
  await using trial = await inFlight(bed);
  await eventually(10_000, "every first attempt in the store", async () =>
    (await trial.rows()).attempting === FIRST_WEBHOOKS ? true : undefined,
  );
  const { accepted } = trial;
  const atMs = Date.now();
  await kill(bed, trial);
  const verdict = await settled(trial, LEASE_MS + 30_000);
  const row = verdict.row("kill -9 of a worker while attempts are in flight for long", atMs, accepted);
  expect(row).toMatchObject({ repeated: FIRST_WEBHOOKS, repeatBound: FIRST_WEBHOOKS });
  expect(row.recoveredMs).toBeLessThan(MISSED_MS);
  return row;
}

export async function killedBeforeRecord(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  await answered(bed, trial, () => bed.store.set({ kind: "partition" }));
  expect(await trial.rows()).toEqual({});
  const { accepted } = trial;
  const next = await kill(bed, trial);
  const verdict = await settled(trial);
  const row = verdict.row("kill -9 of a worker between answer and record", next.readyAtMs, accepted);
  expect(row).toMatchObject({ repeated: WEBHOOKS, repeatBound: WEBHOOKS });
  expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
  return row;
}

export async function killedInFlush(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  const events = bed.deployment.database.collection("events");
  await bed.store.set({ kind: "delay", ms: HELD_MS });
  trial.publish(EVENTS, AT_ONCE);
  await eventually(20_000, "events in the store", async () =>
    (await events.countDocuments({ entity: trial.entity })) > 0 ? true : undefined,
  );
  const { accepted } = trial;
  const next = await kill(bed, trial);
  const verdict = await settled(trial);
  const row = verdict.row("kill -9 of a worker within a flush", next.readyAtMs, accepted);
  expect(row.repeatBound).toBeGreaterThan(0);
  expect(row.repeated).toBe(row.repeatBound);
  expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
  return row;
}

/** All is recorded and the offsets are not: the next one reads the records again, and sends nothing. */
export async function killedInCommit(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  const before = await bed.deployment.progress();
  await answered(bed, trial, () => bed.log.set({ kind: "partition" }));
  await eventually(5_000, "the record of every webhook", async () =>
    (await trial.rows()).delivered === WEBHOOKS ? true : undefined,
  );
  const { accepted } = trial;
  const next = await kill(bed, trial);
  expect(next.startMs).toBeGreaterThan(0);
  expect(before.committed).toBe(before.end);
  const verdict = await settled(trial);
  const row = verdict.row("kill -9 of a worker within a commit", next.readyAtMs, accepted);
  expect(row).toMatchObject({ repeated: 0, repeatBound: 0 });
  return row;
}

/** Deliveries that failed once and are recorded as waiting. */
async function failedOnce(bed: FaultBed): Promise<Trial> {
  const policy = { retrySchedule: [DUE_AFTER_MS, 500, 500].map(durationFromMs) };
  const trial = await bed.trial({ policy });
  await trial.answer({ status: 500 });
  trial.publish(EVENTS, AT_ONCE);
  await eventually(10_000, "every first failure's record", async () =>
    (await trial.rows()).waiting === WEBHOOKS ? true : undefined,
  );
  await trial.answer({ status: 200 });
  return trial;
}

export async function killedBeforeClaim(bed: FaultBed): Promise<FaultRow> {
  await using trial = await failedOnce(bed);
  await bed.store.set({ kind: "partition" });
  await eventually(10_000, "the time of the retries", () =>
    Date.now() - trial.sinceMs > LAST_DUE_MS ? true : undefined,
  );
  const { accepted } = trial;
  const next = await kill(bed, trial);
  const verdict = await settled(trial);
  const row = verdict.row("kill -9 of a worker within a claim, before the store", next.readyAtMs, accepted);
  expect(row).toMatchObject({ repeated: 0, repeatBound: 0 });
  // What becomes due while there is no worker is claimed batch by batch.
  expect(row.recoveredMs).toBeLessThan(CLAIMS_MS);
  return row;
}

/** What it had claimed it never heard of, and nobody has: its leases are ended when its heartbeats have been missed. */
export async function killedAfterClaim(bed: FaultBed): Promise<FaultRow> {
  await using trial = await failedOnce(bed);
  await bed.store.set({ kind: "delay", ms: HELD_MS });
  await eventually(10_000, "a claim in the store", async () => ((await trial.rows()).attempting ? true : undefined));
  const atMs = Date.now();
  await kill(bed, trial);
  const verdict = await settled(trial, LEASE_MS + 30_000);
  const row = verdict.row("kill -9 of a worker within a claim, after the store", atMs);
  expect(row.delivered).toBe(WEBHOOKS);
  expect(row.recoveredMs).toBeLessThan(MISSED_MS);
  return row;
}

export async function killedApi(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  const publisher = trial.publish(400);
  await trial.until(publisher.whenAccepted(100));
  publisher.hurry(40);
  await trial.until(publisher.whenUnderWay(20));
  const ended = bed.api.end("SIGKILL");
  publisher.interrupt();
  await ended;
  const { accepted } = trial;
  const atMs = Date.now();
  bed.api = await bed.startApi();
  publisher.resume(bed.api.api);
  const verdict = await settled(trial);
  expect(publisher.repeats).toBeGreaterThan(0);
  const row = verdict.row("kill -9 of the API during Publish", atMs, accepted);
  expect(row).toMatchObject({ accepted: 400, repeated: 0, repeatBound: 0 });
  expect(row.recoveredMs).toBeLessThan(PROMPT_MS);
  return row;
}
