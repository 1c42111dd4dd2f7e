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
import type { EndpointKey } from "../domain/endpoint.ts";
import { type Clock, waitAtMost } from "../kernel/clock.ts";
import type { Load } from "../kernel/load.ts";
import type { Match } from "../matching/subscription-index.ts";
import { ANY_OPEN, Chains } from "./chains.ts";
import { type StoredChains, type StoredChainsDeps, storedChains } from "./chains-stored.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import { EndpointHealth } from "./endpoint-health.ts";
import type { EndpointHealthDeps } from "./endpoint-health-writer.ts";
import type { EndpointStore, RateStore } from "./endpoint-store.ts";
import { Heirs } from "./heirs.ts";
import { type Arrival, InHand } from "./in-hand.ts";
import type { Lane } from "./lane.ts";
import { Lanes, SPILL_AFTER_MS } from "./lanes.ts";
import { OperationalEvents } from "./operational-events.ts";
import { Outcomes } from "./outcomes.ts";
import { Planner } from "./plan.ts";
import { PlanQueue } from "./plan-queue.ts";
import { RatedLanes } from "./rate-lanes.ts";
import { Recorder } from "./recorder.ts";
import { RetryScheduler } from "./retry-scheduler.ts";
import { Room } from "./room.ts";
import type { Counted } from "./stats.ts";
import { Sweeper } from "./sweeper.ts";
import { type TurnDeps, Turns } from "./turn.ts";
import { isFromLog, sameAssignment, type Work, type WorkAssignment } from "./work.ts";

