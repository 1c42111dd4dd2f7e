/**
 * How long things took, as counts in buckets that grow by a fifth: what is read from it lies within 10 % of the truth,
 * whatever was added where, and in whatever order.
 */

/** By the bucket's number: 0 is up to 1 ms, and n from 1.2^(n-1) to 1.2^n ms. */
export type Histogram = ReadonlyMap<number, number>;

const GROWTH = 1.2;
const LOG_GROWTH = Math.log(GROWTH);
/** About 16 days. */
const LAST_BUCKET = 116;

export function bucketOf(ms: number): number {
  return ms <= 1 ? 0 : Math.min(LAST_BUCKET, Math.ceil(Math.log(ms) / LOG_GROWTH));
}

export function addTo(histogram: Map<number, number>, bucket: number, count = 1): void {
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + count);
}

export function mergeInto(into: Map<number, number>, from: Histogram): void {
  for (const [bucket, count] of from) addTo(into, bucket, count);
}

/** The time that `share` of all (0 to 1) took at most, in milliseconds; undefined where nothing was added. */
export function quantileMs(histogram: Histogram, share: number): number | undefined {
  let all = 0;
  for (const count of histogram.values()) all += count;
  if (all === 0) return undefined;
  let left = Math.max(1, Math.ceil(all * share));
  for (const [bucket, count] of [...histogram].sort(([one], [other]) => one - other)) {
    left -= count;
    if (left <= 0) return bucket === 0 ? 1 : GROWTH ** (bucket - 0.5);
  }
  return undefined;
}

/** For the stores: `[[bucket, count], …]`. */
export function histogramText(histogram: Histogram): string {
  return JSON.stringify([...histogram]);
}

/** @param text as `histogramText` wrote it. */
export function histogramOf(text: string): Map<number, number> {
  return new Map(JSON.parse(text) as [number, number][]);
}
