import Broker, { type FetchedPartition, type FetchedRecord } from "kafkajs/src/broker/index.js";
import Batch from "kafkajs/src/consumer/batch.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mendAborted } from "./aborted.ts";

const original = Broker.prototype.fetch;
let answered: FetchedPartition = { messages: [] };

beforeAll(() => {
  Broker.prototype.fetch = async () => ({ responses: [{ partitions: [answered] }] });
  mendAborted();
  mendAborted();
});
afterAll(() => {
  Broker.prototype.fetch = original;
});

type Given = FetchedRecord & { readonly offset: string };

/** Its batch begins `at` offsets before it, and has `size` of them. */
function data(offset: number, producerId: string, { at = 0, size = 1, inTransaction = true } = {}): Given {
  const batchContext = { firstOffset: String(offset - at), lastOffsetDelta: size - 1, producerId, inTransaction };
  return { offset: String(offset), key: Buffer.from("pass-1"), isControlRecord: false, batchContext };
}

function marker(offset: number, producerId: string, type: 0 | 1): Given {
  return { ...data(offset, producerId), key: Buffer.from([0, 0, 0, type]), isControlRecord: true };
}
const abort = (offset: number, producerId: string) => marker(offset, producerId, 0);
const commit = (offset: number, producerId: string) => marker(offset, producerId, 1);

const since = (producerId: string, firstOffset: number) => ({ producerId, firstOffset: String(firstOffset) });

/** The offsets that kafkajs hands out, and the last one that it passes. */
async function handedOut(abortedTransactions: FetchedPartition["abortedTransactions"], messages: readonly Given[]) {
  answered = { messages, ...(abortedTransactions && { abortedTransactions }) };
  const { responses } = await Broker.prototype.fetch.call(Object.create(Broker.prototype), {});
  const batch = new Batch("t", messages[0]?.offset ?? "0", { ...responses[0]?.partitions[0], highWatermark: "100" });
  return { offsets: batch.messages.map(({ offset }) => Number(offset)), last: Number(batch.lastOffset()) };
}

test.each([
  [
    "of two transactions of which the later ended first, nothing",
    [since("B", 7), since("A", 5)],
    [data(5, "A"), data(6, "A"), data(7, "B"), abort(8, "B"), data(9, "A"), abort(10, "A")],
    { offsets: [], last: 10 },
  ],
  [
    "of two in whose middle a fetch begins, nothing",
    [since("A", 5), since("B", 6)],
    [data(8, "B"), data(9, "A"), abort(10, "A"), abort(11, "B")],
    { offsets: [], last: 11 },
  ],
  [
    "of one that goes on after the fetch, nothing, and it passes what it brought",
    [since("A", 5)],
    [data(5, "A"), data(6, "A")],
    { offsets: [], last: 6 },
  ],
  [
    "of a batch whose middle is the beginning, nothing",
    [since("A", 6)],
    [data(5, "A", { size: 3 }), data(6, "A", { at: 1, size: 3 }), data(7, "A", { at: 2, size: 3 }), abort(8, "A")],
    { offsets: [], last: 8 },
  ],
  [
    "what others committed meanwhile, or sent without a transaction",
    [since("A", 5)],
    [data(5, "A"), data(6, "C"), data(7, "A", { inTransaction: false }), commit(8, "C"), abort(9, "A")],
    { offsets: [6, 7], last: 9 },
  ],
  [
    "what the producer sends in its next transaction, and not in the one after",
    [since("A", 5), since("A", 9)],
    [data(5, "A"), abort(6, "A"), data(7, "A"), commit(8, "A"), data(9, "A"), abort(10, "A")],
    { offsets: [7], last: 10 },
  ],
  [
    "nothing behind a record that is like a marker and is none",
    [since("A", 5)],
    [{ ...data(5, "A"), key: Buffer.alloc(4) }, data(6, "A"), abort(7, "A")],
    { offsets: [], last: 7 },
  ],
  [
    "what is in no batch",
    [since("A", 5)],
    [{ offset: "5", key: null, isControlRecord: false }, data(6, "A")],
    { offsets: [5], last: 6 },
  ],
  ["all where nothing was aborted", undefined, [data(5, "A"), commit(6, "A")], { offsets: [5], last: 6 }],
])("handed out is %s", async (_what, aborted, messages, handed) => {
  expect(await handedOut(aborted, messages)).toEqual(handed);
});
