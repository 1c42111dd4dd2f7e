import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nextPurgeClock, type PurgeClock, readPurgeClock } from "./purge-clock.ts";

const T0 = 1_700_000_000_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;
const START: PurgeClock = { purgeMs: T0, wallMs: T0, steadyMs: 0 };

/** Looks every ten minutes of one process, in which the wall clock goes as the monotonic one does. */
function steady(from: PurgeClock, forMs: number): PurgeClock {
  let clock = from;
  for (let ms = 0; ms < forMs; ms += 10 * MINUTE_MS) {
    clock = nextPurgeClock(clock, clock.wallMs + 10 * MINUTE_MS, 10 * MINUTE_MS);
  }
  return clock;
}

describe("the purge clock", () => {
  test("begins with the wall clock, and follows it", () => {
    expect(nextPurgeClock(undefined, T0, undefined)).toEqual(START);
    expect(steady(START, DAY_MS).purgeMs).toBe(T0 + DAY_MS);
    // Slewed.
    expect(nextPurgeClock(START, T0 + 10 * MINUTE_MS + 800, 10 * MINUTE_MS).purgeMs).toBe(T0 + 10 * MINUTE_MS + 800);
  });

  test.each([HOUR_MS, YEAR_MS])("goes on as before where the wall clock jumps ahead by %i ms", (jumpMs) => {
    const after = nextPurgeClock(START, T0 + 10 * MINUTE_MS + jumpMs, 10 * MINUTE_MS);
    expect(after).toEqual({ purgeMs: T0 + 10 * MINUTE_MS, wallMs: T0 + 10 * MINUTE_MS + jumpMs, steadyMs: 0 });
    expect(steady(after, 2 * HOUR_MS).purgeMs).toBe(T0 + 10 * MINUTE_MS + 2 * HOUR_MS);
    const back = nextPurgeClock(after, T0 + 20 * MINUTE_MS, 10 * MINUTE_MS);
    expect(back).toEqual({ purgeMs: T0 + 20 * MINUTE_MS, wallMs: T0 + 20 * MINUTE_MS, steadyMs: 0 });
  });

  test("believes a jump that has lasted for a day", () => {
    const after = nextPurgeClock(START, T0 + YEAR_MS, 10 * MINUTE_MS);
    const nearly = steady(after, DAY_MS - 10 * MINUTE_MS);
    expect(nearly.purgeMs).toBeLessThan(T0 + 2 * DAY_MS);
    const believed = steady(nearly, 10 * MINUTE_MS);
    expect(believed.purgeMs).toBe(believed.wallMs);
    expect(believed.wallMs).toBeGreaterThan(T0 + YEAR_MS);
  });

  test("begins the day anew with each jump, and over a short restart goes on counting it", () => {
    const half = steady(nextPurgeClock(START, T0 + YEAR_MS, 10 * MINUTE_MS), DAY_MS / 2);
    const again = nextPurgeClock(half, half.wallMs + 2 * HOUR_MS, 10 * MINUTE_MS);
    expect(again.steadyMs).toBe(0);
    const restarted = nextPurgeClock(half, half.wallMs + 5 * MINUTE_MS, undefined);
    expect(restarted.steadyMs).toBe(half.steadyMs + 5 * MINUTE_MS);
    expect(restarted.purgeMs).toBe(half.purgeMs + 5 * MINUTE_MS);
  });

  test("follows backwards at once, and forwards again over what it had been", () => {
    const back = nextPurgeClock(START, T0 - YEAR_MS, 10 * MINUTE_MS);
    expect(back.purgeMs).toBe(T0 - YEAR_MS);
    expect(nextPurgeClock(back, T0, 10 * MINUTE_MS).purgeMs).toBe(T0 - YEAR_MS + 10 * MINUTE_MS);
  });

  test("after a stop of up to an hour it is where the wall clock is, after a longer one where it was", () => {
    expect(nextPurgeClock(START, T0 + HOUR_MS, undefined).purgeMs).toBe(T0 + HOUR_MS);
    expect(nextPurgeClock(START, T0 + HOUR_MS + 2 * MINUTE_MS, undefined)).toMatchObject({ purgeMs: T0, steadyMs: 0 });
    expect(nextPurgeClock(START, T0 + YEAR_MS, undefined)).toMatchObject({ purgeMs: T0 });
  });

  test("never goes faster than the monotonic clock by more than a minute a look, or an hour a restart, in less than a day", () => {
    const look = fc.record({
      wallStepMs: fc.integer({ min: -2 * DAY_MS, max: 400 * DAY_MS }),
      elapsedMs: fc.option(fc.integer({ min: 0, max: HOUR_MS }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(look, { maxLength: 20 }), (looks) => {
        let clock = START;
        for (const { wallStepMs, elapsedMs } of looks) {
          const next = nextPurgeClock(clock, clock.wallMs + wallStepMs, elapsedMs);
          expect(next.purgeMs).toBeLessThanOrEqual(next.wallMs);
          expect(next.purgeMs - clock.purgeMs).toBeLessThanOrEqual((elapsedMs ?? HOUR_MS) + MINUTE_MS);
          clock = next;
        }
      }),
    );
  });

  test("is read as it was kept; anything else is none", () => {
    expect(readPurgeClock(JSON.stringify(START))).toEqual(START);
    for (const text of [null, "null", "7", "{}", '{"purgeMs":1,"wallMs":"x","steadyMs":0}']) {
      expect(readPurgeClock(text)).toBeUndefined();
    }
  });
});
