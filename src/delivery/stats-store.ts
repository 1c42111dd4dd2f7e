/** What is counted of attempts, over all workers; and what the workers say of themselves. */
import type { Tenant } from "../kernel/tenant.ts";
import type { Histogram } from "./histogram.ts";

export interface Counts {
  /** Deliveries that became so. */
  readonly delivered: number;
  readonly failed: number;
  readonly attempts: number;
  /** Of the attempts, those that didn't deliver. */
  readonly failedAttempts: number;
  /** Events that were stored; of a tenant as a whole alone. */
  readonly events: number;
  /** Of attempts, in milliseconds. */
  readonly durations: Histogram;
  /** From when the event was accepted to the end of the attempt that delivered it, in milliseconds. */
  readonly delays: Histogram;
}

/** Counts are kept by the minute for two days, and by the hour for thirty. */
export type StatsSpan = "minute" | "hour";

export const SPAN_MS: Readonly<Record<StatsSpan, number>> = { minute: 60_000, hour: 3_600_000 };
export const STATS_KEPT_MS: Readonly<Record<StatsSpan, number>> = {
  minute: 2 * 24 * 3_600_000,
  hour: 30 * 24 * 3_600_000,
};

/** What was counted in the span that begins at `atMs`. */
export interface CountRow extends Counts {
  readonly tenant: Tenant;
  /** Empty: of all of the tenant's. */
  readonly subscriptionId: string;
  readonly atMs: number;
}

export interface StatsQuery {
  readonly tenant: Tenant;
  /** Empty: of all of the tenant's. */
  readonly subscriptionId: string;
  readonly span: StatsSpan;
  /** At or after, */
  readonly fromMs: number;
  /** and before. */
  readonly toMs: number;
}

/** Deliveries that have not ended; each number is counted no further than `BACKLOG_COUNTED`. */
export interface Backlog {
  readonly waiting: number;
  readonly attempting: number;
  readonly held: number;
  /** Of those waiting, those whose time has come. */
  readonly due: number;
  /** Absent where none is due. */
  readonly oldestDueAtMs?: number;
}

export const BACKLOG_COUNTED = 100_000;

/** What a worker says of itself, every few seconds. */
export interface WorkerReport {
  /** A name that no other process has. */
  readonly worker: string;
  readonly startedAtMs: number;
  readonly reportedAtMs: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly unflushed: number;
  readonly openRecords: number;
  readonly stalled: boolean;
  readonly eventLoopDelayP99Ms: number;
  /** Records of its partitions that it has not read; absent where that isn't known. */
  readonly lagRecords?: number;
}

/** The workers' side. */
export interface StatsSink {
  /**
   * Adds to what is counted: each row to its minute, and to the hour that this lies in. One whose answer is lost may be
   * counted twice if it is given again.
   */
  addCounts(rows: readonly CountRow[]): Promise<void>;
  /** Replaces what the worker said before; what others said more than a day ago is forgotten. */
  report(report: WorkerReport): Promise<void>;
}

/** The people's side. */
export interface StatsStore extends StatsSink {
  /** Those spans in which anything was counted, the oldest first. */
  readCounts(query: StatsQuery): Promise<readonly CountRow[]>;
  backlog(tenant: Tenant, nowMs: number): Promise<Backlog>;
  /** Those that reported at that time or later, by the worker's name. */
  reports(sinceMs: number): Promise<readonly WorkerReport[]>;
}
