/** How far the partitions that are read are behind, as their last fetches said. */
import type { LogLag } from "../../intake/event-log.ts";

export class Lags {
  readonly #behind = new Map<string, number>();

  /** `highWatermark` is the offset that the partition's next record gets; `next` the one that is read next. */
  note(topic: string, partition: number, highWatermark: string, next: number): void {
    this.#behind.set(`${topic}/${partition}`, Math.max(0, Number(highWatermark) - next));
  }

  /** They are others' by now. */
  forget(): void {
    this.#behind.clear();
  }

  now(): LogLag {
    return { records: [...this.#behind.values()].reduce((sum, behind) => sum + behind, 0) };
  }
}
