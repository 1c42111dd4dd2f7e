/**
 * Counts what becomes of attempts, in memory, by tenant, subscription and minute, and writes it every few seconds beside
 * the flush: nothing of it stands in a delivery's way, and a crash loses the counts of its last seconds and nothing else.
 */
import type { Clock } from "../kernel/clock.ts";
import { sleep, waitAtMost } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { addTo, bucketOf } from "./histogram.ts";
import { type CountRow, SPAN_MS, type StatsSink, type WorkerReport } from "./stats-store.ts";
import type { Work, WorkResult } from "./work.ts";

interface OpenRow extends CountRow {
  delivered: number;
  failed: number;
  attempts: number;
  failedAttempts: number;
  events: number;
  readonly durations: Map<number, number>;
  readonly delays: Map<number, number>;
}

/** What this process has counted since its start, for /metrics. */
export interface Totals {
  readonly events: number;
  readonly delivered: number;
  readonly failed: number;
  readonly attempts: number;
  readonly failedAttempts: number;
}

/** What counts an event's rows and a delivery's attempts once they are durable. */
export interface Counting {
  eventStored(tenant: Tenant): void;
  /** `applied`: the outcome made the delivery what it says; else only the attempt is new. */
  attempted(work: Work, result: WorkResult, applied: boolean): void;
}

/** Part of what the engine is given. */
export interface Counted {
  /** Left out: nothing is counted. */
  readonly counting?: Counting | undefined;
}

/** A tenant's rows of one minute. */
interface OpenTenant {
  readonly all: OpenRow;
  readonly bySubscription: Map<string, OpenRow>;
}

/**
 * Rows are found by nested maps, and not by one key of all names: making that text for each attempt would cost more than
 * all the rest.
 */
export class DeliveryCounts implements Counting {
  readonly #clock: Pick<Clock, "now">;
  /** Of the minute that runs, by organisation and environment. */
  #open = new Map<string, Map<string, OpenTenant>>();
  #minuteMs = 0;
  #rows: OpenRow[] = [];
  #isCut = false;
  readonly totals = { events: 0, delivered: 0, failed: 0, attempts: 0, failedAttempts: 0 } satisfies Totals;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  readonly eventStored = (tenant: Tenant): void => {
    this.totals.events += 1;
    this.#tenant(tenant).all.events += 1;
  };

  readonly attempted = (work: Work, { attempt, next }: WorkResult, applied: boolean): void => {
    if (attempt === undefined) return;
    const { tenant, loggedAtMs } = work.event.stored;
    const delivers = next.status === "delivered";
    const ended = applied && (delivers || next.status === "failed") ? next.status : undefined;
    // A replay's event was accepted long ago, and nobody has waited for it since.
    const isFirstRun = work.replayId === undefined && (work.claim?.run ?? 1) === 1;
    const duration = bucketOf(attempt.durationMs);
    const delay = delivers && isFirstRun ? bucketOf(attempt.startedAtMs + attempt.durationMs - loggedAtMs) : undefined;
    this.totals.attempts += 1;
    if (!delivers) this.totals.failedAttempts += 1;
    if (ended !== undefined) this.totals[ended] += 1;
    const open = this.#tenant(tenant);
    note(open.all, delivers, ended, duration, delay);
    const row = open.bySubscription.get(work.subscriptionId) ?? this.#subscription(open, work.subscriptionId);
    if (row !== undefined) note(row, delivers, ended, duration, delay);
  };

  /** What was counted since the last call. */
  take(): readonly CountRow[] {
    const rows = this.#rows;
    this.#rows = [];
    this.#open = new Map();
    this.#isCut = false;
    return rows;
  }

  /** True where so much was counted that subscriptions were left out: only their tenants have it. */
  get isCut(): boolean {
    return this.#isCut;
  }

  #tenant(tenant: Tenant): OpenTenant {
    const nowMs = this.#clock.now();
    if (nowMs < this.#minuteMs || nowMs >= this.#minuteMs + SPAN_MS.minute) {
      this.#minuteMs = nowMs - (nowMs % SPAN_MS.minute);
      this.#open = new Map();
    }
    const known = this.#open.get(tenant.organisation)?.get(tenant.environment);
    if (known !== undefined) return known;
    const made = { all: this.#row(tenant, ""), bySubscription: new Map<string, OpenRow>() };
    const environments = this.#open.get(tenant.organisation) ?? new Map<string, OpenTenant>();
    this.#open.set(tenant.organisation, environments.set(tenant.environment, made));
    return made;
  }

  /** undefined where there are as many rows as may be. */
  #subscription({ all, bySubscription }: OpenTenant, subscriptionId: string): OpenRow | undefined {
    if (this.#rows.length >= LIMITS.countedRows) {
      this.#isCut = true;
      return undefined;
    }
    const made = this.#row(all.tenant, subscriptionId);
    bySubscription.set(subscriptionId, made);
    return made;
  }

  #row(tenant: Tenant, subscriptionId: string): OpenRow {
    const counts = { delivered: 0, failed: 0, attempts: 0, failedAttempts: 0, events: 0 };
    const histograms = { durations: new Map<number, number>(), delays: new Map<number, number>() };
    const row = { tenant, subscriptionId, atMs: this.#minuteMs, ...counts, ...histograms };
    this.#rows.push(row);
    return row;
  }
}

function note(
  row: OpenRow,
  delivers: boolean,
  ended: "delivered" | "failed" | undefined,
  duration: number,
  delay: number | undefined,
): void {
  row.attempts += 1;
  if (!delivers) row.failedAttempts += 1;
  if (ended !== undefined) row[ended] += 1;
  addTo(row.durations, duration);
  if (delay !== undefined) addTo(row.delays, delay);
}

export interface StatsWriterDeps {
  readonly counts: DeliveryCounts;
  readonly store: StatsSink;
  /** What this worker has to say of itself now. */
  readonly report: () => WorkerReport;
  readonly clock: Clock;
  readonly log: Log;
}

const WRITE_EVERY_MS = 5_000;
const LAST_WRITE_MS = 1_000;
/** Rows of one write: the store does other things in between. */
const WRITTEN_ROWS = 500;
/** Of rows that could not be written, so many are tried again; the oldest go first. */
const KEPT_ROWS = 20_000;

export class StatsWriter {
  readonly #deps: StatsWriterDeps;
  readonly #stopping = new AbortController();
  #left: CountRow[] = [];
  #isFailing = false;
  #loop: Promise<void> | undefined;

  constructor(deps: StatsWriterDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** With a last write of what was counted, if the store takes it at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const written = Promise.resolve(this.#loop).then(() => this.#write());
    await waitAtMost(this.#deps.clock, LAST_WRITE_MS, written);
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#write();
      await sleep(clock, WRITE_EVERY_MS, signal);
    }
  }

  async #write(): Promise<void> {
    const { counts, store, report, log } = this.#deps;
    if (counts.isCut) log.warn("stats.cut", { rows: LIMITS.countedRows });
    this.#left.push(...counts.take());
    if (this.#left.length > KEPT_ROWS) this.#left = this.#left.slice(-KEPT_ROWS);
    try {
      while (this.#left.length > 0) {
        await store.addCounts(this.#left.slice(0, WRITTEN_ROWS));
        this.#left = this.#left.slice(WRITTEN_ROWS);
      }
      await store.report(report());
      this.#isFailing = false;
    } catch (err) {
      // A store that is down is told of by the flush; once is enough here.
      if (!this.#isFailing) log.warn("stats.write_failed", { err });
      this.#isFailing = true;
    }
  }
}
