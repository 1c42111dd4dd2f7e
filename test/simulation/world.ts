/** What all of one history shares: its chance, its time, and what went wrong in it. */
import { type Random, seededRandom } from "../../src/kernel/random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const START_MS = 1_700_000_000_000;

/** A rule of the design that did not hold. */
export interface Violation {
  /** A name that stays the same from run to run. */
  readonly rule: string;
  readonly message: string;
  /** Since the history's beginning. */
  readonly atMs: number;
}

export class World {
  readonly seed: number;
  readonly clock = new VirtualClock(START_MS);
  readonly random: Random;
  readonly violations: Violation[] = [];
  /** How often each thing happened: a fault that never comes is tested by nothing. */
  readonly counts = new Map<string, number>();
  readonly #print: ((line: string) => void) | undefined;

  /** `print` gets the trace. It must change nothing: a history is the same with it and without. */
  constructor(seed: number, print?: (line: string) => void) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.#print = print;
  }

  get elapsedMs(): number {
    return this.clock.now() - START_MS;
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.random.next() * (most - least + 1));
  }

  pick<T>(from: readonly T[]): T {
    const one = from[this.between(0, from.length - 1)];
    if (one === undefined) throw new Error("picked from nothing");
    return one;
  }

  shuffled<T>(items: readonly T[]): readonly T[] {
    return items
      .map((item) => ({ item, at: this.random.next() }))
      .sort((left, right) => left.at - right.at)
      .map(({ item }) => item);
  }

  /** Random numbers of its own, so that one part's use of them does not shift another's. */
  fork(): Random {
    return seededRandom(Math.floor(this.random.next() * 4_294_967_296));
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  trace(line: () => string): void {
    this.#print?.(`${String(this.elapsedMs).padStart(7)} ms  ${line()}`);
  }

  violated(rule: string, message: string): void {
    this.violations.push({ rule, message, atMs: this.elapsedMs });
    this.trace(() => `VIOLATION ${rule}: ${message}`);
  }
}