export interface EngineDeps extends TurnDeps, EndpointHealthDeps, Counted {
  readonly store: DeliveryStore;
  readonly endpoints: EndpointStore & RateStore;
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
/** A stop waits at least so long for the last flush, whatever it was told. */
const FLUSH_GRACE_MS = 1_000;

export class Engine {
  /** For whoever notices something that passbus should say of itself. */
  readonly operational: OperationalEvents;
  readonly #deps: EngineDeps;
  readonly #clock: Clock;
  readonly #inHand = new InHand();
  readonly #recorder: Recorder;
  readonly #outcomes: Outcomes;
  readonly #chains: Chains;
  readonly #stored: StoredChains;
  readonly #heirs: Heirs;
  readonly #plans: PlanQueue;
  readonly #lanes: Lanes;
  readonly #endpoints: EndpointHealth;
  readonly #rated: RatedLanes;
  readonly #scheduler: RetryScheduler;
  readonly #sweeper: Sweeper;
  readonly #stopping = new AbortController();
  #saidFull = false;
  #cancelTick: (() => void) | undefined;
  #roomListener: () => void = () => {};

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    const { store, clock, log, index, holder, counting } = deps;
    this.#clock = clock;
    this.#recorder = new Recorder({ store, clock, log, onFlushed: () => this.#onRoom(), counting });
    const onDue = () => this.#scheduler.wake();
    const mayStart = () => !this.#stopping.signal.aborted && this.#recorder.takesMore;
    const takeOn: StoredChainsDeps["takeOn"] = (claimed, life) => this.#scheduler.takeOn(claimed, life);
    this.#stored = storedChains({ store, index, clock, log, onDue, mayStart, takeOn, holder });
    this.#chains = new Chains({
      ...this.#stored,
      go: (work) => this.#admit(work),
      hold: (work) => this.#hold(work),
      giveUp: (work) => this.#giveUp(work),
    });
    const [recorder, inHand, chains] = [this.#recorder, this.#inHand, this.#chains];
    this.#outcomes = new Outcomes({ recorder, inHand, chains, clock, onDue, counting });
    this.#heirs = new Heirs({
      ...{ store, inHand, chains, clock, log, isFresh: deps.isFresh, stopping: this.#stopping.signal },
      push: (work) => this.#lanes.push(this.#laneOf(work), work),
      pump: () => this.#lanes.pump(),
    });
    this.operational = new OperationalEvents({ index, recorder, clock, log, onDue, stopping: this.#stopping.signal });
    const endpoints = new EndpointHealth(deps, {
      onChange: (change) => this.operational.endpointChanged(change),
      onOpened: (id) => this.#endpointOpened(id),
      onClosed: (key) => this.#endpointClosed(key),
    });
    this.#endpoints = endpoints;
    this.#rated = new RatedLanes({ store: deps.endpoints, endpoints, lanes: () => this.#lanes, clock, log, onDue });
    const turns = new Turns(deps, {
      outcomes: this.#outcomes,
      operational: this.operational,
      endpoints,
      stopping: this.#stopping.signal,
      putBack: (work) => this.#putBack(work),
      giveUp: (work) => this.#giveUp(work),
      suspend: (work) => this.#suspend(work),
      wait: (work) => this.#toStore(work),
    });
    const run = (work: Work) => turns.run(work);
    const onPaced = (lane: Lane) => this.#rated.serve(lane);
    this.#lanes = new Lanes({ clock, mayStart, run, onLeft: (lane) => this.#onLeft(lane), onPaced });
    const place = (work: Work, match: Match, openFrom: number) => this.#place(work, match, openFrom);
    const room = new Room({ lanes: this.#lanes, chains, inHand, recorder });
    this.#plans = new PlanQueue({
      planner: new Planner({ index, store, recorder, inHand, chains, clock, room, place }),
      hasRoom: () => room.isOpen,
      roomOf: (organisation) => room.of(organisation),
      onBatch: () => this.#onRoom(),
      stopping: this.#stopping.signal,
      clock,
      log,
    });
    const placeClaimed = (work: Work) => this.#placeClaimed(work);
    this.#scheduler = new RetryScheduler({
      store,
      index,
      lanes: this.#lanes,
      clock,
      log,
      mayStart,
      holder,
      stopped: deps.stopped,
      endpoints,
      place: placeClaimed,
    });
    this.#sweeper = new Sweeper({ store, index, clock, log, onDue });
  }

  start(): void {
    this.#endpoints.start();
    this.#scheduler.start();
    this.#sweeper.start();
    this.#tick();
  }

  /** Takes events in the order of the log. They are planned in it by organisation, and the organisations in turn. Returns at once. */
  take(arrivals: readonly Arrival[]): void {
    this.#plans.push(arrivals);
  }

  /** True while it has as much as may be read ahead of the plans, or the store doesn't take more. */
  isFull(): boolean {
    this.#saidFull = this.#plans.isFull || !this.#recorder.takesMore;
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
    for (const work of this.#chains.take(lost)) this.#giveUp(work);
    for (const lane of [...this.#lanes.all()]) {
      for (const work of this.#lanes.take(lane, lost)) this.#giveUp(work);
    }
  }

  settled(): Promise<void> {
    return this.#inHand.emptied();
  }

  /** Due work may have been made by somebody else, or a subscription changed. */
  wake(): void {
    this.#scheduler.wake();
  }

  /** The store is the limit: whatever can wait should leave it to deliveries. */
  get storeIsBusy(): boolean {
    return this.#recorder.stalled || this.#recorder.isSlow || this.#scheduler.isSlow;
  }

  get state(): EngineState {
    const { unflushed } = this.#recorder;
    const stalled = this.#recorder.stalled || this.#plans.isFailing;
    return { inFlight: this.#lanes.inFlight, pending: this.#lanes.total + this.#chains.waiting, unflushed, stalled };
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
    const left = this.#inHand.emptied().then(leaveLog);
    left.catch(() => {});
    await Promise.all([this.#scheduler.stop(), this.#sweeper.stop(), this.#plans.settled(), this.#stored.claimed()]);
    for (const work of this.#chains.take(() => true)) this.#putBack(work);
    for (const lane of [...this.#lanes.all()]) {
      for (const work of this.#lanes.take(lane, () => true)) this.#putBack(work);
    }
    this.#inHand.look();
    const drained = await this.#idleWithin(drainMs);
    if (!drained) this.#deps.log.warn("delivery.drain_cut", { inFlight: this.#lanes.inFlight });
    await this.#deps.sender.close();
    await this.#idleWithin(drainMs);
    this.#cancelTick?.();
    this.#rated.stop();
    await this.#endpoints.stop();
    const durable = this.#recorder.drain().then(() => this.#stored.promoted());
    await waitAtMost(this.#clock, Math.max(drainMs, FLUSH_GRACE_MS), durable);
    this.#recorder.abandon();
    this.#inHand.letGoOf();
    await left;
  }

  /** What waits may start, be planned, or be read. */
  #onRoom(): void {
    this.#inHand.look();
    this.#lanes.pump();
    this.#noteRoom();
  }

  #noteRoom(): void {
    this.#plans.noteRoom();
    if (this.#saidFull && !this.isFull()) this.#roomListener();
  }

  // ---- from plans to lanes ----

  #place(work: Work, { disposition }: Match, openFrom: number): void {
    if (work.ordered === true) {
      const from = disposition === "hold" ? ANY_OPEN : openFrom;
      this.#chains.add(work, { nowMs: this.#clock.monotonic(), openFrom: from });
    } else if (disposition === "hold") {
      this.#hold(work);
    } else {
      this.#admit(work);
    }
  }

  /** It waits in the store until its subscription is enabled, or its turn comes. */
  #hold(work: Work): void {
    if (isFromLog(work) && !this.#deps.isFresh(work.assignment)) this.#giveUp(work);
    else this.#outcomes.finish(work, { next: { status: "held" } });
  }

  /** Nothing keeps it back but the others of its endpoint. */
  #admit(work: Work): void {
    const lane = this.#laneOf(work);
    // Beyond the rate, work waits in the store, and as long as any does, newer work behind it: the older goes first.
    const isPaced = lane.pace !== undefined && (lane.behind || lane.queued >= lane.pace.room);
    // Behind what waits in the store, unless the lane has room for both: then the older comes with the next claim.
    const isBehind = lane.behind && lane.queued >= lane.cap;
    const waits = isPaced || isBehind || this.#endpoints.isOpen(work.subscriptionId) || this.#lanes.isTooSlow(lane);
    if (waits) this.#spill(lane, work);
    else this.#lanes.push(lane, work);
  }

  #placeClaimed(work: Work): void {
    this.#inHand.grip(work);
    const lane = this.#laneOf(work);
    // More than its rate lets go soon: it was claimed before that was known here.
    if (lane.pace !== undefined && lane.queued >= lane.pace.room) {
      this.#toStore(work);
      return;
    }
    this.#lanes.push(lane, work);
    this.#lanes.pump();
  }

  /** With its subscription's cap and rate as they are now, where these are at hand. */
  #laneOf(work: Work): Lane {
    const { tenant } = work.event.stored;
    return this.#lanes.lane(work, this.#deps.index.find(tenant, work.subscriptionId)?.policy);
  }

  /** It can't go now: its row says that it waits. */
  #toStore(work: Work): void {
    const lane = this.#lanes.lane(work);
    if (isFromLog(work) && work.row === "none") {
      this.#spill(lane, work);
    } else {
      lane.behind = true;
      this.#putBack(work);
    }
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
    if (mayHaveMore && lane.freeSlots(this.#clock.monotonic()) * 2 >= lane.startable) this.#scheduler.wake();
  }

  #endpointOpened(id: string): void {
    const lane = this.#lanes.find(id);
    if (lane !== undefined) for (const work of this.#lanes.take(lane, () => true)) this.#toStore(work);
  }

  #endpointClosed(key: EndpointKey): void {
    this.#lanes.beginSlowly(key);
    this.#scheduler.wake();
  }

  // ---- what leaves ----

  /** Each tenth of a second: what waits or runs too long leaves memory and the log for the store. */
  #tick(): void {
    const nowMs = this.#clock.monotonic();
    this.#lanes.setSaturated(this.#deps.load.sample() > SATURATED, this.#recorder.isSlow || this.#scheduler.isSlow);
    for (const lane of [...this.#lanes.all()]) this.#relieve(lane, nowMs);
    for (const head of this.#chains.overdue(nowMs - this.#lanes.patienceMs)) this.#makeWay(head);
    this.#onRoom();
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
  }

  #relieve(lane: Lane, nowMs: number): void {
    const oldest = lane.oldestQueued;
    if (oldest !== undefined) {
      const waits = nowMs - oldest.queuedAtMs > this.#lanes.patienceMs || this.#lanes.isTooSlow(lane);
      if (waits) for (const work of this.#lanes.take(lane, isFromLog)) this.#spill(lane, work);
      for (const work of this.#rated.takeLate(lane)) this.#toStore(work);
    }
    this.#rated.serve(lane);
    for (const work of lane.inFlightWorks()) {
      if (nowMs - (work.startedAtMs ?? nowMs) < SPILL_AFTER_MS) break;
      if (this.#lanes.noteSlow(lane, work)) this.#inHand.noteSlow(work);
      if (isFromLog(work) && work.row === "none" && this.#deps.isFresh(work.assignment)) this.#outcomes.lease(work);
    }
  }

  /** Others of its pass have waited behind it for so long that they are to leave for the store, and it before them. */
  #makeWay(head: Work): void {
    const lane = this.#lanes.lane(head);
    const [queued] = this.#lanes.take(lane, (work) => work === head);
    if (queued !== undefined) this.#spill(lane, queued);
    else if (isFromLog(head) && head.row === "none" && this.#deps.isFresh(head.assignment)) this.#outcomes.lease(head);
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

  /** Deliveries of its organisation were stopped while it was in memory. */
  #suspend(work: Work): void {
    this.#lanes.lane(work).stoppedWith = work.event.stored.tenant.organisation;
    this.#toStore(work);
  }

  /** Neither sent nor recorded; whoever has the partition, or claims the ended lease, goes on with it. */
  #giveUp(work: Work): void {
    this.#outcomes.drop(work);
    this.#heirs.inherit(work);
  }

  /** False where something is still in flight after `limitMs`. */
  async #idleWithin(limitMs: number): Promise<boolean> {
    await waitAtMost(this.#clock, limitMs, this.#lanes.idle());
    return this.#lanes.inFlight === 0;
  }
}
