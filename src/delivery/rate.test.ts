import { describe, expect, test } from "vitest";
import { RESERVED_AHEAD_MS, reserve } from "./rate.ts";

const T0 = 1_700_000_000_000;

describe("a reservation", () => {
  // [what, stored arrival, rate, burst, wanted, granted, first, next], times from T0
  test.each([
    ["an endpoint that was never asked for", undefined, 10, 1, 1, 1, 0, 100],
    ["no further ahead than may be", undefined, 10, 1, 100, 3, 0, 300],
    ["the whole burst after a rest", undefined, 10, 5, 100, 7, -400, 300],
    ["a burst that gathers again, and no more than it", -60_000, 10, 5, 100, 7, -400, 300],
    ["half of a burst after half of the rest", 200, 10, 5, 100, 5, -200, 300],
    ["nothing while others have reserved all", 300, 10, 1, 100, 0, 300, 300],
    ["what is due within the time ahead", 250, 10, 1, 100, 1, 250, 350],
    ["one in two seconds", undefined, 0.5, 1, 5, 1, 0, 2_000],
    ["not yet the next in two seconds", 2_000, 0.5, 1, 5, 0, 2_000, 2_000],
    ["the fastest", undefined, 10_000, 1, 9_999, 2_501, 0, 250.1],
    ["a stored time of a clock that was a year ahead", 365 * 86_400_000, 10, 1, 1, 1, 0, 100],
    ["a stored time of a slower rate", 100_000, 100, 1, 1, 1, 0, 10],
  ])("%s", (_what, arrivalMs, perSecond, burst, count, granted, first, next) => {
    const stored = arrivalMs === undefined ? undefined : T0 + arrivalMs;
    const { grant } = reserve(stored, { perSecond, burst, count, nowMs: T0 });
    expect(grant.granted).toBe(granted);
    expect(grant.firstAtMs - T0).toBeCloseTo(first, 3);
    expect(grant.nextAtMs - T0).toBeCloseTo(next, 3);
  });

  test.each([
    [0.3, 1],
    [7, 1],
    [20, 20],
    [333, 10],
    [10_000, 10_000],
  ])("asked for all the time, %d a second with a burst of %d hold in every window", (perSecond, burst) => {
    let stored: number | undefined;
    const turns: number[] = [];
    for (let nowMs = T0; nowMs < T0 + 4_000; nowMs += 40) {
      const { arrivalMs, grant } = reserve(stored, { perSecond, burst, count: 100_000, nowMs });
      stored = arrivalMs;
      for (let at = 0; at < grant.granted; at++) turns.push(Math.max(nowMs, grant.firstAtMs + at * grant.intervalMs));
    }
    const reachMs = 4_000 - 40 + RESERVED_AHEAD_MS;
    expect(turns.length).toBe(burst + Math.floor((perSecond * reachMs) / 1_000 + 1e-6));
    for (let at = burst; at < turns.length; at++) {
      const tookMs = (turns[at] ?? 0) - (turns[at - burst] ?? 0);
      expect(tookMs).toBeGreaterThan(1_000 / perSecond - 0.01);
    }
  });
});
