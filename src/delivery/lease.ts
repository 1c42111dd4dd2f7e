/**
 * How far the clocks of two workers may be apart. A lease that ends later than its length and this from now was written
 * by a clock that was wrong: who holds it, if anybody still does, must not keep it for as long as that.
 */
export const LEASE_SKEW_MS = 60_000;

/** Whether a worker may go by what it claimed: a lease ends before its time where others take its holder for dead. */
export interface Holder {
  /** Counts up when others took it for dead: what it claimed in an earlier life is not its own any more. */
  readonly life: number;
  /** False while others may have taken it for dead: then it claims nothing, and sends nothing that it had claimed. */
  readonly isSure: boolean;
}

/** Of a store that one process alone has: its leases end by time, and with their process. */
export const SOLE_HOLDER: Holder = { life: 1, isSure: true };
