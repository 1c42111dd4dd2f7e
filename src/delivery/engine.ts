/**
 * The delivery engine: one way for every webhook, whether its event just came from the log or its delivery is due again.
 *
 *   take ─▶ plan ─▶ place ─▶ lane ─▶ attempt ─▶ decide ─▶ outcomes ─▶ recorder ─▶ store
 *                     ▲                │ slow                                      │
 *                     │                └─▶ spill / lease ─────────────────────────▶│
 *                     └──────────── retry scheduler ◀── due ───────────────────────┘
 *
 * Ports: DeliveryStore (the workers' side of the store), Sender (HTTP), EndpointSwitch.
 */
import { type Clock, sleep, waitAtMost } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Load } from "../kernel/load.ts";
import type { Match } from "../matching/subscription-index.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import { type Arrival, InHand } from "./in-hand.ts";
import type { Lane } from "./lane.ts";
import { Lanes, SPILL_AFTER_MS } from "./lanes.ts";
import { Outcomes } from "./outcomes.ts";
import { Planner } from "./plan.ts";
import { PLAN_BATCH, PlanQueue } from "./plan-queue.ts";
import { Recorder } from "./recorder.ts";
import { RetryScheduler } from "./retry-scheduler.ts";
import { Sweeper } from "./sweeper.ts";
import { type TurnDeps, Turns } from "./turn.ts";
import { isFromLog, sameAssignment, type Waiter, type Work, type WorkAssignment } from "./work.ts";

export interface EngineDeps extends TurnDeps {
  readonly store: DeliveryStore;
  readonly load: Load;
}

/** What the engine holds at this moment. */
export interface EngineState {
  readonly inFlight: number;
  readonly pending: number;
  readonly unflushed: number;
  /** True while the store fails to answer or to take outcomes: nothing new is sent. */
  readonly stalled: boolean;
}

const TICK_MS = 100;
/** A load from which we take ourselves for the limit. */
const SATURATED = 0.8;
const RETRY_MS = 1_000;
/** A stop waits at least so long for the last flush, whatever it was told. */
const FLUSH_GRACE_MS = 1_000;

