/**
 * kill -9 in the middle of 3,000 events to 10 subscriptions, three times, each with a restart. Three accounts are
 * compared, none of which believes another: what was accepted (the producer's), what came (the receiver's), and what
 * passbus says of it (its API, and its files as each kill left them).
 */
import { describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DEFAULT_POLICY } from "../../src/domain/subscription.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { deliveriesOf, eventIds } from "../support/api-log.ts";
import {
  DEAD_URL,
  type Endpoint,
  judge,
  subscribe,
  subscribeElsewhere,
  subscribeHealthy,
  type Verdict,
} from "../support/endpoints.ts";
import { type FaultRow, recordFault } from "../support/fault-table.ts";
import { printTable } from "../support/figures.ts";
import { madeOnce } from "../support/made-once.ts";
import { numberedEvents, PacedPublisher, passIdOf } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import type { Receipt } from "../support/sink-wire.ts";
import { type Remains, remains, statusCounts } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const EVENTS = numberedEvents(3_000);
const PASSES = new Set(EVENTS.map(passIdOf));
const PASS_OF_EVENT = new Map(EVENTS.map((event) => [event.id, passIdOf(event)]));
/** About 110 events a second: what is measured is how it comes back, not how much two cores can do. */
const PACE = { batch: 4, everyMs: 36 };
const HEALTHY = 8;
const SUBSCRIPTIONS = 10;
/** A kill soon after so many events were accepted, */
const KILLS_AT = [600, 1_400, 2_200];
/** amid more calls at once than the pace has, so that it meets some in every state: not read, in the log, not answered. */
const CALLS_AT_ONCE = 40;
const PROMPT_MS = 2_000;
/** One of the healthy is slower than a flush and a commit: what is in flight there must hold its offset back. */
const SLOW = { path: "/healthy-7", answer: { status: 200, afterMs: 120 } };
/** What the design lets be in flight at the healthy endpoints, and unflushed, at any moment. */
const MOST_UNRECORDED = DEFAULT_POLICY.maxInFlight * HEALTHY + LIMITS.unflushedRows;

interface Kill {
  /** Passes of the events that had been accepted. */
  readonly accepted: ReadonlySet<string>;
  readonly acceptedEvents: ReadonlySet<string>;
  readonly left: Remains;
  /** Between the death of the old process and the start of the new one. */
  readonly betweenMs: number;
  readonly readyAtMs: number;
  readonly startMs: number;
}

interface Account {
  readonly kills: readonly Kill[];
  readonly receipts: readonly Receipt[];
  readonly healthy: readonly Endpoint[];
  readonly verdicts: readonly Verdict[];
  /** Calls of the producer that a kill broke. */
  readonly brokenCalls: number;
  readonly eventIds: readonly string[];
  readonly attemptCounts: ReadonlyMap<string, number>;
  /** Open deliveries of the dead and of the hanging endpoint. */
  readonly open: readonly number[];
}

/** Kills the process, looks at what it left, and starts the next. */
async function killAndRestart(
  passbus: RunningPassbus,
  publisher: PacedPublisher,
  dataDir: string,
): Promise<{ readonly kill: Kill; readonly next: RunningPassbus }> {
  // First of all, or the calls under way are answered meanwhile and nothing breaks.
  const ended = passbus.end("SIGKILL");
  publisher.interrupt();
  expect(await ended).toEqual({ code: null, signal: "SIGKILL" });
  const accepted = new Set(publisher.accepted.keys());
  const acceptedEvents = new Set([...publisher.accepted.values()].map(({ eventId }) => eventId));
  const left = remains(dataDir);
  const betweenMs = Date.now();
  const next = await RunningPassbus.start(dataDir);
  publisher.resume(next.api);
  const { readyAtMs, startMs } = next;
  return { kill: { accepted, acceptedEvents, left, betweenMs, readyAtMs, startMs }, next };
}

