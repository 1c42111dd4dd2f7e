import type { Producer, Transaction } from "kafkajs";
import { afterEach, describe, expect, test } from "vitest";
import { Received, record } from "../../../test/contracts/received.ts";
import {
  committed,
  type OwnTopic,
  type OwnTopicOptions,
  ownTopic,
  testConnection,
} from "../../../test/support/kafka-topic.ts";
import { kcatProduce } from "../../../test/support/kcat.ts";
import { kafka, kcat } from "../../../test/support/services/services.ts";
import { eventually, within } from "../../../test/support/within.ts";
import type { LogReader } from "../../intake/event-log.ts";
import { type Clock, systemClock } from "../../kernel/clock.ts";
import { type Log, type LogFields, silentLog } from "../../kernel/log.ts";
import { KafkaReader, kafkaLogReader } from "./log-reader.ts";
import { kafkaLogWriter } from "./log-writer.ts";
import { partitionOf } from "./partitioner.ts";
import { withAdmin } from "./topic-configs.ts";

const PATIENCE_MS = 15_000;
const ends: (() => Promise<void>)[] = [];

async function newTopic(options?: OwnTopicOptions): Promise<OwnTopic> {
  const topic = await ownTopic(options);
  ends.push(() => topic.remove());
  return topic;
}

interface Reading {
  readonly reader: LogReader;
  readonly got: Received;
}

async function reading(topic: OwnTopic, { clock = systemClock, log = silentLog } = {}): Promise<Reading> {
  const connection = { ...testConnection(log), clock };
  const reader = kafkaLogReader({ connection, topics: [topic.name], group: topic.name, sessionTimeoutMs: 6_000 });
  const got = new Received();
  ends.push(() => reader.stop());
  await reader.start(got);
  return { reader, got };
}

async function append(topic: OwnTopic, keys: readonly string[], text: (key: string) => string): Promise<void> {
  const writer = kafkaLogWriter({ connection: testConnection(), topic: topic.name });
  await writer.start();
  const results = await writer.append(keys.map((key) => record(key, text(key))));
  await writer.close();
  expect(results.every(({ durable }) => durable)).toBe(true);
}

async function transactionalProducer(transactionalId: string): Promise<Producer> {
  const producer = testConnection()
    .client(5)
    .producer({ transactionalId, idempotent: true, maxInFlightRequests: 1, createPartitioner: () => () => 0 });
  await producer.connect();
  ends.push(() => producer.disconnect());
  return producer;
}

const keys = (count: number) => Array.from({ length: count }, (_, index) => `pass-${index}`);
const soon = <T>(what: string, promise: Promise<T>) => within(PATIENCE_MS, what, promise);

afterEach(async () => {
  // What began last ends first: a topic outlives those who read it.
  for (const end of ends.splice(0).reverse()) await end();
});

