/**
 * Events between the log and their plan: one batch at a time, as long as there is room. Of one organisation they are
 * planned in the order of the log, and the organisations in turn (arrivals.ts).
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { nextTurn } from "../kernel/next-turn.ts";
import { Arrivals, type RoomOf } from "./arrivals.ts";
import type { Arrival } from "./in-hand.ts";
import type { Planner } from "./plan.ts";
import { sameAssignment, type WorkAssignment } from "./work.ts";

export interface PlanQueueDeps {
  readonly planner: Pick<Planner, "plan">;
  /** False while nothing may be planned, whoever's it is. */
  readonly hasRoom: () => boolean;
  /** Asked while there is room at all. */
  readonly roomOf: RoomOf;
  /** Called after each batch, planned or not. */
  readonly onBatch: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly stopping: AbortSignal;
}

/** Events planned together, so that the look-ups are cheap. */
const PLAN_BATCH = 64;
const RETRY_MS = 1_000;

export class PlanQueue {
  readonly #deps: PlanQueueDeps;
  readonly #arrivals = new Arrivals();
  /** What is being planned, less what was dropped meanwhile. */
  #batch: readonly Arrival[] = [];
  /** How many it may have: fewer while each event has so many deliveries that batches end early. */
  #batchSize = PLAN_BATCH;
  #planning = Promise.resolve();
  #isPlanning = false;
  #failing = false;
  /** Set while planning waits for room. */
  #goOn: (() => void) | undefined;

  constructor(deps: PlanQueueDeps) {
    this.#deps = deps;
    deps.stopping.addEventListener("abort", () => this.#resume(), { once: true });
  }

  /** True while it has as much as may be read ahead of the plans. */
  get isFull(): boolean {
    return this.#arrivals.size >= LIMITS.readAheadEvents || this.#arrivals.bytes >= LIMITS.readAheadBytes;
  }

  /** True from a plan that the store didn't answer until one that it did. */
  get isFailing(): boolean {
    return this.#failing;
  }

  push(arrivals: readonly Arrival[]): void {
    this.#arrivals.push(arrivals);
    if (this.#isPlanning) this.noteRoom();
    else this.#planning = this.#run();
  }

  drop(assignments: readonly WorkAssignment[]): void {
    const isLost = ({ assignment }: Arrival) => assignments.some((gone) => sameAssignment(gone, assignment));
    this.#arrivals.drop(isLost);
    this.#batch = this.#batch.filter((arrival) => !isLost(arrival));
  }

  /** There may be room again, or something that has room. */
  noteRoom(): void {
    if (this.#goOn !== undefined && this.#mayPlan()) this.#resume();
  }

  /** Resolves when no batch is being planned; after `stopping` no other begins. */
  async settled(): Promise<void> {
    await this.#planning;
  }

  async #run(): Promise<void> {
    const { planner, clock, log, stopping } = this.#deps;
    this.#isPlanning = true;
    while (this.#arrivals.size > 0 && !stopping.aborted) {
      if (!this.#mayPlan()) {
        await new Promise<void>((resolve) => {
          this.#goOn = resolve;
        });
        continue;
      }
      const batch = this.#arrivals.take(this.#batchSize, this.#deps.roomOf);
      this.#batch = batch;
      try {
        const left = await planner.plan(batch);
        this.#failing = false;
        await this.#leave(left, batch.length - left.length);
      } catch (err) {
        this.#failing = true;
        this.#arrivals.putBack(this.#batch);
        log.error("delivery.plan_failed", { err, events: batch.length });
        await sleep(clock, RETRY_MS, stopping);
      } finally {
        this.#batch = [];
      }
      this.#deps.onBatch();
    }
    // In the same turn as the look that found nothing left: what comes a moment later begins anew.
    this.#isPlanning = false;
  }

  /** What the planner left is planned next, and the thread's other work has its turn before. */
  async #leave(left: readonly Arrival[], planned: number): Promise<void> {
    this.#batchSize = left.length > 0 ? Math.max(1, planned) : Math.min(PLAN_BATCH, 2 * this.#batchSize);
    if (left.length === 0) return;
    this.#arrivals.putBack(left.filter((arrival) => this.#batch.includes(arrival)));
    this.#batch = [];
    await nextTurn();
  }

  #mayPlan(): boolean {
    return this.#deps.hasRoom() && this.#arrivals.someHas(this.#deps.roomOf);
  }

  #resume(): void {
    this.#goOn?.();
    this.#goOn = undefined;
  }
}
