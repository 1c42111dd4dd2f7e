import type { EachBatchPayload } from "kafkajs";
import type { Position } from "../../intake/event-log.ts";
import { exponentialWait } from "../../kernel/backoff.ts";
import { type Clock, sleep } from "../../kernel/clock.ts";
import { isGenerationPassed, readFailure, unavailable } from "./failure.ts";

/** kafkajs' way to commit as the member that fetched a batch, at once and without tries of its own. */
export type CommitOffsets = EachBatchPayload["commitOffsetsIfNecessary"];

/** How long a commit is tried before whoever asked for it hears of the failure. */
const TRY_FOR_MS = 5_000;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

/**
 * Commits positions, one call after the other. kafkajs' own `consumer.commitOffsets` is not used: it repeats a commit
 * that failed as whoever the member is by then, which for a partition that went away and came back is another's.
 */
export class Commits {
  readonly #clock: Clock;
  readonly #isCurrent: (position: Position) => boolean;
  #commitOffsets: CommitOffsets | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock, isCurrent: (position: Position) => boolean) {
    this.#clock = clock;
    this.#isCurrent = isCurrent;
  }

  /** From now on they go this way. There are no positions before the first batch. */
  through(commitOffsets: CommitOffsets): void {
    this.#commitOffsets = commitOffsets;
  }

  /** @throws CodedError `log.unavailable` where the group's coordinator does not take them. */
  commit(positions: readonly Position[]): Promise<void> {
    const committed = this.#last.then(() => this.#commit(positions));
    this.#last = committed.catch(() => {});
    return committed;
  }

  /** Resolves when none is under way. */
  settled(): Promise<void> {
    return this.#last;
  }

  async #commit(positions: readonly Position[]): Promise<void> {
    const untilMs = this.#clock.monotonic() + TRY_FOR_MS;
    for (let failures = 0; ; failures += 1) {
      const current = positions.filter(this.#isCurrent);
      if (current.length === 0 || this.#commitOffsets === undefined) return;
      try {
        return await this.#commitOffsets({ topics: byTopic(current) });
      } catch (error) {
        if (isGenerationPassed(readFailure(error))) return;
        if (this.#clock.monotonic() >= untilMs) throw unavailable("the group's position was not taken", error);
        await sleep(this.#clock, exponentialWait(failures, RETRY_FIRST_MS, RETRY_MAX_MS));
      }
    }
  }
}

function byTopic(positions: readonly Position[]) {
  return [...Map.groupBy(positions, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
    topic,
    partitions: ofTopic.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
  }));
}
