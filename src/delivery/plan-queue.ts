/** Events between the log and their plan: planned in their order, one batch at a time, as long as there is room. */
import { type Clock, sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { Arrival } from "./in-hand.ts";
import type { Planner } from "./plan.ts";
import { sameAssignment, type WorkAssignment } from "./work.ts";

export interface PlanQueueDeps {
  readonly planner: Planner;
  /** False while memory holds as many deliveries as it may. */
  readonly hasRoom: () => boolean;
  /** Called after each batch, planned or not. */
  readonly onBatch: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly stopping: AbortSignal;
}

/** Events planned together: so many that the look-ups are cheap, so few that memory stays bounded. */
export const PLAN_BATCH = 64;
const RETRY_MS = 1_000;

export class PlanQueue {
  readonly #deps: PlanQueueDeps;
  #arrivals: Arrival[] = [];
  #planning: Promise<void> | undefined;
  #failing = false;
  /** Set while planning waits for room. */
  #goOn: (() => void) | undefined;

  constructor(deps: PlanQueueDeps) {
    this.#deps = deps;
    deps.stopping.addEventListener("abort", () => this.#resume(), { once: true });
  }

  get size(): number {
    return this.#arrivals.length;
  }

  /** True from a plan that the store didn't answer until one that it did. */
  get isFailing(): boolean {
    return this.#failing;
  }

  push(arrivals: readonly Arrival[]): void {
    this.#arrivals.push(...arrivals);
    this.#planning ??= this.#run().finally(() => {
      this.#planning = undefined;
    });
  }

  drop(assignments: readonly WorkAssignment[]): void {
    const isLost = ({ assignment }: Arrival) => assignments.some((gone) => sameAssignment(gone, assignment));
    this.#arrivals = this.#arrivals.filter((arrival) => !isLost(arrival));
  }

  /** There may be room again. */
  noteRoom(): void {
    if (this.#goOn !== undefined && this.#deps.hasRoom()) this.#resume();
  }

  /** Resolves when no batch is being planned; after `stopping` no other begins. */
  async settled(): Promise<void> {
    await this.#planning;
  }

  async #run(): Promise<void> {
    const { planner, clock, log, stopping } = this.#deps;
    while (this.#arrivals.length > 0 && !stopping.aborted) {
      if (!this.#deps.hasRoom()) {
        await new Promise<void>((resolve) => {
          this.#goOn = resolve;
        });
        continue;
      }
      const batch = this.#arrivals.slice(0, PLAN_BATCH);
      try {
        await planner.plan(batch);
        this.#failing = false;
        const planned = new Set(batch);
        this.#arrivals = this.#arrivals.filter((arrival) => !planned.has(arrival));
      } catch (err) {
        this.#failing = true;
        log.error("delivery.plan_failed", { err, events: batch.length });
        await sleep(clock, RETRY_MS, stopping);
      }
      this.#deps.onBatch();
    }
  }

  #resume(): void {
    this.#goOn?.();
    this.#goOn = undefined;
  }
}
