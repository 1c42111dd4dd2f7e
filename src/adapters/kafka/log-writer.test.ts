import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Received, record } from "../../../test/contracts/received.ts";
import { type OwnTopic, ownTopic, testConnection } from "../../../test/support/kafka-topic.ts";
import { kcatProduce } from "../../../test/support/kcat.ts";
import { kafka, kcat } from "../../../test/support/services/services.ts";
import type { LogReader, LogWriter } from "../../intake/event-log.ts";
import { silentLog } from "../../kernel/log.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import type { Connected } from "./kafka.ts";
import { kafkaLogReader } from "./log-reader.ts";
import { kafkaLogWriter } from "./log-writer.ts";
import { isAcknowledged } from "./topic-writer.ts";

const DURABLE = { durable: true };
const PARTITIONS = 7;
const MAX_BYTES = 200_000;

describe.skipIf(!kafka.present)(kafka.title("the writer on Kafka"), () => {
  let topic: OwnTopic;
  let writer: LogWriter & Connected;
  let reader: LogReader;
  const got = new Received();
  beforeAll(async () => {
    topic = await ownTopic({ partitions: PARTITIONS, configEntries: { "max.message.bytes": String(MAX_BYTES) } });
    const connection = testConnection();
    writer = kafkaLogWriter({ connection, topic: topic.name });
    await writer.start();
    reader = kafkaLogReader({ connection, topics: [topic.name], group: topic.name });
    await reader.start(got);
  });
  afterAll(async () => {
    await writer.close();
    await reader.stop();
    await topic.remove();
  });

  const placeOf = (text: string) =>
    got.all.find((each) => Buffer.from(each.value ?? []).toString() === text)?.partition;

  test.skipIf(!kcat.present)(kcat.title("a key has the partition that librdkafka's murmur2 gives it"), async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `päss-${index}`);
    await kcatProduce({
      topic: topic.name,
      lines: keys.map((key) => `${key}:foreign ${key}`),
      args: ["-X", "topic.partitioner=murmur2"],
    });
    await writer.append(keys.map((key) => record(key, `ours ${key}`)));
    await got.until(() =>
      keys.every((key) => got.texts.includes(`foreign ${key}`) && got.texts.includes(`ours ${key}`)),
    );
    expect(keys.map((key) => placeOf(`ours ${key}`))).toEqual(keys.map((key) => placeOf(`foreign ${key}`)));
    expect(new Set(keys.map((key) => placeOf(`ours ${key}`))).size).toBe(PARTITIONS);
  });

  test("records without a key go round", async () => {
    const texts = Array.from({ length: PARTITIONS }, (_, index) => `keyless ${index}`);
    expect(await writer.append(texts.map((text) => record("", text)))).toEqual(texts.map(() => DURABLE));
    await got.until(() => texts.every((text) => got.texts.includes(text)));
    expect(new Set(texts.map(placeOf)).size).toBe(PARTITIONS);
  });

  test("a record that is too large fails, and none that it shares a batch with", async () => {
    const texts = Array.from({ length: 20 }, (_, index) => `mate ${index}`);
    const results = await writer.append(
      texts.map((text, index) => record("one", index === 11 ? "x".repeat(MAX_BYTES) : text)),
    );
    expect(results.filter((result) => !result.durable)).toEqual([results[11]]);
    expect(results[11]).toMatchObject({ durable: false, reason: expect.stringContaining("no record of this size") });
    const mates = texts.filter((_, index) => index !== 11);
    await got.until(() => mates.every((text) => got.texts.includes(text)));
    expect(got.texts.filter((text) => text.startsWith("mate "))).toEqual(mates);
  });

  test("records that fill more than one batch together are all taken", async () => {
    const big = Array.from({ length: 12 }, (_, index) => record("one", `${index}`.padEnd(MAX_BYTES - 1_000, "b")));
    expect(await writer.append(big)).toEqual(big.map(() => DURABLE));
  });

  test("a topic that is missing fails at once, names the way out, and keeps nothing from the others", async () => {
    const missing = { ...record("k", "v"), topic: `${topic.name}-missing` };
    const began = performance.now();
    const results = await writer.append([missing, record("k", "beside"), missing]);
    expect(results[1]).toEqual(DURABLE);
    for (const result of [results[0], results[2]]) {
      expect(result).toEqual({
        durable: false,
        reason: `topic ${topic.name}-missing does not exist: \`passbus init\` makes it`,
      });
    }
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test("a closed writer takes nothing, and says so", async () => {
    const closed = kafkaLogWriter({ connection: testConnection(), topic: topic.name });
    await closed.start();
    const under = closed.append([record("k", "under way")]);
    await closed.close();
    expect(await under).toEqual([DURABLE]);
    expect(await closed.append([record("k", "late")])).toEqual([{ durable: false, reason: "the writer is closed" }]);
  });
});

test.each([
  ["the partition, with no error", [{ topicName: "t", partition: 1, errorCode: 0 }], true],
  ["nothing", [], false],
  ["another partition", [{ topicName: "t", partition: 2, errorCode: 0 }], false],
  ["another topic", [{ topicName: "u", partition: 1, errorCode: 0 }], false],
  ["an error", [{ topicName: "t", partition: 1, errorCode: 6 }], false],
])("an answer that names %s", (_, answers, isGood) => {
  expect(isAcknowledged("t", 1, answers)).toBe(isGood);
});

test("what nobody answers for is answered after 30 s: it is not in the log, since nothing was sent", async () => {
  const clock = new ManualClock();
  const writer = kafkaLogWriter({ connection: { ...testConnection(silentLog, "127.0.0.1:1"), clock }, topic: "t" });
  const append = writer.append([record("k", "v")]);
  clock.advance(30_000);
  expect(await append).toEqual([{ durable: false, reason: "no answer within 30 s" }]);
  await writer.close();
});

test("a writer doesn't start where no broker answers", async () => {
  const nowhere = testConnection(silentLog, "127.0.0.1:1");
  const writer = kafkaLogWriter({ connection: nowhere, topic: "t" });
  await expect(writer.start()).rejects.toMatchObject({ code: "log.unavailable" });
});
