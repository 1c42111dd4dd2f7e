/** All lanes: who may start next. Organisations take turns, and their endpoints, so that none waits for another's queue. */
import type { EndpointKey } from "../domain/endpoint.ts";
import type { DeliveryPolicy } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { Round } from "../kernel/round.ts";
import { Lane } from "./lane.ts";
import { Pace } from "./rate-pace.ts";
import type { Work } from "./work.ts";

export interface LanesDeps {
  readonly clock: Clock;
  /** Runs one delivery. Resolves when the work may leave its lane: to whether the endpoint said anything, be it no. */
  readonly run: (work: Work) => Promise<boolean>;
  /** False while nothing may start: the store doesn't take outcomes, or the process stops. */
  readonly mayStart: () => boolean;
  /** Called when work has left a lane, and what waited for its slot has started. */
  readonly onLeft: (lane: Lane) => void;
  /** A lane whose rate lets nothing go now has something that could. */
  readonly onPaced: (lane: Lane) => void;
}

/** How long something may wait in memory, or be in flight, before it leaves the log for the store (design, section 1). */
export const SPILL_AFTER_MS = 1_000;

interface Patience {
  /** How long work may wait in memory. */
  readonly waitMs: number;
  /** How long its organisation's events may wait for a lane whose queue is full. */
  readonly fullMs: number;
  /** How long nothing is thought of a lane that has just begun. */
  readonly graceMs: number;
}

const CALM: Patience = { waitMs: SPILL_AFTER_MS, fullMs: 250, graceMs: 250 };
/**
 * Where we ourselves are the limit, or the store is, sending work through the store would only cost more: then the log
 * waits rather, as long as the lane gets on. And an endpoint's first answers come late, as at every start, through no fault of its own.
 */
const SATURATED: Patience = { waitMs: 5_000, fullMs: 5_000, graceMs: SPILL_AFTER_MS };

/** An endpoint that has said nothing for so long, while the others have answered so often, is not merely as late as every start is. */
const OUTPACED = { graceMs: 50, answers: LIMITS.laneQueue } as const;

/** Over all endpoints: where this process is the limit, 64 beat 32 and 128 (performance.md). */
const BEST_IN_FLIGHT = 64;
const FEWEST_IN_FLIGHT = 4;
/** Over all endpoints, however much of the log's work fills memory. */
const CLAIMS_RESERVED = 64;
/** An organisation with fewer in flight may start one though others have used up the limit, */
const OWN_IN_FLIGHT = 16;
/** up to so many beyond it over all. */
const OVERDRAFT = 256;

export class Lanes {
  readonly #deps: LanesDeps;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that can start something, in turn. */
  readonly #ready = new Round<Lane>((lane) => lane.organisation);
  /** In flight, less the slow ones, by organisation. */
  readonly #quickOf = new Map<string, number>();
  /** Lanes whose queues have reached their limit and not fallen to half of it since. */
  readonly #full = new Set<Lane>();
  #patience = CALM;
  /** In flight, less the slow ones. */
  #quick = 0;
  #slow = 0;
  #queued = 0;
  /** Requests that were answered so far. */
  #answers = 0;
  #idleListeners: (() => void)[] = [];

  constructor(deps: LanesDeps) {
    this.#deps = deps;
  }

  /** Deliveries in memory that others wait for: those of slow requests have left the log, and are bounded by themselves. */
  get count(): number {
    return this.#quick + this.#queued;
  }

  /** All deliveries in memory. */
  get total(): number {
    return this.inFlight + this.#queued;
  }

  get inFlight(): number {
    return this.#quick + this.#slow;
  }

  /** How many claims may come: what could start, and a few where the log's work fills memory, or retries would starve. */
  get freeSlots(): number {
    return this.#mayFly ? Math.max(CLAIMS_RESERVED, LIMITS.inFlight - this.#quick - this.#queued) : 0;
  }

  /** This request has been in flight for long: it no longer keeps others from starting. */
  noteSlow(lane: Lane, work: Work): boolean {
    if (!lane.noteSlow(work)) return false;
    this.#countQuick(lane, -1);
    this.#slow++;
    return true;
  }