export class Engine {
  readonly #deps: EngineDeps;
  readonly #clock: Clock;
  readonly #inHand = new InHand();
  readonly #recorder: Recorder;
  readonly #outcomes: Outcomes;
  readonly #plans: PlanQueue;
  readonly #lanes: Lanes;
  readonly #scheduler: RetryScheduler;
  readonly #sweeper: Sweeper;
  readonly #stopping = new AbortController();
  readonly #logFree = Promise.withResolvers<void>();
  #saidFull = false;
  #cancelTick: (() => void) | undefined;
  #roomListener: () => void = () => {};

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    const { store, clock, log, index } = deps;
    this.#clock = clock;
    this.#recorder = new Recorder({ store, clock, log, onFlushed: () => this.#onRoom() });
    const onDue = () => this.#scheduler.wake();
    const mayStart = () => !this.#stopping.signal.aborted && this.#recorder.takesMore;
    this.#outcomes = new Outcomes({ recorder: this.#recorder, inHand: this.#inHand, clock, onDue });
    const turns = new Turns(deps, {
      outcomes: this.#outcomes,
      stopping: this.#stopping.signal,
      putBack: (work) => this.#putBack(work),
      giveUp: (work) => this.#giveUp(work),
    });
    const run = (work: Work) => turns.run(work);
    this.#lanes = new Lanes({ clock, mayStart, run, onLeft: (lane) => this.#onLeft(lane) });
    const place = (work: Work, match: Match) => this.#place(work, match);
    this.#plans = new PlanQueue({
      planner: new Planner({ index, store, recorder: this.#recorder, inHand: this.#inHand, clock, place }),
      hasRoom: () => this.#lanes.count < LIMITS.pendingDeliveries,
      onBatch: () => this.#onRoom(),
      stopping: this.#stopping.signal,
      clock,
      log,
    });
    const placeClaimed = (work: Work, cap: number | undefined) => this.#placeClaimed(work, cap);
    this.#scheduler = new RetryScheduler({
      store,
      index,
      lanes: this.#lanes,
      clock,
      log,
      mayStart,
      place: placeClaimed,
    });
    this.#sweeper = new Sweeper({ store, index, clock, log, onDue });
  }

  start(): void {
    this.#scheduler.start();
    this.#sweeper.start();
    this.#tick();
  }

  /** Takes events in the order of the log. Returns at once. */
  take(arrivals: readonly Arrival[]): void {
    this.#plans.push(arrivals);
  }

  /** True while it has as much as it may hold. */
  isFull(): boolean {
    this.#saidFull =
      this.#plans.size >= PLAN_BATCH ||
      this.#lanes.count >= LIMITS.pendingDeliveries ||
      this.#inHand.eventBytes >= LIMITS.pendingEventBytes ||
      this.#inHand.slowEventBytes >= LIMITS.slowEventBytes ||
      !this.#recorder.takesMore ||
      this.#lanes.hasFullLane;
    return this.#saidFull;
  }

  /** `listener` is called when one that said it was full has room again. */
  onRoom(listener: () => void): void {
    this.#roomListener = listener;
  }

  /** Work of these assignments that hasn't been sent is dropped: it is another worker's now (protocol, rule 2). */
  drop(assignments: readonly WorkAssignment[]): void {
    const lost = (work: Work) => isFromLog(work) && assignments.some((gone) => sameAssignment(gone, work.assignment));
    this.#plans.drop(assignments);
    for (const lane of [...this.#lanes.all()]) {
      for (const work of this.#lanes.take(lane, lost)) this.#giveUp(work);
    }
  }

  /** Due work may have been made by somebody else, or a subscription changed. */
  wake(): void {
    this.#scheduler.wake();
  }

  get state(): EngineState {
    const { unflushed } = this.#recorder;
    const stalled = this.#recorder.stalled || this.#plans.isFailing;
    return { inFlight: this.#lanes.inFlight, pending: this.#lanes.total, unflushed, stalled };
  }

  /**
   * Starts nothing more, lets what is in flight end for `drainMs`, cuts the rest, and makes every outcome durable.
   * What was queued and came from the log stays there.
   *
   * @param leaveLog called as soon as nothing from the log is open any more: others may have the partitions then,
   * however long slow requests, which have left the log, still take. At the latest it is called at the end.
   */
  async stop(drainMs: number, leaveLog: () => Promise<void> = async () => {}): Promise<void> {
    this.#stopping.abort();
    const left = this.#logFree.promise.then(leaveLog);
    left.catch(() => {});
    await Promise.all([this.#scheduler.stop(), this.#sweeper.stop(), this.#plans.settled()]);
    for (const lane of [...this.#lanes.all()]) {
      for (const work of this.#lanes.take(lane, () => true)) this.#putBack(work);
    }
    this.#noteLogFree();
    const drained = await this.#idleWithin(drainMs);
    if (!drained) this.#deps.log.warn("delivery.drain_cut", { inFlight: this.#lanes.inFlight });
    await this.#deps.sender.close();
    await this.#idleWithin(drainMs);
    this.#cancelTick?.();
    await waitAtMost(this.#clock, Math.max(drainMs, FLUSH_GRACE_MS), this.#recorder.drain());
    this.#recorder.abandon();
    this.#logFree.resolve();
    await left;
  }

  /** What waits may start, be planned, or be read. */
  #onRoom(): void {
    this.#lanes.pump();
    this.#noteRoom();
  }

  #noteRoom(): void {
    this.#plans.noteRoom();
    if (this.#saidFull && !this.isFull()) this.#roomListener();
  }

  // ---- from plans to lanes ----

  #place(work: Work, match: Match): void {
    const { subscription, disposition } = match;
    if (disposition === "hold") {
      this.#outcomes.finish(work, { next: { status: "held" } });
      return;
    }
    const lane = this.#lanes.lane(subscription.id, subscription.policy.maxInFlight);
    // Behind what waits in the store, unless the lane has room for both: then the older comes with the next claim.
    const isBehind = lane.behind && lane.queued >= lane.cap;
    if (isBehind || this.#lanes.isTooSlow(lane)) this.#spill(lane, work);
    else this.#lanes.push(lane, work);
  }

  #placeClaimed(work: Work, cap: number | undefined): void {
    this.#inHand.grip(work);
    this.#lanes.push(this.#lanes.lane(work.subscriptionId, cap), work);
    this.#lanes.pump();
  }

  #spill(lane: Lane, work: Work): void {
    // Another's by now: it is neither sent nor spilled (protocol, rule 2).
    if (isFromLog(work) && !this.#deps.isFresh(work.assignment)) {
      this.#giveUp(work);
      return;
    }
    lane.behind = true;
    this.#outcomes.spill(work);
  }

  /** Half of the slots are free, or the only one is: worth a claim where the store may have work for them. */
  #onLeft(lane: Lane): void {
    this.#noteRoom();
    const mayHaveMore = lane.behind || lane.moreDue;
    if (mayHaveMore && lane.freeSlots(this.#clock.monotonic()) * 2 >= lane.cap) this.#scheduler.wake();
  }

  // ---- what leaves ----

  /** Each tenth of a second: what waits or runs too long leaves memory and the log for the store. */
  #tick(): void {
    const nowMs = this.#clock.monotonic();
    this.#lanes.setSaturated(this.#deps.load.sample() > SATURATED, this.#recorder.isSlow || this.#scheduler.isSlow);
    for (const lane of [...this.#lanes.all()]) this.#relieve(lane, nowMs);
    this.#onRoom();
    this.#noteLogFree();
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
  }

  #relieve(lane: Lane, nowMs: number): void {
    const oldest = lane.oldestQueued;
    if (oldest !== undefined) {
      const waits = nowMs - oldest.queuedAtMs > this.#lanes.patienceMs || this.#lanes.isTooSlow(lane);
      if (waits) for (const work of this.#lanes.take(lane, isFromLog)) this.#spill(lane, work);
    }
    for (const work of lane.inFlightWorks()) {
      if (nowMs - (work.startedAtMs ?? nowMs) < SPILL_AFTER_MS) break;
      if (this.#lanes.noteSlow(lane, work)) this.#inHand.noteSlow(work);
      if (isFromLog(work) && work.row === "none" && this.#deps.isFresh(work.assignment)) this.#outcomes.lease(work);
    }
  }

  /** Nothing was sent: what is from the log stays there, what was claimed is due again at once. */
  #putBack(work: Work): void {
    if (isFromLog(work) && work.row === "none") {
      this.#giveUp(work);
    } else {
      const dueAtMs = this.#clock.now();
      this.#outcomes.finish(work, { next: { status: "waiting", dueAtMs, workClass: work.workClass } });
    }
  }

  /** Neither sent nor recorded; whoever has the partition, or claims the ended lease, goes on with it. */
  #giveUp(work: Work): void {
    this.#outcomes.drop(work);
    const heirs = work.waiters.filter((waiter) => this.#deps.isFresh(waiter.assignment));
    if (heirs.length > 0 && !work.event.conflicted && !this.#stopping.signal.aborted) void this.#inherit(work, heirs);
  }

  /** Records of partitions that are still ours had joined the work that vanished: it is looked up again (rule 1). */
  async #inherit(work: Work, heirs: readonly Waiter[]): Promise<void> {
    const { tenant } = work.event.stored;
    const [heir] = heirs;
    while (heir !== undefined && !this.#stopping.signal.aborted) {
      try {
        const stored = await this.#deps.store.knownDeliveries(tenant, [work.id]);
        if (stored.has(work.id)) for (const waiter of heirs) waiter.release();
        else this.#revive(work, heir, heirs);
        return;
      } catch (err) {
        this.#deps.log.error("delivery.inherit_failed", { err, deliveryId: work.id });
        await sleep(this.#clock, RETRY_MS, this.#stopping.signal);
      }
    }
  }

  #revive(work: Work, heir: Waiter, heirs: readonly Waiter[]): void {
    const joined = this.#inHand.works.get(work.id);
    if (joined !== undefined) {
      joined.waiters.push(...heirs);
      return;
    }
    const next: Work = { ...work, assignment: heir.assignment, waiters: [...heirs], row: "none", isSlow: false };
    this.#inHand.works.set(work.id, next);
    this.#inHand.grip(next);
    this.#lanes.push(this.#lanes.lane(work.subscriptionId), next);
    this.#lanes.pump();
  }

  #noteLogFree(): void {
    if (this.#stopping.signal.aborted && this.#inHand.isEmpty) this.#logFree.resolve();
  }

  /** False where something is still in flight after `limitMs`. */
  async #idleWithin(limitMs: number): Promise<boolean> {
    await waitAtMost(this.#clock, limitMs, this.#lanes.idle());
    return this.#lanes.inFlight === 0;
  }
}
