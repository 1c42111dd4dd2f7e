import { afterEach, describe, expect, test } from "vitest";
import { Received } from "../../../test/contracts/received.ts";
import { type OwnTopicOptions, ownTopic, testConnection } from "../../../test/support/kafka-topic.ts";
import { kafka } from "../../../test/support/services/services.ts";
import { within } from "../../../test/support/within.ts";
import type { DeadLetter } from "../../intake/dead-letters.ts";
import type { LogRecord } from "../../intake/event-log.ts";
import { systemClock } from "../../kernel/clock.ts";
import { silentLog } from "../../kernel/log.ts";
import { deadRecord, kafkaDeadLetterTopic } from "./dead-letter-topic.ts";
import type { KafkaConnection } from "./kafka.ts";
import { kafkaLogReader } from "./log-reader.ts";

const APPENDED_AT_MS = 1_700_000_000_123;

function letter(record: Partial<LogRecord> = {}): DeadLetter {
  return {
    record: {
      topic: "pass.events",
      partition: 3,
      offset: 42,
      appendedAtMs: APPENDED_AT_MS,
      key: Buffer.from("pass-1"),
      value: Buffer.from("rubbish"),
      headers: { "content-type": "application/json" },
      ...record,
    },
    reason: "event.unreadable",
    message: "it does not decode",
    tenant: { organisation: "acme", environment: "production" },
  };
}

const REASONS = {
  "dead-reason": "event.unreadable",
  "dead-message": "it does not decode",
  "dead-topic": "pass.events",
  "dead-partition": "3",
  "dead-offset": "42",
  "dead-timestamp": new Date(APPENDED_AT_MS).toISOString(),
};

describe("a dead letter as a record", () => {
  test("has key, value and headers as they came, and the reasons", () => {
    expect(deadRecord(letter(), 10_000)).toEqual({
      key: Buffer.from("pass-1"),
      value: Buffer.from("rubbish"),
      headers: { "content-type": "application/json", ...REASONS },
    });
  });

  test("keeps headers that are no text, or stand twice", () => {
    const [one, two] = [Buffer.of(0xff), Buffer.from("2")];
    const rawHeaders = [
      ["a", one],
      ["a", two],
      ["b", two],
    ] as const;
    expect(deadRecord(letter({ rawHeaders }), 10_000).headers).toEqual({ a: [one, two], b: [two], ...REASONS });
  });

  test("keeps what isn't there apart from what is empty", () => {
    expect(deadRecord(letter({ key: null, value: null }), 10_000)).toMatchObject({ key: null, value: null });
  });

  test("has the time as it is said where that is none", () => {
    expect(deadRecord(letter({ appendedAtMs: 9e18 }), 10_000).headers["dead-timestamp"]).toBe("9000000000000000000");
  });

  test("is cut at the value first, and says how long that was", () => {
    const cut = deadRecord(letter({ value: Buffer.alloc(50_000, "v") }), 10_000);
    expect(cut.key).toEqual(Buffer.from("pass-1"));
    expect(cut.value?.length).toBeGreaterThan(9_000);
    expect(cut.value?.length).toBeLessThan(10_000);
    expect(cut.headers).toEqual({ "content-type": "application/json", ...REASONS, "dead-truncated": "50000" });
  });

  test("loses headers and most of its key where they alone are too large", () => {
    const cut = deadRecord(letter({ key: Buffer.alloc(20_000, "k"), value: Buffer.alloc(5) }), 10_000);
    expect([cut.key?.length, cut.value?.length]).toEqual([1_024, 0]);
    expect(cut.headers).toEqual({ ...REASONS, "dead-truncated": "5", "dead-headers-dropped": "1" });
  });
});

test("letters of more bytes than a topic's writer lets wait are taken at once", async () => {
  let taken = 0;
  const life = { connect: async () => {}, disconnect: async () => {} };
  const producer = {
    ...life,
    send: async ({ topic, messages }: { readonly topic: string; readonly messages: readonly unknown[] }) => {
      taken += messages.length;
      return [{ topicName: topic, partition: 0, errorCode: 0 }];
    },
  };
  const admin = {
    ...life,
    fetchTopicMetadata: async () => ({ topics: [{ name: "dead", partitions: [{}] }] }),
    describeConfigs: async () => ({ resources: [] }),
  };
  const client = () => ({ producer: () => producer, admin: () => admin });
  const connection = { log: silentLog, clock: systemClock, client } as unknown as KafkaConnection;
  const sink = kafkaDeadLetterTopic({ connection, topic: "dead" });
  const value = Buffer.alloc(1_000_000);
  await sink.put(Array.from({ length: 80 }, (_, offset) => letter({ offset, value })));
  expect(taken).toBe(80);
});

describe.skipIf(!kafka.present)(kafka.title("the topic of dead letters"), () => {
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function put(letters: readonly DeadLetter[], options?: OwnTopicOptions): Promise<readonly LogRecord[]> {
    const topic = await ownTopic(options);
    ends.push(() => topic.remove());
    const connection = testConnection();
    const sink = kafkaDeadLetterTopic({ connection, topic: topic.name });
    await sink.start();
    ends.push(() => sink.close());
    await sink.put(letters);
    const reader = kafkaLogReader({ connection, topics: [topic.name], group: topic.name });
    const got = new Received();
    ends.push(() => reader.stop());
    await reader.start(got);
    await within(15_000, "all letters", got.count(letters.length));
    return got.all;
  }

  test("has letters as they were, with their reasons", async () => {
    const [tombstone, full] = await put([letter({ value: null, key: null }), letter()], { partitions: 1 });
    expect(tombstone).toMatchObject({ key: null, value: null });
    expect(full).toMatchObject({ key: Buffer.from("pass-1"), value: Buffer.from("rubbish") });
    expect(full?.headers).toEqual({ "content-type": "application/json", ...REASONS });
  });

  test("takes a letter beyond its limit cut, beside others that are whole", async () => {
    const value = Buffer.alloc(1_500_000, "v");
    const all = await put([letter(), letter({ value }), letter()], { configEntries: { "max.message.bytes": "50000" } });
    const cut = all.find(({ headers }) => headers["dead-truncated"] !== undefined);
    expect(cut?.headers["dead-truncated"]).toBe("1500000");
    // Filled to the limit: nothing of it was given away by halving.
    expect(cut?.value?.length).toBeGreaterThan(49_000);
    expect(all.filter(({ headers }) => headers["dead-truncated"] === undefined)).toHaveLength(2);
  });

  test("that is missing takes nothing, and says so", async () => {
    const sink = kafkaDeadLetterTopic({ connection: testConnection(), topic: "passbus-test-none" });
    await sink.start();
    ends.push(() => sink.close());
    await expect(sink.put([letter()])).rejects.toMatchObject({
      code: "log.unavailable",
      message: expect.stringContaining("passbus init"),
    });
  });
});
