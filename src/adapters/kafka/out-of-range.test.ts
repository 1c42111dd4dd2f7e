import type { EachBatchPayload } from "kafkajs";
import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Received } from "../../../test/contracts/received.ts";
import { systemClock } from "../../kernel/clock.ts";
import { silentLog } from "../../kernel/log.ts";
import type { KafkaConnection } from "./kafka.ts";
import { kafkaLogReader } from "./log-reader.ts";
import { mendOutOfRange, onOutOfRange } from "./out-of-range.ts";

const original = ConsumerGroup.prototype.recoverFromOffsetOutOfRange;
const happened: string[] = [];

beforeAll(() => {
  ConsumerGroup.prototype.recoverFromOffsetOutOfRange = async ({ partition }) => {
    happened.push(`recovered ${partition}`);
  };
  mendOutOfRange();
  mendOutOfRange();
});
beforeEach(() => {
  happened.length = 0;
});
afterAll(() => {
  ConsumerGroup.prototype.recoverFromOffsetOutOfRange = original;
});

/** A position of this member is out of range. */
function outOfRange(memberId: string | null, partition: number): Promise<void> {
  const error = { topic: "t", partition };
  return ConsumerGroup.prototype.recoverFromOffsetOutOfRange.call({ memberId } as ConsumerGroup, error);
}

/** A consumer of kafkajs' whose events and batches the test plays. */
function playedConsumer() {
  const listeners = new Map<string, (event: { readonly payload: object }) => void>();
  const played = { give: (_payload: EachBatchPayload): Promise<void> => Promise.resolve() };
  const consumer = {
    events: {
      GROUP_JOIN: "join",
      REBALANCING: "rebalancing",
      REQUEST: "request",
      HEARTBEAT: "heartbeat",
      CRASH: "crash",
    },
    on: (name: string, listener: (event: { readonly payload: object }) => void) => void listeners.set(name, listener),
    connect: async () => {},
    subscribe: async () => {},
    run: async ({ eachBatch }: { readonly eachBatch: typeof played.give }) => {
      played.give = eachBatch;
    },
    disconnect: async () => {},
  };
  const client = () => ({ consumer: () => consumer });
  const connection = { log: silentLog, clock: systemClock, client } as unknown as KafkaConnection;
  const join = (memberId: string) => listeners.get("join")?.({ payload: { memberId, memberAssignment: { t: [0] } } });
  const give = (offsets: readonly number[], resolved: string[]) => {
    const messages = offsets.map((offset) => ({ offset: String(offset), timestamp: "1", key: null, value: null }));
    const batch = { topic: "t", partition: 0, highWatermark: "1000", messages };
    const calls = { resolveOffset: (offset: string) => void resolved.push(offset), heartbeat: async () => {} };
    return played.give({ batch, ...calls } as unknown as EachBatchPayload);
  };
  return { connection, join, give };
}

const offsets = (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at);

test("a member tells of a position that is out of range before it goes elsewhere, until that is ended", async () => {
  const end = onOutOfRange("one", (topic, partition) => happened.push(`told of ${topic} ${partition}`));
  await outOfRange("one", 1);
  await outOfRange("another", 2);
  await outOfRange(null, 3);
  end();
  await outOfRange("one", 4);
  expect(happened).toEqual(["told of t 1", "recovered 1", "recovered 2", "recovered 3", "recovered 4"]);
});

test("the rest of a batch that was fetched before its partition began anew is not handed over after it", async () => {
  const { connection, join, give } = playedConsumer();
  const reader = kafkaLogReader({ connection, topics: ["t"], group: "g" });
  const got = new Received();
  await reader.start(got);
  join("one");
  const resolved: string[] = [];
  // A handful is handed over at once; the rest waits.
  const old = give(offsets(1_000, 300), resolved);
  reader.setPaused(true);
  await outOfRange("one", 0);
  reader.setPaused(false);
  await old;
  await give([0, 1], resolved);
  await reader.stop();
  const [first, ...rest] = resolved;
  expect([Number(first), rest]).toEqual([got.all.at(-3)?.offset, ["1"]]);
  expect(Number(first)).toBeLessThan(1_299);
  expect(got.all.slice(-2).map(({ offset }) => offset)).toEqual([0, 1]);
  expect([got.restarts, got.mistakes]).toEqual([1, []]);
});
