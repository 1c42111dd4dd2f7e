/** The arithmetic of the report. */

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** By nearest rank: a value that was measured, not one between two. `share` is from 0 to 1. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * Each window of passbus against the mean of the bare windows right before and after it, so that a machine that slows
 * down or speeds up meanwhile changes both sides. `order` is the run: "bare", then others, ending with "bare".
 */
export function ratiosToNeighbours(
  order: readonly { readonly name: string; readonly perSecond: number }[],
  name: string,
) {
  return order.flatMap((window, at) => {
    if (window.name !== name) return [];
    const before = order[at - 1];
    const after = order[at + 1];
    if (before?.name !== "bare" || after?.name !== "bare")
      throw new Error(`a window of ${name} has no bare neighbours`);
    return [window.perSecond / ((before.perSecond + after.perSecond) / 2)];
  });
}
