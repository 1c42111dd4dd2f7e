/**
 * A worker's share of endpoints' rates: reserved from the store in small batches, ahead of need, and used one by one.
 * Nobody asks for an endpoint without a rate.
 */
import type { EndpointKey } from "../domain/endpoint.ts";
import type { Rate } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { RateStore } from "./endpoint-store.ts";
import { type RateGrant, RESERVED_AHEAD_MS } from "./rate.ts";

/** What was not used so long after its time is lost: kept, it would add up to a burst of its own. */
const STALE_MS = 1_000;
/** After a store that did not answer. */
const RETRY_MS = 1_000;

/** Turns that were reserved together. Number n may be used from `atMs + n * intervalMs` on. */
interface Turns {
  atMs: number;
  readonly intervalMs: number;
  left: number;
}

/** What this worker has reserved for one endpoint. Times are of the monotonic clock. */
export class Pace {
  readonly key: EndpointKey;
  rate: Rate;
  #turns: Turns[] = [];
  /** Not worth asking before. */
  askAtMs = Number.NEGATIVE_INFINITY;
  isAsking = false;

  constructor(key: EndpointKey, rate: Rate) {
    this.key = key;
    this.rate = rate;
  }

  /** How many may be used now. */
  ready(nowMs: number): number {
    this.#dropStale(nowMs);
    return this.#turns.reduce((sum, turns) => sum + readyOf(turns, nowMs), 0);
  }

  /** All that is reserved and not used. */
  held(nowMs: number): number {
    this.#dropStale(nowMs);
    return this.#turns.reduce((sum, turns) => sum + turns.left, 0);
  }

  /** Uses one. False where none may be used yet. */
  take(nowMs: number): boolean {
    this.#dropStale(nowMs);
    const turns = this.#turns.find((each) => readyOf(each, nowMs) > 0);
    if (turns === undefined) return false;
    spendOne(turns);
    return true;
  }

  /** When the next may be used that can't be used now; undefined where none is reserved. */
  nextAtMs(nowMs: number): number | undefined {
    const times = this.#turns.flatMap((turns) => {
      const ready = readyOf(turns, nowMs);
      return ready < turns.left ? [turns.atMs + ready * turns.intervalMs] : [];
    });
    return times.length === 0 ? undefined : Math.min(...times);
  }

  add(turns: Turns): void {
    if (turns.left > 0) this.#turns.push({ ...turns });
  }

  /** How many it makes sense to fetch ahead from the store. */
  get ahead(): number {
    return Math.ceil((this.rate.perSecond * RESERVED_AHEAD_MS) / 1_000) + 1;
  }

  /** How many may wait in memory for their turn: what a second brings, and the burst that may have gathered. */
  get room(): number {
    return Math.max(1, Math.floor(this.rate.perSecond) + this.rate.burst);
  }

  #dropStale(nowMs: number): void {
    for (const turns of this.#turns) {
      while (turns.left > 0 && nowMs - turns.atMs > STALE_MS) spendOne(turns);
    }
    if (this.#turns.some(({ left }) => left === 0)) this.#turns = this.#turns.filter(({ left }) => left > 0);
  }
}

function spendOne(turns: Turns): void {
  turns.left -= 1;
  turns.atMs += turns.intervalMs;
}

function readyOf({ atMs, intervalMs, left }: Turns, nowMs: number): number {
  if (atMs > nowMs) return 0;
  if (intervalMs === 0) return left;
  return Math.min(left, Math.floor((nowMs - atMs) / intervalMs + 1e-6) + 1);
}

export interface PacesDeps {
  readonly store: RateStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Turns were reserved, or the time of one has come. */
  readonly onTurn: (pace: Pace) => void;
}

/** Asks the store for turns, for all endpoints that want some in one call. */
export class Paces {
  readonly #deps: PacesDeps;
  readonly #wanted = new Map<Pace, number>();
  readonly #timers = new Map<Pace, { readonly atMs: number; readonly cancel: () => void }>();
  #cancelAsk: (() => void) | undefined;
  #stopped = false;

  constructor(deps: PacesDeps) {
    this.#deps = deps;
  }

  /** Nothing is asked for, and nobody told, from now on. */
  stop(): void {
    this.#stopped = true;
    this.#cancelAsk?.();
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  /** So many turns could be used beyond those that are held. */
  want(pace: Pace, count: number): void {
    if (count <= 0 || pace.isAsking || this.#stopped) return;
    const nowMs = this.#deps.clock.monotonic();
    if (pace.askAtMs > nowMs) {
      this.#wakeAt(pace, pace.askAtMs);
      return;
    }
    this.#wanted.set(pace, count);
    this.#cancelAsk ??= this.#deps.clock.after(0, () => void this.#ask());
  }

  /** Says so when the next of its turns has come. */
  expect(pace: Pace): void {
    const atMs = pace.nextAtMs(this.#deps.clock.monotonic());
    if (atMs !== undefined) this.#wakeAt(pace, atMs);
  }

  #wakeAt(pace: Pace, atMs: number): void {
    const set = this.#timers.get(pace);
    if (this.#stopped || (set !== undefined && set.atMs <= atMs)) return;
    set?.cancel();
    // A thousandth of a second is what a timer can tell apart.
    const waitMs = Math.max(1, Math.ceil(atMs - this.#deps.clock.monotonic()));
    const cancel = this.#deps.clock.after(waitMs, () => {
      this.#timers.delete(pace);
      this.#deps.onTurn(pace);
    });
    this.#timers.set(pace, { atMs, cancel });
  }

  async #ask(): Promise<void> {
    this.#cancelAsk = undefined;
    const { store, clock, log } = this.#deps;
    const asked = [...this.#wanted];
    this.#wanted.clear();
    for (const [pace] of asked) pace.isAsking = true;
    const nowMs = clock.now();
    const wallToMonotonic = clock.monotonic() - nowMs;
    try {
      const grants = await store.reserve(asked.map(([{ key, rate }, count]) => ({ ...key, ...rate, count, nowMs })));
      asked.forEach(([pace], at) => {
        const grant = grants[at];
        if (grant !== undefined) take(pace, grant, nowMs, wallToMonotonic);
      });
    } catch (err) {
      // Without the store's word nothing goes: the rate holds, and the work waits.
      log.error("delivery.rate_failed", { err, endpoints: asked.length });
      for (const [pace] of asked) pace.askAtMs = clock.monotonic() + RETRY_MS;
    }
    for (const [pace] of asked) {
      pace.isAsking = false;
      if (!this.#stopped) this.#deps.onTurn(pace);
    }
  }
}

function take(pace: Pace, grant: RateGrant, wallNowMs: number, wallToMonotonic: number): void {
  const { granted, firstAtMs, intervalMs, nextAtMs } = grant;
  const nowMs = wallNowMs + wallToMonotonic;
  const fromMs = firstAtMs + wallToMonotonic;
  // What gathered while nobody asked may go at once, and is fresh from now on.
  const gathered = Math.min(granted, Math.max(0, Math.floor((nowMs - fromMs) / intervalMs + 1e-6) + 1));
  pace.add({ atMs: nowMs, intervalMs: 0, left: gathered });
  pace.add({ atMs: fromMs + gathered * intervalMs, intervalMs, left: granted - gathered });
  pace.askAtMs = nextAtMs + wallToMonotonic - RESERVED_AHEAD_MS;
}
