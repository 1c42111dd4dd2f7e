import type { Random } from "./random.ts";

/** Spreads a wait evenly over `waitMs` ± `share` of it, so that deliveries that failed together don't return together. */
export function jittered(waitMs: number, share: number, random: Random): number {
  return Math.round(waitMs * (1 - share + 2 * share * random.next()));
}

/** Doubles from `firstMs` up to `maxMs`; `attempt` counts from 0. For our own reconnects, not for webhooks. */
export function exponentialWait(attempt: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
}
