import { describe, expect, test } from "vitest";
import { pointOf, seriesOf, stepsOf } from "./series.ts";
import type { CountRow } from "./stats-store.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = 1_700_000_000_000;

function row(atMs: number, over: Partial<CountRow> = {}): CountRow {
  const counts = { delivered: 1, failed: 0, attempts: 2, failedAttempts: 1, events: 3 };
  const tenant = { organisation: "acme", environment: "production" };
  return { tenant, subscriptionId: "", atMs, ...counts, durations: new Map([[4, 2]]), delays: new Map(), ...over };
}

describe("the steps of a series", () => {
  test.each([
    [{}, MINUTE, "minute"],
    [{ fromMs: NOW - 200 * MINUTE }, MINUTE, "minute"],
    [{ fromMs: NOW - 201 * MINUTE }, 5 * MINUTE, "minute"],
    [{ fromMs: NOW - DAY }, HOUR, "hour"],
    [{ fromMs: NOW - 30 * DAY }, DAY, "hour"],
    [{ fromMs: NOW - DAY, stepMs: 10 * MINUTE }, 10 * MINUTE, "minute"],
    [{ fromMs: NOW - DAY, stepMs: 2 * HOUR }, 2 * HOUR, "hour"],
  ] as const)("of %j are %i ms, from the counts of a %s", (asked, stepMs, span) => {
    const steps = stepsOf(asked, NOW);
    expect(steps).toMatchObject({ stepMs, span, toMs: NOW });
    expect(steps.fromMs % stepMs).toBe(0);
    const fromMs = "fromMs" in asked ? asked.fromMs : NOW - HOUR;
    expect(fromMs - steps.fromMs).toBeGreaterThanOrEqual(0);
    expect(fromMs - steps.fromMs).toBeLessThan(stepMs);
  });

  test.each([[90_000], [0], [-MINUTE]])("of %i ms are refused", (stepMs) => {
    expect(() => stepsOf({ stepMs }, NOW)).toThrow("step: must be a whole number of minutes");
  });

  test("that give too many points are refused", () => {
    expect(stepsOf({ fromMs: NOW - 1_999 * MINUTE, stepMs: MINUTE }, NOW).stepMs).toBe(MINUTE);
    expect(() => stepsOf({ fromMs: NOW - 2_001 * MINUTE, stepMs: MINUTE }, NOW)).toThrow("more than 2000 points");
  });
});

describe("a series", () => {
  test("has a point for each step, also where nothing was, and adds up what lies in one", () => {
    const fromMs = NOW - (NOW % (5 * MINUTE));
    const steps = { fromMs, toMs: fromMs + 14 * MINUTE, stepMs: 5 * MINUTE, span: "minute" } as const;
    const rows = [row(fromMs), row(fromMs + 4 * MINUTE), row(fromMs + 11 * MINUTE), row(fromMs - MINUTE)];
    const points = seriesOf(rows, steps);
    expect(points.map(({ atMs, attempts, events }) => [(atMs - fromMs) / MINUTE, attempts, events])).toEqual([
      [0, 4, 6],
      [5, 0, 0],
      [10, 2, 3],
    ]);
    expect(points[1]?.p50Ms).toBeUndefined();
    expect(points[0]?.p50Ms).toBeCloseTo(1.2 ** 3.5);
    expect(pointOf(rows, fromMs)).toMatchObject({ atMs: fromMs, delivered: 4, delayP99Ms: undefined });
  });
});
