/**
 * The slow-down of those who try keys that don't count. Each peer address, and each key id that is named with a wrong
 * secret, has a level: a failure raises it by one, time lets it sink. Low levels are for mistakes, then each failure is
 * answered later, and at last refused with how long to wait. Whoever shows a key that counts is never asked about here,
 * so that nobody is locked out by his neighbour, and no key by whoever knows its id.
 *
 * A key is 256 random bits: it can't be guessed however many tries there are. This keeps the noise, and what it costs,
 * small.
 */
import type { Clock } from "../kernel/clock.ts";

/** Failures that are answered at once. */
const AT_ONCE = 10;
/** Failures that are answered at all. */
const ANSWERED = 30;
/** A level goes no higher, so that a flood is forgiven some minutes after its end. */
const HIGHEST = 60;
/** In this time a level sinks by one. */
const SINK_MS = 6_000;
const DELAY_STEP_MS = 50;
/** Levels that are remembered; the one that failed longest ago is forgotten first. */
const REMEMBERED = 10_000;

export type Verdict =
  | { readonly kind: "answer"; readonly delayMs: number }
  | { readonly kind: "refuse"; readonly retryAfterMs: number };

interface Level {
  readonly height: number;
  readonly atMs: number;
}

export class FailedAttempts {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #levels = new Map<string, Level>();

  constructor(clock: Clock, size = REMEMBERED) {
    this.#clock = clock;
    this.#size = size;
  }

  /** One more failure under each of the names, and what the highest level asks for. */
  failed(names: readonly string[]): Verdict {
    const nowMs = this.#clock.monotonic();
    const highest = Math.max(0, ...names.map((name) => this.#raise(name, nowMs)));
    if (highest > ANSWERED) return { kind: "refuse", retryAfterMs: Math.ceil((highest - ANSWERED) * SINK_MS) };
    return { kind: "answer", delayMs: Math.max(0, Math.floor(highest - AT_ONCE)) * DELAY_STEP_MS };
  }

  /** Names that are remembered. */
  get size(): number {
    return this.#levels.size;
  }

  #raise(name: string, nowMs: number): number {
    const known = this.#levels.get(name);
    const sunk = known === undefined ? 0 : Math.max(0, known.height - (nowMs - known.atMs) / SINK_MS);
    const height = Math.min(HIGHEST, sunk + 1);
    // Those that failed last stand last.
    this.#levels.delete(name);
    this.#levels.set(name, { height, atMs: nowMs });
    const [oldest] = this.#levels.keys();
    if (this.#levels.size > this.#size && oldest !== undefined) this.#levels.delete(oldest);
    return height;
  }
}
