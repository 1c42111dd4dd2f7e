import type { Assignment } from "../../intake/event-log.ts";
import type { Clock } from "../../kernel/clock.ts";

/** The partitions that are this process's own, and in which generation. */
export class Assignments {
  readonly #clock: Clock;
  readonly #live = new Map<string, Assignment>();
  #generation = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * All of one generation. Its number is the time in milliseconds, or more: Kafka's own number begins anew with a group
   * that was forgotten, and isn't told by kafkajs.
   */
  replace(partitions: Readonly<Record<string, readonly number[]>>): readonly Assignment[] {
    this.#generation = Math.max(this.#generation + 1, this.#clock.now());
    this.#live.clear();
    for (const [topic, numbers] of Object.entries(partitions)) {
      for (const partition of numbers) {
        this.#live.set(placeOf(topic, partition), { topic, partition, generation: this.#generation });
      }
    }
    return [...this.#live.values()];
  }

  /** Takes all back; answers what there was. */
  clear(): readonly Assignment[] {
    const all = [...this.#live.values()];
    this.#live.clear();
    return all;
  }

  find(topic: string, partition: number): Assignment | undefined {
    return this.#live.get(placeOf(topic, partition));
  }

  isCurrent({ topic, partition, generation }: Assignment): boolean {
    return this.find(topic, partition)?.generation === generation;
  }
}

function placeOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
