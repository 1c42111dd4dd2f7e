/**
 * The distributed deployment under load, and what it is made of killed, one thing after the other: workers, the broker,
 * the store. After each, three accounts are compared (test/support/distributed-run.ts), and a row of the table tells
 * what it came to. The long form (PASSBUS_TEST_LONG=true) adds what takes minutes: an outage of the log that producers
 * are told of, and a worker that stands still past its session and its leases.
 */
import { afterAll, beforeAll, describe, expect, type TaskMeta, test } from "vitest";
import { DEFAULT_POLICY } from "../../src/domain/subscription.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { eventIds } from "../support/api-log.ts";
import { type Account, DistributedRun, type Fault, HEALTHY, PARTITIONS } from "../support/distributed-run.ts";
import { recordFault } from "../support/fault-table.ts";
import { printTable } from "../support/figures.ts";
import type { PacedPublisher } from "../support/paced-publisher.ts";
import type { RunningPassbus } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { ownKafka, ownMongodb } from "../support/services/services.ts";
import { eventually } from "../support/within.ts";

const IS_LONG = process.env.PASSBUS_TEST_LONG === "true";
/** What the design lets one worker have in flight at the healthy endpoints, and unflushed, at any moment. */
const MOST_UNRECORDED = DEFAULT_POLICY.maxInFlight * HEALTHY + LIMITS.unflushedRows;
/** Two workers, the API between them or not. */
const WORKERS = 2;
/** Calls at once right before a fault, 2 events each. */
const BURST_CALLS = 20;
/** Events that are to be accepted while the store is away. */
const MEANWHILE = 40;
/** A worker that was killed is missed after its session of 10 s; then its partitions are shared out and caught up with. */
const TAKE_OVER_LIMIT_MS = 30_000;
/** One that leaves is not waited for: within a second what is slow has left the log, and the others hear of it in two. */
const LEAVE_LIMIT_MS = 8_000;
/** From a server's return until all that waited for it is through. */
const RETURN_LIMIT_MS = 45_000;

let run: DistributedRun;
let isStarted = false;
const accounts: Account[] = [];

const logTimeMs = (line: Readonly<Record<string, unknown>>) => Date.parse(String(line.time));

function twoWorkers(): readonly [RunningPassbus, RunningPassbus] {
  const [first, second] = run.workers;
  if (first === undefined || second === undefined) throw new Error("there are no two workers");
  return [first, second];
}

/** When the worker had all partitions to itself, by its own log. */
function hasAll(worker: RunningPassbus, sinceMs: number): Promise<number> {
  return eventually(60_000, "all partitions at the worker that is left", () => {
    const joined = worker.logged("kafka.joined").at(-1);
    const isAll = joined !== undefined && logTimeMs(joined) >= sinceMs && joined.partitions === PARTITIONS;
    return isAll ? logTimeMs(joined) : undefined;
  });
}

/** Resolves to the answers' texts when every worker's probe answers so. */
function probes(status: 200 | 503): Promise<readonly string[]> {
  return eventually(60_000, `${status} of every worker's /readyz`, async () => {
    const answers = await Promise.all(run.workers.map((worker) => fetch(`${worker.url}/readyz`)));
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    return answers.every((answer) => answer.status === status) ? texts : undefined;
  });
}

/** A burst, of which some has been accepted and the rest is under way: the fault meets work in every state. */
async function amidWork(publisher: PacedPublisher): Promise<void> {
  publisher.hurry(BURST_CALLS);
  await publisher.whenAccepted(publisher.accepted.size + BURST_CALLS);
}

