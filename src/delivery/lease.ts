/**
 * How far the clocks of two workers may be apart. A lease that ends later than its length and this from now was written
 * by a clock that was wrong: who holds it, if anybody still does, must not keep it for as long as that.
 */
export const LEASE_SKEW_MS = 60_000;