describe.skipIf(!kafka.present)(kafka.title("what a foreign producer sends"), () => {
  describe.skipIf(!kcat.present)(kcat.title("by kcat"), () => {
    test.each(["gzip", "snappy", "lz4", "zstd"])("a batch in %s is read", async (codec) => {
      const topic = await newTopic();
      const lines = Array.from(
        { length: 500 },
        (_, index) => `pass-${index % 9}:${index} ${"compressible ".repeat(30)}`,
      );
      await kcatProduce({ topic: topic.name, lines, args: ["-z", codec, "-X", "linger.ms=200"] });
      const { got } = await reading(topic);
      await soon("all records", got.count(lines.length));
      expect(got.all.map(({ key, value }) => `${key}:${value}`)).toEqual(lines);
    });

    test("headers are text where they can be, and whole in any case", async () => {
      const topic = await newTopic();
      const send = (...headers: string[]) =>
        kcatProduce({ topic: topic.name, lines: ["k:v"], args: headers.flatMap((header) => ["-H", header]) });
      await send("a=1", "constructor=2", "__proto__=3", "empty=");
      await send("twice=first", "twice=second", "once=only");
      const { got } = await reading(topic);
      await soon("both records", got.count(2));
      const [plain, twice] = got.all;
      expect(Object.entries(plain?.headers ?? {})).toEqual([
        ["a", "1"],
        ["constructor", "2"],
        ["__proto__", "3"],
        ["empty", ""],
      ]);
      expect(plain?.rawHeaders).toBeUndefined();
      expect(twice?.headers).toEqual({ twice: "first", once: "only" });
      expect(twice?.rawHeaders?.map(([name, value]) => [name, String(value)])).toEqual([
        ["twice", "first"],
        ["twice", "second"],
        ["once", "only"],
      ]);
    });

    test("a tombstone and a record without a key are what they are", async () => {
      const topic = await newTopic();
      await kcatProduce({ topic: topic.name, lines: ["gone:"], args: ["-Z"] });
      await kcatProduce({ topic: topic.name, lines: [":keyless"], args: ["-Z"] });
      const { got } = await reading(topic);
      await soon("both records", got.count(2));
      expect(got.all.map(({ key, value }) => [key && String(key), value && String(value)])).toEqual([
        ["gone", null],
        [null, "keyless"],
      ]);
    });
  });
});

