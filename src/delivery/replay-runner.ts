/**
 * The workers' side of replays: takes jobs under leases and gets each on by a small step ten times a second, as far as
 * its rate and what is still under way allow.
 */
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { Stopped } from "./kill-switch.ts";
import { type Replay, sourceOf } from "./replay.ts";
import { MOST_DEFERRED, orderedPairs, type StepWork, stepWork, wants } from "./replay-step.ts";
import type { ReplayCandidates, ReplayJobs, ReplayStore } from "./replay-store.ts";

export interface ReplayRunnerDeps {
  readonly jobs: ReplayJobs;
  readonly store: Pick<ReplayStore, "candidates">;
  readonly index: Pick<SubscriptionIndex, "refresh">;
  readonly clock: Clock;
  readonly log: Log;
  /** Whose replays rest. */
  readonly stopped: Stopped;
  /** Deliveries were made due. */
  readonly onDue: () => void;
}

/** How long a job rests when the worker that runs it dies. */
const REPLAY_LEASE_MS = 10_000;
const STEP_EVERY_MS = 100;
/** Between two looks for jobs that nobody runs. */
const TAKE_EVERY_MS = 1_000;
/** Jobs that one worker runs at a time; more wait for their turn, or for another worker. */
const MOST_JOBS = 16;
/** Deliveries of one step: what one transaction of the store may have. */
const STEP_ROWS = 500;
/** What a step looks at beyond what it may make due, since some is skipped. */
const LOOK_AHEAD = 100;
/** The same where a target is asked whether it wants each: that takes our own time. */
const LOOK_AHEAD_ASKING = 25;
/** Events, of 256 KiB at most, that are in memory together to be asked about. */
const EVENTS_ASKED = 50;
/** Between two steps of a job that the store did not take. */
const FAILED_WAIT_MS = 1_000;

type FindSubscription = (id: string) => Subscription | undefined;

/** A job that is this worker's, as long as its lease lasts. */
interface Held {
  replay: Replay;
  /** What may become due, by its rate. */
  tokens: number;
  filledAtMs: number;
  restUntilMs: number;
}

