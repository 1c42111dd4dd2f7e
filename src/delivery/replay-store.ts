/** Where replays are stored: what people ask of it, and what the worker that runs one does. */
import type { Delivery, DeliveryStatus } from "../domain/delivery.ts";
import type { EventKind, StoredEvent } from "../domain/event.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { Replay, ReplayChange, ReplayCursor, ReplayItem, ReplayProgress, ReplaySource } from "./replay.ts";

/** A delivery, or an event, that fits a replay's filter. */
export interface ReplayCandidate {
  readonly place: ReplayCursor;
  readonly eventId: string;
  readonly kind: EventKind;
  readonly passId: string;
  /** Absent for an event. */
  readonly delivery?: {
    readonly id: string;
    readonly subscriptionId: string;
    readonly status: DeliveryStatus;
    /** The replay that made it due last. */
    readonly replayId?: string;
  };
}

export interface ReplayCandidates {
  /** In the order of a replay. */
  readonly items: readonly ReplayCandidate[];
  /** Up to here everything was looked at, whether it fits or not; absent where nothing lies behind it. */
  readonly next?: ReplayCursor;
}

/** The people's side. */
export interface ReplayStore {
  /** False where the tenant has `openLimit` that are running or paused already, under any race. */
  insert(replay: Replay, openLimit: number): Promise<boolean>;
  /** How many of the tenant's are running or paused. */
  countOpen(tenant: Tenant): Promise<number>;
  get(tenant: Tenant, id: string): Promise<Replay | undefined>;
  /** Newest first, by creation, then id. */
  list(tenant: Tenant, page: PageRequest): Promise<Page<Replay>>;
  /**
   * Applies the change where the state allows it (REPLAY_CHANGES), which ends the lease of whoever runs it. Answers the
   * replay as it then is, changed or not.
   */
  change(tenant: Tenant, id: string, change: ReplayChange, nowMs: number): Promise<Replay | undefined>;
  /** Counts rows, so for one replay at a time. */
  progress(tenant: Tenant, id: string): Promise<ReplayProgress>;
  /**
   * What fits the source's filter, of whatever status where it names none: `limit` at most, and no more than some
   * thousands of rows are looked at, so that what fits may be few, or none, with more to come.
   */
  candidates(
    tenant: Tenant,
    source: ReplaySource,
    after: ReplayCursor | undefined,
    limit: number,
  ): Promise<ReplayCandidates>;
}

export interface TakeReplays {
  readonly nowMs: number;
  readonly leaseMs: number;
  readonly limit: number;
}

/** What one step of a job has come to. */
export interface ReplayStep {
  readonly tenant: Tenant;
  readonly id: string;
  readonly fence: number;
  readonly nowMs: number;
  /** In the past: the job is let go of. */
  readonly leaseUntilMs: number;
  /** Ids of stored deliveries: each that is terminal, and whose event is stored, is due now, in its next run. */
  readonly due: readonly string[];
  /** Deliveries that may have no row: inserted where their event is stored, or where there is a row, as `due`. */
  readonly fresh: readonly Delivery[];
  /** Those of this step that need nothing done. */
  readonly skipped: number;
  /** Made due by this very job, by a step whose end was lost. */
  readonly alreadySent: number;
  readonly cursor?: ReplayCursor;
  readonly isAtEnd: boolean;
  /** All that are deferred from now on. */
  readonly deferred: readonly ReplayItem[];
  /** Everything is done: the job ends. */
  readonly finished: boolean;
}

export interface PassOfSubscription {
  readonly subscriptionId: string;
  readonly passId: string;
}

/** The side of the worker that runs them. */
export interface ReplayJobs {
  /**
   * Running ones that nobody has, or whose lease has ended, or ends so late that a wrong clock wrote it (lease.ts), the
   * oldest first; now under a new fence and lease.
   */
  take(request: TakeReplays): Promise<readonly Replay[]>;
  /** How many of those that the replay made due wait for their first attempt, or are in it; counted up to `limit`. */
  unattempted(tenant: Tenant, id: string, limit: number): Promise<number>;
  /** Those of the pairs that have a delivery which is not terminal: in their chain, or made due by whichever replay. */
  busyPasses(tenant: Tenant, pairs: readonly PassOfSubscription[]): Promise<readonly PassOfSubscription[]>;
  /** Those of the events that are stored, by id. */
  events(tenant: Tenant, ids: readonly string[]): Promise<ReadonlyMap<string, StoredEvent>>;
  /**
   * Makes due what the step names and moves the job on, for whoever holds it: undefined where the job isn't running
   * under this fence, and then nothing is moved on. A delivery that carries the job's id already counts as sent and
   * stays as it is: so a step that is made twice, its end having been lost, sends nothing twice. What was left alone
   * counts as skipped. The replay as it then is.
   */
  step(step: ReplayStep): Promise<Replay | undefined>;
}