describe.skipIf(!kafka.present)(kafka.title("the reader on Kafka"), () => {
  test("a record of 3 MB does not wait until a busy partition has nothing more", async () => {
    const topic = await newTopic({ partitions: 2, configEntries: { "max.message.bytes": "4000000" } });
    const ofPartition = (partition: number) =>
      keys(100).filter((key) => partitionOf(Buffer.from(key), 2) === partition);
    const [busy] = ofPartition(0);
    const [quiet] = ofPartition(1);
    if (busy === undefined || quiet === undefined) throw new Error("no key for each partition");
    const large = "l".repeat(3_000_000);
    await append(topic, [quiet], () => large);
    await append(topic, [quiet], () => "behind");
    await append(
      topic,
      Array.from({ length: 120 }, () => busy),
      () => "s".repeat(100_000),
    );
    const { got } = await reading(topic);
    await soon("all records", got.count(122));
    expect(got.texts.indexOf(large)).toBeLessThan(got.texts.findLastIndex((text) => text.startsWith("s")));
    expect(got.texts.indexOf("behind")).toBeGreaterThan(got.texts.indexOf(large));
  });

  test("a reader that comes takes its share, and what one that leaves had goes to the other, with nothing lost", async () => {
    const topic = await newTopic({ partitions: 4 });
    const kept: number[] = [];
    const info = (event: string) => event === "kafka.rebalancing" && kept.push(one.got.live.size);
    const one: Reading = await reading(topic, { log: { ...silentLog, info } });
    await soon(
      "all partitions",
      one.got.until(() => one.got.live.size === 4),
    );
    const alone = [...one.got.live.values()];
    const two = await reading(topic);
    await soon(
      "half for each",
      one.got.until(() => one.got.live.size === 2),
    );
    await soon(
      "half for each",
      two.got.until(() => two.got.live.size === 2),
    );
    // All was taken back before anything could be another's.
    expect(kept[0]).toBe(0);
    for (const old of alone) expect(one.reader.isFresh(old)).toBe(false);
    for (const now of one.got.live.values()) expect(now.generation).toBeGreaterThan(alone[0]?.generation ?? 0);
    await append(topic, keys(40), (key) => key);
    await eventually(PATIENCE_MS, "all records", () => one.got.all.length + two.got.all.length === 40 || undefined);
    // One commits what it has; two leaves without.
    await one.reader.commit(one.got.positions);
    const ofTwo = two.got.texts;
    await two.reader.stop();
    await soon(
      "all partitions",
      one.got.until(() => one.got.live.size === 4),
    );
    await soon(
      "what two had",
      one.got.until(() => ofTwo.every((text) => one.got.texts.includes(text))),
    );
    expect(one.got.all).toHaveLength(40);
    expect([...one.got.mistakes, ...two.got.mistakes]).toEqual([]);
  });

  test("a position of a generation that has passed is not committed", async () => {
    const topic = await newTopic();
    await append(topic, ["a", "b"], (key) => key);
    const one = await reading(topic);
    await soon("both records", one.got.count(2));
    const passed = one.got.positions;
    // Another comes and goes: the partition is taken back, and given again.
    const two = await reading(topic);
    const isShared = () => one.got.assignments.length > 1 || two.got.live.size > 0 || undefined;
    await eventually(PATIENCE_MS, "a place in the group", isShared);
    await two.reader.stop();
    const isBack = () => one.got.assignments.length > 1 && one.got.live.size === 1;
    await soon("the partition again", one.got.until(isBack));
    await one.reader.commit(passed);
    expect((await committed(topic.name)).get(0)).toBe(-1);
    expect(one.reader.isFresh(passed[0] ?? { topic: "", partition: 0, generation: 0 })).toBe(false);
  });

  test("a process that was stopped for longer than its session finds itself stale, and begins again", async () => {
    const topic = await newTopic();
    let stoppedMs = 0;
    const clock: Clock = {
      now: () => Date.now() + stoppedMs,
      monotonic: () => performance.now() + stoppedMs,
      after: systemClock.after,
    };
    await append(topic, ["a"], (key) => key);
    const { reader, got } = await reading(topic, { clock });
    await soon("the record", got.count(1));
    const [before] = got.positions;
    if (before === undefined) throw new Error("nothing was read");
    expect([reader.isFresh(before), reader.problem()]).toEqual([true, undefined]);
    stoppedMs = 7_000;
    expect(reader.isFresh(before)).toBe(false);
    expect(reader.problem()).toContain("isn't joined");
    await soon("the record again", got.count(2));
    expect(got.mistakes).toEqual([]);
    const [after] = got.positions;
    expect(after?.generation).toBeGreaterThan(before.generation);
    expect([reader.isFresh(before), after && reader.isFresh(after)]).toEqual([false, true]);
  });

  test("paused, it keeps its place in the group for longer than its session", async () => {
    const topic = await newTopic();
    const { reader, got } = await reading(topic);
    await append(topic, ["a"], (key) => key);
    await soon("the record", got.count(1));
    const [place] = got.positions;
    reader.setPaused(true);
    await append(topic, ["b"], (key) => key);
    const began = performance.now();
    await eventually(PATIENCE_MS, "longer than a session", () => performance.now() - began > 7_000 || undefined);
    expect([got.texts, place && reader.isFresh(place)]).toEqual([["a"], true]);
    reader.setPaused(false);
    await soon("the rest", got.count(2));
    expect(got.assignments).toHaveLength(1);
  });

  test("partitions that are added are read, and no record of the others is passed over meanwhile", async () => {
    const topic = await newTopic();
    const settings = {
      topics: [topic.name],
      group: topic.name,
      sessionMs: 6_000,
      heartbeatMs: 1_000,
      rebalanceMs: 10_000,
      partitionBytes: 1_000_000,
      metadataMaxAgeMs: 200,
    };
    const said: string[] = [];
    const note = (event: string, { reason = "" }: LogFields = {}) => said.push(`${event} ${reason}`);
    const log: Log = { debug() {}, info: note, warn: note, error: note };
    const reader = new KafkaReader(testConnection(log), settings, { outageMs: 30_000, joinMs: 20_000 });
    const got = new Received();
    ends.push(() => reader.stop());
    await reader.start(got);
    await append(topic, keys(300), (key) => key);
    await soon("the first records", got.count(300));
    await withAdmin(testConnection(), (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: 3 }] }),
    );
    const all = () => got.live.size === 3;
    await soon("three partitions", got.until(all));
    expect(said).toContain("kafka.lost rejoined");
    await append(topic, keys(300), (key) => `later ${key}`);
    const isAll = () => got.texts.filter((text) => text.startsWith("later")).length === 300;
    await soon("all records", got.until(isAll));
    // Nothing was committed: the first partition began again at its beginning.
    expect(got.texts.filter((text) => !text.startsWith("later"))).toHaveLength(600);
    expect(got.mistakes).toEqual([]);
  });

  test("a topic that is deleted and made anew while the reader is paused is read from its beginning", async () => {
    const topic = await newTopic();
    await append(topic, keys(300), (key) => `old ${key}`);
    const { reader, got } = await reading(topic);
    await soon("the first handful", got.count(1));
    // The rest of what was fetched waits for room, and nothing is fetched meanwhile.
    reader.setPaused(true);
    expect(got.all.length).toBeLessThan(300);
    await withAdmin(testConnection(), async (admin) => {
      await admin.deleteTopics({ topics: [topic.name] });
      await admin.createTopics({ waitForLeaders: false, topics: [{ topic: topic.name, numPartitions: 1 }] });
    });
    await append(topic, ["a", "b"], (key) => `new ${key}`);
    reader.setPaused(false);
    await soon("all of both", got.count(302));
    expect(got.texts.slice(300)).toEqual(["new a", "new b"]);
    // Nothing was taken back for it.
    expect([got.restarts, got.assignments.length, got.mistakes]).toEqual([1, 1, []]);
    await reader.commit(got.positions);
    expect((await committed(topic.name)).get(0)).toBe(2);
  });

  test("control records of transactions are passed over, and hold nothing back", async () => {
    const topic = await newTopic();
    const producer = await transactionalProducer(topic.name);
    for (const [text, isKept] of [
      ["kept", true],
      ["aborted", false],
      ["kept too", true],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: topic.name, messages: [{ value: text }] });
      await (isKept ? transaction.commit() : transaction.abort());
    }
    const { reader, got } = await reading(topic);
    await soon("what was kept", got.count(2));
    await append(topic, ["after"], (key) => key);
    await soon("what came after", got.count(3));
    expect(got.texts).toEqual(["kept", "kept too", "after"]);
    await reader.commit(got.positions);
    const [last] = got.positions;
    expect((await committed(topic.name)).get(0)).toBe(last?.offset);
  });

  test("of aborted transactions that overlap, the later of which ends first, nothing is handed over", async () => {
    const topic = await newTopic();
    const [first, second] = await Promise.all(["1", "2"].map((id) => transactionalProducer(`${topic.name}-${id}`)));
    const one = await first?.transaction();
    const two = await second?.transaction();
    const send = (transaction: Transaction | undefined, value: string) =>
      transaction?.send({ topic: topic.name, messages: [{ value }] });
    await send(one, "one");
    await send(two, "two");
    await two?.abort();
    await send(one, "one again");
    await one?.abort();
    await append(topic, ["after"], (key) => key);
    const { got } = await reading(topic);
    await soon(
      "what came after",
      got.until(() => got.texts.includes("after")),
    );
    expect(got.texts).toEqual(["after"]);
  });

  test("a topic that is missing is named, with the way out", async () => {
    const reader = kafkaLogReader({
      connection: testConnection(),
      topics: ["passbus-test-none"],
      group: "passbus-test-none",
    });
    await expect(reader.start(new Received())).rejects.toMatchObject({
      code: "setup.missing",
      message: expect.stringContaining("passbus init"),
    });
  });
});

test("a reader doesn't start where no broker answers", async () => {
  const connection = testConnection(silentLog, "127.0.0.1:1");
  const reader = kafkaLogReader({ connection, topics: ["t"], group: "g" });
  await expect(reader.start(new Received())).rejects.toMatchObject({ code: "log.unavailable" });
  await reader.stop();
});