async function runWithKills(): Promise<Account> {
  await using sink = await Sink.start();
  using data = new DataDirectory();
  let passbus = await RunningPassbus.start(data.path);
  try {
    const { api } = passbus;
    await sink.answer("/hanging", "hang");
    await sink.answer(SLOW.path, SLOW.answer);
    const bad = [await subscribeElsewhere(api, DEAD_URL), await subscribe(api, sink, "/hanging")];
    const healthy = await subscribeHealthy(api, sink, "", HEALTHY);
    const publisher = new PacedPublisher(EVENTS, PACE, api);
    const published = publisher.run();
    published.catch(() => {});
    const kills: Kill[] = [];
    for (const count of KILLS_AT) {
      await Promise.race([publisher.whenAccepted(count), published]);
      publisher.hurry(CALLS_AT_ONCE);
      await Promise.race([publisher.whenAccepted(publisher.accepted.size + PACE.batch), published]);
      publisher.hurry(CALLS_AT_ONCE);
      await Promise.race([publisher.whenUnderWay(CALLS_AT_ONCE), published]);
      const { kill, next } = await killAndRestart(passbus, publisher, data.path);
      passbus = next;
      kills.push(kill);
    }
    await published;
    const paths = healthy.map(({ path }) => path);
    expect(paths).toContain(SLOW.path);
    const through = sink
      .reach(paths, EVENTS.length, 20_000)
      .then(() =>
        eventually(10_000, "the record of every webhook", () =>
          healthy.every(({ id }) => statusCounts(data.path, id).delivered === EVENTS.length) ? true : undefined,
        ),
      );
    // What did not come in time is told by the comparison, which says what is missing.
    await through.catch(() => {});
    const receipts = await sink.receipts();
    return {
      kills,
      receipts: receipts.filter(({ path }) => paths.includes(path)),
      healthy,
      verdicts: healthy.map((endpoint) => judge(endpoint, receipts, PASSES)),
      brokenCalls: publisher.repeats,
      eventIds: await eventIds(passbus.api),
      attemptCounts: await attemptCounts(passbus, healthy),
      open: bad.map(({ id }) => {
        const { waiting = 0, attempting = 0 } = statusCounts(data.path, id);
        return waiting + attempting;
      }),
    };
  } finally {
    await passbus[Symbol.asyncDispose]();
  }
}

/** Attempts that the API knows, by webhook id. */
async function attemptCounts(passbus: RunningPassbus, endpoints: readonly Endpoint[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { id } of endpoints) {
    for (const delivery of await deliveriesOf(passbus.api, id, DeliveryStatus.DELIVERED)) {
      counts.set(delivery.id, delivery.attemptCount);
    }
  }
  return counts;
}

/** Webhooks that had come when the process died and that its store did not know as delivered: in flight, or unflushed. */
function unrecordedAt({ betweenMs, left }: Kill, receipts: readonly Receipt[]): ReadonlySet<string> {
  const delivered = new Set(left.deliveries.filter(({ status }) => status === "delivered").map(({ id }) => id));
  const came = receipts.filter(({ atMs }) => atMs <= betweenMs).map(({ webhookId }) => webhookId);
  return new Set(came.filter((id) => !delivered.has(id)));
}

/** Repeats between this kill and the next. */
function repeatsAfter(at: number, { kills, verdicts }: Account): readonly Receipt[] {
  const fromMs = kills[at]?.betweenMs ?? 0;
  const toMs = kills[at + 1]?.betweenMs ?? Number.POSITIVE_INFINITY;
  return verdicts.flatMap(({ repeats }) => repeats.filter(({ atMs }) => atMs > fromMs && atMs <= toMs));
}

/**
 * From readiness to the last first webhook of what had been accepted before the kill, answered or not: what the log had
 * is passbus's to deliver. Negative: the workers were through with it before the API was ready.
 */
function lastWebhookMs({ accepted, left, readyAtMs }: Kill, { verdicts }: Account): number {
  const inLog = [...left.unfinishedEvents].map((id) => PASS_OF_EVENT.get(id) ?? id);
  const passes = new Set([...accepted, ...inLog]);
  const times = verdicts.flatMap(({ firstAtMs }) =>
    [...passes].map((pass) => firstAtMs.get(pass) ?? Number.POSITIVE_INFINITY),
  );
  return Math.max(...times.map((atMs) => atMs - readyAtMs));
}

/** Accepted events that are neither in the log to be read again nor wholly in the store: lost. */
function lostAt({ acceptedEvents, left }: Kill): readonly string[] {
  const rows = new Map<string, number>();
  for (const { eventId } of left.deliveries) rows.set(eventId, (rows.get(eventId) ?? 0) + 1);
  return [...acceptedEvents].filter((id) => {
    const isStored = left.storedEvents.has(id) && rows.get(id) === SUBSCRIPTIONS;
    return !isStored && !left.unfinishedEvents.has(id);
  });
}