export class ReplayRunner {
  readonly #deps: ReplayRunnerDeps;
  readonly #stopping = new AbortController();
  readonly #held = new Map<string, Held>();
  #tookAtMs = Number.NEGATIVE_INFINITY;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(deps: ReplayRunnerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Lets go of its jobs, so that another worker goes on with them at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
  }

  /** There may be a new job. */
  wake(): void {
    this.#tookAtMs = Number.NEGATIVE_INFINITY;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#take();
      for (const [key, held] of this.#held) if (!signal.aborted && !(await this.#advance(held))) this.#held.delete(key);
      await this.#wait(this.#held.size > 0 ? STEP_EVERY_MS : TAKE_EVERY_MS);
    }
    for (const { replay } of this.#held.values()) await this.#write(replay, idle(replay), 0).catch(() => {});
  }

  async #wait(ms: number): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(this.#deps.clock, ms, woken.signal);
    this.#wake = undefined;
  }

  async #take(): Promise<void> {
    const { jobs, clock, log } = this.#deps;
    const nowMs = clock.monotonic();
    if (nowMs - this.#tookAtMs < TAKE_EVERY_MS || this.#held.size >= MOST_JOBS) return;
    this.#tookAtMs = nowMs;
    try {
      const limit = MOST_JOBS - this.#held.size;
      for (const replay of await jobs.take({ nowMs: clock.now(), leaseMs: REPLAY_LEASE_MS, limit })) {
        this.#held.set(replay.id, { replay, tokens: 1, filledAtMs: nowMs, restUntilMs: nowMs });
        log.info("replay.taken", { replayId: replay.id, fence: replay.fence, sent: replay.sent });
      }
    } catch (err) {
      log.error("replay.take_failed", { err });
    }
  }

  /** One step of one job. False where the job is this worker's no more. */
  async #advance(held: Held): Promise<boolean> {
    const { clock, log } = this.#deps;
    const { id } = held.replay;
    if (clock.monotonic() < held.restUntilMs) return true;
    try {
      const after = await this.#step(held);
      if (after?.state !== "running") {
        log.info("replay.left", { replayId: id, state: after?.state ?? "another's", sent: after?.sent });
        return false;
      }
      held.replay = after;
    } catch (err) {
      log.error("replay.step_failed", { err, replayId: id });
      held.restUntilMs = clock.monotonic() + FAILED_WAIT_MS;
      // Its lease may end meanwhile: then it is taken anew, by whoever comes first.
      return clock.now() < (held.replay.leaseUntilMs ?? 0);
    }
    return true;
  }

  async #step(held: Held): Promise<Replay | undefined> {
    const { jobs, index, stopped, clock } = this.#deps;
    const { replay } = held;
    const { tenant, id } = replay;
    fill(held, clock.monotonic());
    const view = await index.refresh([tenant]);
    const subscription = (subscriptionId: string) => view.find(tenant, subscriptionId);
    if (stopped.isStopped(tenant.organisation) || rests(replay, subscription)) return this.#rest(replay);
    const underWay = await jobs.unattempted(tenant, id, LIMITS.replayUnderWay);
    const room = Math.min(Math.floor(held.tokens), LIMITS.replayUnderWay - underWay, STEP_ROWS);
    const isDone = replay.isAtEnd && replay.deferred.length === 0;
    if (isDone) return underWay === 0 ? this.#write(replay, idle(replay), REPLAY_LEASE_MS, true) : this.#rest(replay);
    if (room <= 0) return this.#rest(replay);
    const work = await this.#look(replay, room, subscription);
    const count = work.due.length + work.fresh.length;
    if (isNothing(replay, work)) return this.#rest(replay);
    const after = await this.#write(replay, work, REPLAY_LEASE_MS);
    held.tokens -= count;
    if (count > 0) this.#deps.onDue();
    return after;
  }

  async #look(replay: Replay, room: number, subscription: FindSubscription): Promise<StepWork> {
    const { jobs, store, clock } = this.#deps;
    const { tenant, targetSubscriptionId } = replay;
    const goesOn = !replay.isAtEnd && replay.deferred.length < MOST_DEFERRED;
    const ahead = targetSubscriptionId === undefined ? LOOK_AHEAD : LOOK_AHEAD_ASKING;
    const rows = Math.min(STEP_ROWS, room + ahead);
    const found = goesOn ? await store.candidates(tenant, sourceOf(replay), replay.cursor, rows) : undefined;
    const seen = { replay, subscription, ...(found === undefined ? {} : { found }) };
    const pairs = orderedPairs(seen);
    const [wanted, busy] = await Promise.all([
      this.#wanted(replay, found, subscription),
      pairs.length === 0 ? [] : jobs.busyPasses(tenant, pairs),
    ]);
    return stepWork({ ...seen, wanted, busy, room, nowMs: clock.now() });
  }

  /** Ids of the events that the target wants; of those that are stored no more, with their payload, it can't. */
  async #wanted(
    { tenant, targetSubscriptionId }: Replay,
    found: ReplayCandidates | undefined,
    subscription: FindSubscription,
  ): Promise<ReadonlySet<string>> {
    const wanted = new Set<string>();
    const target = targetSubscriptionId === undefined ? undefined : subscription(targetSubscriptionId);
    if (target === undefined) return wanted;
    const ids = [...new Set(found?.items.map(({ eventId }) => eventId))];
    for (let from = 0; from < ids.length; from += EVENTS_ASKED) {
      const events = await this.#deps.jobs.events(tenant, ids.slice(from, from + EVENTS_ASKED));
      for (const [id, event] of events) {
        if (event.payloadDroppedAtMs === undefined && wants(target, event)) wanted.add(id);
      }
    }
    return wanted;
  }

  /** Nothing is to be done now. The lease is made longer when half of it is gone. */
  async #rest(replay: Replay): Promise<Replay | undefined> {
    const leftMs = (replay.leaseUntilMs ?? 0) - this.#deps.clock.now();
    return leftMs > REPLAY_LEASE_MS / 2 ? replay : this.#write(replay, idle(replay), REPLAY_LEASE_MS);
  }

  #write({ tenant, id, fence }: Replay, work: StepWork, leaseMs: number, finished = false) {
    const nowMs = this.#deps.clock.now();
    return this.#deps.jobs.step({ tenant, id, fence, nowMs, leaseUntilMs: nowMs + leaseMs, finished, ...work });
  }
}

/** A replay for one subscription waits while that is disabled. */
function rests({ filter, targetSubscriptionId }: Replay, find: FindSubscription): boolean {
  const only = targetSubscriptionId ?? filter.subscriptionId;
  return only !== undefined && find(only)?.state === "disabled";
}

/** A step that only holds on to the job, or lets go of it. */
function idle({ cursor, isAtEnd, deferred }: Replay): StepWork {
  return {
    due: [],
    fresh: [],
    skipped: 0,
    alreadySent: 0,
    isAtEnd,
    deferred,
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** Nothing that is deferred could go, and there was nothing else. */
function isNothing(replay: Replay, work: StepWork): boolean {
  const { due, fresh, skipped, alreadySent, deferred, isAtEnd, cursor } = work;
  const counts = due.length + fresh.length + skipped + alreadySent;
  const isSamePlace = cursor?.id === replay.cursor?.id && cursor?.timeMs === replay.cursor?.timeMs;
  return counts === 0 && deferred.length === replay.deferred.length && isAtEnd === replay.isAtEnd && isSamePlace;
}

/** What a second saves up at most, and one whole delivery at least. */
function fill(held: Held, nowMs: number): void {
  const { ratePerSecond } = held.replay;
  const saved = held.tokens + (ratePerSecond * (nowMs - held.filledAtMs)) / 1_000;
  held.tokens = Math.min(Math.max(1, ratePerSecond), saved);
  held.filledAtMs = nowMs;
}