  get #mayFly(): boolean {
    return this.#quick + Math.max(0, this.#slow - LIMITS.slowInFlight) < LIMITS.inFlight;
  }

  /** How long work may wait in memory. */
  get patienceMs(): number {
    return this.#patience.waitMs;
  }

  /** To be said every now and then: whether this process is the limit, or the store, and not the endpoints. */
  setSaturated(saturated: boolean, storeIsSlow: boolean): void {
    this.#patience = saturated || storeIsSlow ? SATURATED : CALM;
    const nowMs = this.#deps.clock.monotonic();
    const fewest = Math.max(FEWEST_IN_FLIGHT, Math.ceil(BEST_IN_FLIGHT / this.#lanes.size));
    for (const lane of [...this.#lanes.values()]) {
      lane.adapt(nowMs, saturated, fewest);
      this.#settle(lane);
    }
  }

  /** A full lane that gets on quickly: better to plan the next of its organisation a little later than to send its work through the store. */
  hasFullLaneOf(organisation: string): boolean {
    if (this.#full.size === 0) return false;
    const nowMs = this.#deps.clock.monotonic();
    for (const lane of this.#full)
      if (lane.organisation === organisation && this.#expectedWaitMs(lane, nowMs) <= this.#patience.fullMs) return true;
    return false;
  }

  /** Whether new work of this lane would wait for longer than it may. A slow endpoint never makes the others wait. */
  isTooSlow(lane: Lane): boolean {
    const { waitMs, fullMs } = this.#patience;
    const expectedMs = this.#expectedWaitMs(lane, this.#deps.clock.monotonic());
    return expectedMs > waitMs || (this.#full.has(lane) && expectedMs > fullMs);
  }

  #expectedWaitMs(lane: Lane, nowMs: number): number {
    const { graceMs } = this.#patience;
    const isOutpaced = lane.isOutpaced(this.#answers, OUTPACED.answers);
    return lane.expectedWaitMs(nowMs, isOutpaced ? Math.min(graceMs, OUTPACED.graceMs) : graceMs);
  }

  /** Resolves as soon as nothing is in flight. */
  idle(): Promise<void> {
    if (this.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleListeners.push(resolve));
  }

  all(): IterableIterator<Lane> {
    return this.#lanes.values();
  }

  /** The lane of a subscription, where it has one. */
  find(subscriptionId: string): Lane | undefined {
    return this.#lanes.get(subscriptionId);
  }

  /** @param policy the subscription's; left out, where it isn't known, a lane keeps what it has. */
  lane({ subscriptionId, event }: Work, policy?: DeliveryPolicy): Lane {
    const { tenant } = event.stored;
    const lane = this.#laneOf({ tenant, subscriptionId });
    if (policy === undefined) return lane;
    const { maxInFlight, rate } = policy;
    lane.cap = maxInFlight;
    if (rate === undefined) lane.pace = undefined;
    else if (lane.pace === undefined) lane.pace = new Pace({ tenant, subscriptionId }, rate);
    else lane.pace.rate = rate;
    return lane;
  }

  /** What waits for this endpoint goes few at a time first. */
  beginSlowly(key: EndpointKey): void {
    const lane = this.#laneOf(key);
    lane.beginSlowly(this.#deps.clock.monotonic());
    this.#settle(lane);
  }

  #laneOf({ tenant, subscriptionId }: EndpointKey): Lane {
    const known = this.#lanes.get(subscriptionId);
    if (known !== undefined) return known;
    const lane = new Lane(subscriptionId, 1, tenant.organisation);
    this.#lanes.set(subscriptionId, lane);
    return lane;
  }

  /** A turn of its rate has come, or its limit has changed. */
  refresh(lane: Lane): void {
    this.#settle(lane);
    this.pump();
  }

  push(lane: Lane, work: Work): void {
    work.queuedAtMs = this.#deps.clock.monotonic();
    lane.push(work, this.#answers);
    this.#queued++;
    if (lane.queued >= LIMITS.laneQueue) this.#full.add(lane);
    this.#offer(lane);
  }

  /** Takes queued work out: to spill it, or to drop it. */
  take(lane: Lane, which: (work: Work) => boolean): Work[] {
    const taken = lane.takeQueued(which);
    this.#queued -= taken.length;
    this.#settle(lane);
    return taken;
  }

  /** Starts what may start, one of each lane at a time. */
  pump(): void {
    const mayFly = (organisation: string) => this.#mayFly || this.#mayOverdraw(organisation);
    while (this.#deps.mayStart()) {
      const lane = this.#ready.next(mayFly);
      if (lane === undefined) return;
      this.#start(lane);
      // To the end of the turn, or out of it.
      this.#ready.delete(lane);
      this.#settle(lane);
    }
  }

  /** Nothing of this endpoint waits in the store any more. */
  caughtUp(lane: Lane): void {
    lane.behind = false;
    this.#settle(lane);
  }

  #start(lane: Lane): void {
    const work = lane.start(this.#deps.clock.monotonic());
    if (work === undefined) return;
    this.#queued--;
    this.#countQuick(lane, 1);
    void this.#deps.run(work).then((answered) => {
      lane.finish(work, this.#deps.clock.monotonic(), answered);
      if (answered) this.#answers++;
      if (work.isSlow === true) this.#slow--;
      else this.#countQuick(lane, -1);
      this.#settle(lane);
      this.pump();
      this.#deps.onLeft(lane);
      if (this.inFlight === 0) for (const resolve of this.#idleListeners.splice(0)) resolve();
    });
  }

  /** Lanes exist while they have work, or something to remember; those that can start something take turns. */
  #settle(lane: Lane): void {
    if (lane.queued * 2 <= LIMITS.laneQueue) this.#full.delete(lane);
    if (this.#offer(lane)) return;
    if (lane.isIdle && !lane.behind && !lane.remembers(this.#deps.clock.monotonic()))
      this.#lanes.delete(lane.subscriptionId);
  }

  /**
   * Into the turns or out of them; where it takes turns already, and still can, it keeps its place.
   * False where it can't start anything, whatever its rate says.
   */
  #offer(lane: Lane): boolean {
    const { canStart } = lane;
    const isPaced = canStart && lane.pace !== undefined && !lane.mayStart(this.#deps.clock.monotonic());
    if (canStart && !isPaced) this.#ready.add(lane);
    else this.#ready.delete(lane);
    if (isPaced) this.#deps.onPaced(lane);
    return canStart;
  }

  #countQuick(lane: Lane, by: 1 | -1): void {
    const { organisation } = lane;
    this.#quick += by;
    const count = (this.#quickOf.get(organisation) ?? 0) + by;
    if (count === 0) this.#quickOf.delete(organisation);
    else this.#quickOf.set(organisation, count);
  }

  #mayOverdraw(organisation: string): boolean {
    return this.#quick < LIMITS.inFlight + OVERDRAFT && (this.#quickOf.get(organisation) ?? 0) < OWN_IN_FLIGHT;
  }
}
