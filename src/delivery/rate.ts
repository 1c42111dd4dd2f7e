/**
 * A rate that holds over all workers together: the generic cell rate algorithm (ITU-T I.371, the virtual scheduling
 * form of a token bucket). All that is shared is one time for each endpoint, the theoretical arrival time of the next
 * request; whoever reserves moves it on. Pure: the store keeps the time and makes each step atomic.
 */
import type { EndpointKey } from "../domain/endpoint.ts";
import type { Rate } from "../domain/subscription.ts";

export interface RateRequest extends EndpointKey, Rate {
  /** How many are wanted at most. */
  readonly count: number;
  /** Wall time in milliseconds. */
  readonly nowMs: number;
}

/** Request number n, from 0, may go at `firstAtMs + n * intervalMs`. */
export interface RateGrant {
  readonly granted: number;
  /** May be past: then as many as are past may go at once. */
  readonly firstAtMs: number;
  readonly intervalMs: number;
  /** When one more than was granted may go, if nobody else reserves it. */
  readonly nextAtMs: number;
}

/** How far ahead one may reserve. Short, so that what a worker takes and does not use is little. */
export const RESERVED_AHEAD_MS = 250;

/** How far workers' clocks may be apart. What is further ahead was written by a clock that has been put right since. */
const CLOCK_SKEW_MS = 10_000;

/** @param arrivalMs the stored theoretical arrival time; undefined where none is. */
export function reserve(
  arrivalMs: number | undefined,
  { perSecond, burst, count, nowMs }: Rate & Pick<RateRequest, "count" | "nowMs">,
): { readonly arrivalMs: number; readonly grant: RateGrant } {
  const intervalMs = 1_000 / perSecond;
  const toleranceMs = (burst - 1) * intervalMs;
  const latestMs = nowMs + toleranceMs + intervalMs + RESERVED_AHEAD_MS + CLOCK_SKEW_MS;
  const isSane = arrivalMs !== undefined && arrivalMs <= latestMs;
  const fromMs = isSane ? Math.max(arrivalMs, nowMs) : nowMs;
  const firstAtMs = fromMs - toleranceMs;
  // A millionth of an interval: sums of fractions must not cost one its turn.
  const within = Math.floor((nowMs + RESERVED_AHEAD_MS - firstAtMs) / intervalMs + 1e-6) + 1;
  const granted = Math.max(0, Math.min(count, within));
  const nextAtMs = firstAtMs + granted * intervalMs;
  return { arrivalMs: fromMs + granted * intervalMs, grant: { granted, firstAtMs, intervalMs, nextAtMs } };
}
