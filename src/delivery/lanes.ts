/** All lanes: who may start next. Endpoints take turns, so that none waits for another's queue. */
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { Lane } from "./lane.ts";
import type { Work } from "./work.ts";

export interface LanesDeps {
  readonly clock: Clock;
  /** Runs one delivery. What it returns ends when the work may leave its lane. */
  readonly run: (work: Work, lane: Lane) => Promise<void>;
  /** False while nothing may start: the store doesn't take outcomes, or the process stops. */
  readonly mayStart: () => boolean;
}

/** How long something may wait in memory, or be in flight, before it leaves the log for the store (design, section 1). */
export const SPILL_AFTER_MS = 1_000;

export class Lanes {
  readonly #deps: LanesDeps;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that can start something, in turn. */
  readonly #ready = new Set<Lane>();
  #inFlight = 0;
  #queued = 0;
  #idleListeners: (() => void)[] = [];

  constructor(deps: LanesDeps) {
    this.#deps = deps;
  }

  /** Deliveries in memory that aren't finished. */
  get count(): number {
    return this.#inFlight + this.#queued;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get freeSlots(): number {
    return Math.max(0, LIMITS.inFlight - this.#inFlight - this.#queued);
  }

  /** A lane that is quick has all that it can queue: better to read on later than to send its work through the store. */
  get hasFullLane(): boolean {
    const nowMs = this.#deps.clock.monotonic();
    for (const lane of this.#lanes.values()) {
      if (lane.isFull && lane.expectedWaitMs(nowMs) <= SPILL_AFTER_MS) return true;
    }
    return false;
  }

  /** Resolves as soon as nothing is in flight. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleListeners.push(resolve));
  }

  all(): IterableIterator<Lane> {
    return this.#lanes.values();
  }

  lane(subscriptionId: string, cap: number): Lane {
    let lane = this.#lanes.get(subscriptionId);
    if (lane === undefined) {
      lane = new Lane(subscriptionId, cap);
      this.#lanes.set(subscriptionId, lane);
    }
    lane.cap = cap;
    return lane;
  }

  push(lane: Lane, work: Work): void {
    work.queuedAtMs = this.#deps.clock.monotonic();
    lane.push(work);
    this.#queued++;
    if (lane.canStart) this.#ready.add(lane);
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
    while (this.#inFlight < LIMITS.inFlight && this.#deps.mayStart()) {
      const lane = this.#ready.values().next().value;
      if (lane === undefined) return;
      this.#start(lane);
      // To the end of the turn, or out of it.
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
    this.#inFlight++;
    void this.#deps.run(work, lane).finally(() => {
      lane.finish(work, this.#deps.clock.monotonic());
      this.#inFlight--;
      this.#settle(lane);
      this.pump();
      if (this.#inFlight === 0) for (const resolve of this.#idleListeners.splice(0)) resolve();
    });
  }

  /** Lanes exist while they have work; those that can start something take turns. */
  #settle(lane: Lane): void {
    this.#ready.delete(lane);
    if (lane.canStart) this.#ready.add(lane);
    else if (lane.isIdle && !lane.behind) this.#lanes.delete(lane.subscriptionId);
  }
}
