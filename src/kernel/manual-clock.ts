import type { Clock } from "./clock.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock that stands still until a test moves it. Timers run in the order of their time, then of their making. */
export class ManualClock implements Clock {
  #nowMs: number;
  /** What the wall clock was set by. */
  #aheadMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs + this.#aheadMs;
  }

  /** Sets the wall clock, and nothing else: no time passes. */
  step(byMs: number): void {
    this.#aheadMs += byMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Timers that have not run yet. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time on, running each timer at its own moment. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#next(endMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.task();
    }
    this.#nowMs = endMs;
  }

  #next(endMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > endMs) continue;
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  }
}
