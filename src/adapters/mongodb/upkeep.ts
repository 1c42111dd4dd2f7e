/** The one thing that the store does by itself, now and then: ending pins of events whose deliveries are done (events.ts). */
import { type Clock, sleep } from "../../kernel/clock.ts";
import type { EventTable } from "./events.ts";

const UPKEEP_EVERY_MS = 10 * 60_000;

export class Upkeep {
  readonly #events: EventTable;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(events: EventTable, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  /** Any number of processes may do it at once. */
  start(onFailure: (error: unknown) => void): void {
    this.#loop ??= this.#run(onFailure);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(onFailure: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#events.unpinFinished().catch(onFailure);
      await sleep(this.#clock, UPKEEP_EVERY_MS, signal);
    }
  }
}