async function killWorker(publisher: PacedPublisher): Promise<Fault> {
  const [worker, other] = twoWorkers();
  await amidWork(publisher);
  expect(await worker.end("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
  const atMs = Date.now();
  run.removeWorker(worker);
  await run.watch.look();
  const backMs = await hasAll(other, atMs);
  await run.addWorker();
  return { atMs, untilMs: atMs, backMs, deathsMs: [atMs] };
}

/** @param isTold until a producer's call has been answered UNAVAILABLE: after the writer's 30 s. */
async function killBroker(publisher: PacedPublisher, isTold: boolean): Promise<Fault> {
  publisher.expectRefusals();
  await amidWork(publisher);
  const atMs = Date.now();
  await run.kafka.kill(1);
  for (const text of await probes(503)) expect(text).toContain("the Kafka consumer group");
  if (isTold) await eventually(60_000, "a call that was refused", () => publisher.refused > 0 || undefined);
  await run.kafka.restart(1);
  const untilMs = Date.now();
  await probes(200);
  return { atMs, untilMs, backMs: Date.now(), deathsMs: [] };
}

/** `quietMs`: from when both workers had found the store gone until shortly before it came back. */
async function killStore(publisher: PacedPublisher): Promise<Fault & { readonly quietMs: readonly [number, number] }> {
  await amidWork(publisher);
  const atMs = Date.now();
  await run.mongodb.kill();
  for (const text of await probes(503)) expect(text).toContain("the store does not answer");
  const quietFromMs = Date.now();
  // No store is needed to accept an event.
  await publisher.whenAccepted(publisher.accepted.size + MEANWHILE);
  const quietToMs = Date.now();
  await run.mongodb.restart();
  const untilMs = Date.now();
  await probes(200);
  return { atMs, untilMs, backMs: Date.now(), deathsMs: [], quietMs: [quietFromMs, quietToMs] };
}

async function endWorker(publisher: PacedPublisher): Promise<Fault> {
  const [worker, other] = twoWorkers();
  await amidWork(publisher);
  const atMs = Date.now();
  const ended = worker.end("SIGTERM", 30_000);
  const backMs = await hasAll(other, atMs);
  expect(backMs - atMs).toBeLessThan(LEAVE_LIMIT_MS);
  expect(await ended).toEqual({ code: 0, signal: null });
  run.removeWorker(worker);
  return { atMs, untilMs: atMs, backMs, deathsMs: [] };
}

/** It stands still while a healthy endpoint keeps its answers back, so that its leases there end without it. */
async function freezeWorker(publisher: PacedPublisher): Promise<Fault> {
  const [worker, other] = twoWorkers();
  await run.hold();
  await amidWork(publisher);
  await eventually(20_000, "leases", async () => (await run.leased()).size >= BURST_CALLS || undefined);
  await amidWork(publisher);
  worker.signal("SIGSTOP");
  const atMs = Date.now();
  try {
    await run.watch.look();
    const leased = await run.leased();
    await run.release();
    const backMs = await hasAll(other, atMs);
    const isOver = ([id, fence]: readonly [string, number], now: ReadonlyMap<string, number>) => now.get(id) !== fence;
    await eventually(90_000, "the end of every lease that stood", async () => {
      const now = await run.leased();
      return [...leased].every((lease) => isOver(lease, now)) || undefined;
    });
    worker.signal("SIGCONT");
    await eventually(60_000, "the return of the worker that stood still", () => {
      const joined = worker.logged("kafka.joined").at(-1);
      return (joined !== undefined && logTimeMs(joined) > atMs) || undefined;
    });
    await eventually(30_000, "a late outcome that was appended, and changed nothing", async () =>
      (await run.refusedOutcomes([...leased.keys()])) > 0 ? true : undefined,
    );
    return { atMs, untilMs: atMs, backMs, deathsMs: [atMs] };
  } finally {
    worker.signal("SIGCONT");
  }
}

/** What holds after every fault, which is a row of the table. */
function holds(account: Account, task: { readonly meta: TaskMeta }): void {
  accounts.push(account);
  recordFault(task, {
    row: account.name,
    accepted: account.accepted,
    delivered: account.delivered,
    lost: account.missing.length,
    repeated: account.repeats.length,
    repeatBound: account.unrecorded,
    recoveredMs: Math.round(account.recoveredMs - account.awayMs),
  });
  const { missing, unexpected, forged, unexplained, invented, events } = account;
  expect({ missing, unexpected, forged }).toEqual({ missing: [], unexpected: [], forged: [] });
  expect(unexplained).toEqual([]);
  expect(account.unrecordedAtDeaths).toBeLessThanOrEqual(MOST_UNRECORDED * WORKERS);
  expect(account.healthyRows).toEqual({ delivered: events * HEALTHY });
  expect(account.open).toEqual([events, events]);
  expect(account.progress.committed).toBe(account.progress.end);
  expect(account.progress.end).toBeGreaterThanOrEqual(events);
  expect(invented).toEqual([]);
  expect(account.unlogged).toBeLessThanOrEqual(run.mayBeUnlogged);
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

function printAccounts(): void {
  printTable(
    `faults amid a steady pace of events to ${HEALTHY} healthy, one dead, one hanging endpoint, one API, two workers`,
    [
      ["", "accepted", "delivered", "lost", "repeated", "bound", "away for", "back after", "recovered after"],
      ...accounts.map(
        ({ name, accepted, delivered, missing, repeats, unrecorded, awayMs, backAfterMs, recoveredMs }) => [
          name,
          accepted,
          delivered,
          missing.length,
          repeats.length,
          unrecorded,
          awayMs === 0 ? "" : seconds(awayMs),
          seconds(backAfterMs),
          seconds(recoveredMs),
        ],
      ),
    ],
  );
}

const needed = allOf(ownKafka, ownMongodb);

describe.skipIf(!needed.present)(
  needed.title("the distributed deployment under load, while parts of it die"),
  { timeout: 240_000 },
  () => {
    beforeAll(async () => {
      run = await DistributedRun.start();
      isStarted = true;
    }, 90_000);
    afterAll(async () => {
      if (accounts.length > 0) printAccounts();
      // A start that failed has undone itself.
      if (isStarted) await run[Symbol.asyncDispose]();
    }, 60_000);

    test.for(IS_LONG ? [1, 2, 3] : [1])(
      "kill -9 of a worker (%i): the other takes over, and the next one joins it",
      async (at, { task }) => {
        const account = await run.through(`kill -9 of a worker (${at})`, killWorker);
        holds(account, task);
        expect(account.recoveredMs).toBeLessThan(TAKE_OVER_LIMIT_MS);
      },
    );

    test("kill -9 of the broker: workers say so, stay, and come back by themselves", async ({ task }) => {
      const before = run.workers;
      const account = await run.through("kill -9 of the broker", (publisher) => killBroker(publisher, IS_LONG));
      holds(account, task);
      expect(run.workers).toBe(before);
      expect(account.refused > 0).toBe(IS_LONG);
      expect(account.recoveredMs - account.awayMs).toBeLessThan(RETURN_LIMIT_MS);
    });

    test("kill -9 of the store: nothing new is sent, what was accepted waits, and nothing was sent twice", async ({
      task,
    }) => {
      let quietMs: readonly [number, number] = [0, 0];
      const account = await run.through("kill -9 of the store", async (publisher) => {
        const fault = await killStore(publisher);
        quietMs = fault.quietMs;
        return fault;
      });
      holds(account, task);
      const [fromMs, toMs] = quietMs;
      expect(toMs).toBeGreaterThan(fromMs);
      expect(run.watch.receipts.filter(({ atMs }) => atMs > fromMs && atMs < toMs)).toEqual([]);
      expect(account.recoveredMs - account.awayMs).toBeLessThan(RETURN_LIMIT_MS);
    });

    if (IS_LONG) {
      test("SIGSTOP of a worker past its session and its leases: its late outcomes are refused", async ({ task }) => {
        const account = await run.through("SIGSTOP of a worker", freezeWorker);
        holds(account, task);
        expect(account.repeats.length).toBeGreaterThan(0);
        expect(account.recoveredMs).toBeLessThan(TAKE_OVER_LIMIT_MS);
      });
    }

    test("SIGTERM of a worker: it leaves at once, and nothing is repeated", async ({ task }) => {
      const account = await run.through("SIGTERM of a worker", endWorker);
      holds(account, task);
      expect(account.repeats).toEqual([]);
      expect(account.recoveredMs).toBeLessThan(LEAVE_LIMIT_MS);
    });

    test("the API knows every event that was accepted, and no other", async () => {
      expect(accounts.length).toBeGreaterThan(0);
      expect([...(await eventIds(run.api.api))].sort()).toEqual([...run.eventIds].sort());
    });
  },
);