function rowOf(account: Account): FaultRow {
  const { kills, verdicts, receipts } = account;
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  return {
    row: "kill -9 amid 110 events/s, one endpoint dead and one hanging, 3 times",
    accepted: EVENTS.length,
    delivered: sum(verdicts.map(({ firstAtMs }) => firstAtMs.size)),
    lost: sum(verdicts.map(({ missing }) => missing.length)),
    repeated: sum(verdicts.map(({ repeats }) => repeats.length)),
    repeatBound: sum(kills.map((kill) => unrecordedAt(kill, receipts).size)),
    recoveredMs: Math.max(...kills.map((kill) => lastWebhookMs(kill, account))),
  };
}

function printAccount(account: Account): void {
  const { kills, receipts } = account;
  printTable(
    `kill -9, three times, in ${EVENTS.length} events to ${HEALTHY} healthy, one dead, one hanging endpoint ` +
      `(${account.brokenCalls} calls of the producer broke and were repeated)`,
    [
      [
        "",
        "accepted before",
        "unfinished in the log",
        "ready after",
        "last webhook of both, after ready",
        "repeats",
        "of unrecorded",
        "bound",
      ],
      ...kills.map((kill, at) => [
        `kill ${at + 1}`,
        kill.accepted.size,
        kill.left.unfinishedEvents.size,
        `${Math.round(kill.startMs)} ms`,
        `${lastWebhookMs(kill, account)} ms`,
        repeatsAfter(at, account).length,
        unrecordedAt(kill, receipts).size,
        MOST_UNRECORDED,
      ]),
    ],
  );
}

describe("kill -9 in the middle, three times", () => {
  let account: Account;
  madeOnce(async () => {
    account = await runWithKills();
    printAccount(account);
  }, 120_000);

  test("loses nothing that was accepted, and sends nothing that was not", () => {
    expect(account.verdicts).toHaveLength(HEALTHY);
    for (const { missing, unexpected, forged } of account.verdicts) {
      expect({ missing, unexpected, forged }).toEqual({ missing: [], unexpected: [], forged: [] });
    }
    expect([...account.eventIds].sort()).toEqual(EVENTS.map(({ id }) => id).sort());
    expect(account.open).toEqual([EVENTS.length, EVENTS.length]);
    // Else nothing was repeated that may have been in the log already.
    expect(account.brokenCalls).toBeGreaterThan(0);
  });

  test("leaves every accepted event in the log to be read again, or in the store with all its deliveries", () => {
    for (const kill of account.kills) {
      expect(kill.acceptedEvents.size).toBeGreaterThanOrEqual(KILLS_AT[0] ?? 0);
      expect(lostAt(kill)).toEqual([]);
    }
  });

  test("repeats only what was in flight or unflushed, each once a kill", () => {
    for (const [at, kill] of account.kills.entries()) {
      const unrecorded = unrecordedAt(kill, account.receipts);
      const repeated = repeatsAfter(at, account).map(({ webhookId }) => webhookId);
      expect(repeated.filter((id) => !unrecorded.has(id))).toEqual([]);
      expect(new Set(repeated).size).toBe(repeated.length);
      expect(unrecorded.size).toBeLessThanOrEqual(MOST_UNRECORDED);
    }
    const [first] = account.kills;
    const beforeAnyKill = account.verdicts.flatMap(({ repeats }) =>
      repeats.filter(({ atMs }) => atMs <= (first?.betweenMs ?? 0)),
    );
    expect(beforeAnyKill).toEqual([]);
  });

  test("is through with what was accepted before a kill within 2 s of readiness", ({ task }) => {
    for (const kill of account.kills) expect(lastWebhookMs(kill, account)).toBeLessThan(PROMPT_MS);
    recordFault(task, rowOf(account));
  });

  test("keeps a log of attempts that says what the receiver saw, less those unrecorded at a kill", () => {
    const came = new Map<string, number>();
    for (const { webhookId } of account.receipts) came.set(webhookId, (came.get(webhookId) ?? 0) + 1);
    expect(new Set(account.attemptCounts.keys())).toEqual(new Set(came.keys()));
    const invented = [...account.attemptCounts].filter(([id, attempts]) => attempts > (came.get(id) ?? 0));
    expect(invented).toEqual([]);
    const recorded = [...account.attemptCounts.values()].reduce((sum, count) => sum + count, 0);
    const unrecorded = account.kills.reduce((sum, kill) => sum + unrecordedAt(kill, account.receipts).size, 0);
    expect(account.receipts.length - recorded).toBeLessThanOrEqual(unrecorded);
  });
});
