import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addTo, bucketOf, type Histogram, histogramOf, histogramText, mergeInto, quantileMs } from "./histogram.ts";

function of(times: readonly number[]): Map<number, number> {
  const histogram = new Map<number, number>();
  for (const ms of times) addTo(histogram, bucketOf(ms));
  return histogram;
}

/** The time that the share of them took at most. */
function exact(times: readonly number[], share: number): number {
  return times.toSorted((one, other) => one - other)[Math.max(1, Math.ceil(times.length * share)) - 1] ?? Number.NaN;
}

const times = fc.array(fc.double({ min: 1.21, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 60 });

describe("a histogram of times", () => {
  test("says each share within a tenth of the truth", () => {
    fc.assert(
      fc.property(times, fc.constantFrom(0.5, 0.9, 0.99, 1), (each, share) => {
        const [said, truth] = [quantileMs(of(each), share) ?? Number.NaN, exact(each, share)];
        expect(Math.abs(said - truth) / truth).toBeLessThan(0.1);
      }),
    );
  });

  test("is the same whatever was added where", () => {
    fc.assert(
      fc.property(times, times, (one, other) => {
        const merged = of(one);
        mergeInto(merged, of(other));
        const sorted = (histogram: Histogram) => [...histogram].sort(([left], [right]) => left - right);
        expect(sorted(merged)).toEqual(sorted(of([...one, ...other])));
      }),
    );
  });

  test("comes back from its text", () => {
    const histogram = of([3, 3, 900, 70_000]);
    expect(histogramOf(histogramText(histogram))).toEqual(histogram);
  });

  test("of nothing says nothing; what takes no time, or is told by a clock that was set back, is the first bucket", () => {
    expect(quantileMs(new Map(), 0.5)).toBeUndefined();
    expect([bucketOf(0), bucketOf(-5_000), bucketOf(1)]).toEqual([0, 0, 0]);
    expect(bucketOf(1e15)).toBe(bucketOf(1e12));
  });
});
