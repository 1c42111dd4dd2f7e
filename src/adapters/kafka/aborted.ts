import Broker, { type FetchedPartition, type FetchedRecord } from "kafkajs/src/broker/index.js";
import { once } from "../../kernel/once.ts";

/**
 * kafkajs 2.2.4 hands out records of aborted transactions where several overlap: it takes the broker's list of them as
 * sorted by their beginnings, which is sorted by their ends, and notes no more than one a record. With this they are
 * told by Java's rule (KIP-98; CompletedFetch), and go the way of control records, which hold nothing back.
 */
export const mendAborted = once(() => {
  const fetch = Broker.prototype.fetch;
  Broker.prototype.fetch = async function (this: Broker, request: object) {
    const answer = await fetch.call(this, request);
    for (const { partitions } of answer.responses) for (const partition of partitions) hideAborted(partition);
    return answer;
  };
});

function hideAborted(partition: FetchedPartition): void {
  const begun = (partition.abortedTransactions ?? []).toSorted((a, b) => Number(a.firstOffset) - Number(b.firstOffset));
  if (begun.length === 0) return;
  // Nothing is left for kafkajs to tell.
  partition.abortedTransactions = [];
  const aborted = new Set<string>();
  for (const record of partition.messages) {
    const batch = record.batchContext;
    // Of before transactions (message formats 0 and 1).
    if (batch === undefined) continue;
    const lastOffset = Number(batch.firstOffset) + batch.lastOffsetDelta;
    for (let [next] = begun; next !== undefined && Number(next.firstOffset) <= lastOffset; [next] = begun) {
      aborted.add(next.producerId);
      begun.shift();
    }
    if (isAbortMarker(record)) aborted.delete(batch.producerId);
    else if (batch.inTransaction && aborted.has(batch.producerId)) record.isControlRecord = true;
  }
}

/** A control record's key is its version and its type, of two bytes each; type 0 is ABORT. */
function isAbortMarker({ isControlRecord, key }: FetchedRecord): boolean {
  return isControlRecord && key !== null && key.length >= 4 && key.readInt16BE(2) === 0;
}
