/** What goes together. An item that is larger than a batch goes alone. */
export interface BatchLimits<T> {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly bytesOf: (item: T) => number;
}

/** The first items, as many as make one batch: none only where there are none. */
export function firstBatch<T>(items: readonly T[], { maxItems, maxBytes, bytesOf }: BatchLimits<T>): readonly T[] {
  let bytes = 0;
  const end = items.findIndex((item, at) => {
    bytes += bytesOf(item);
    return at > 0 && (at >= maxItems || bytes > maxBytes);
  });
  return end < 0 ? items.slice() : items.slice(0, end);
}

/** All of them in their order, batch by batch. */
export function* batchesOf<T>(items: readonly T[], limits: BatchLimits<T>): Generator<readonly T[]> {
  for (let rest = items; rest.length > 0; ) {
    const batch = firstBatch(rest, limits);
    yield batch;
    rest = rest.slice(batch.length);
  }
}
