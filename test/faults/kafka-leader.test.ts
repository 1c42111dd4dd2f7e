/**
 * Three brokers, and the leader of partitions is killed while records are appended: every record that was acknowledged
 * is read back. The same harness, given kafkajs' plain send over several partitions, sees acknowledged records lost:
 * what the adapter's one partition a send is there for (kafkajs issue 1303).
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kafkaLogReader } from "../../src/adapters/kafka/log-reader.ts";
import { kafkaLogWriter } from "../../src/adapters/kafka/log-writer.ts";
import { withAdmin } from "../../src/adapters/kafka/topic-configs.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { Received, record } from "../contracts/received.ts";
import { FaultBed, SHORT_SESSIONS } from "../support/fault-bed.ts";
import { recordFault } from "../support/fault-table.ts";
import { ownTopic, plainKafka, testConnection } from "../support/kafka-topic.ts";
import type { KafkaCluster } from "../support/services/servers.ts";
import { ownKafka, ownMongodb, startKafkaCluster, startMongodb } from "../support/services/services.ts";
import { PLENTY, STEADY, settled } from "../support/trial.ts";
import { eventually, within } from "../support/within.ts";

const NODES = [1, 2, 3] as const;
const PARTITIONS = 6;
/** Records a call, and calls under way at once. */
const CALL = 30;
const CALLS = 8;
const RECORDS_BEFORE = 1_500;
const RECORDS_AFTER = 3_000;
/** The loss is a matter of chance; in each of the first six runs it was there at the first kill (40 to 96 records). */
const KILLS_AT_MOST = 5;

/** Appends texts, and answers which were acknowledged. */
type Append = (texts: readonly string[]) => Promise<readonly string[]>;

let cluster: KafkaCluster;
const ofCluster = () => testConnection(silentLog, cluster.brokers);

/** The broker that leads most partitions of the topic. */
function leaderOf(topic: string): Promise<number> {
  return withAdmin(ofCluster(), async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const led = topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader));
    const count = (node: number) => led.filter((leader) => leader === node).length;
    return NODES.reduce((most: number, node) => (count(node) > count(most) ? node : most), 1);
  });
}

/** All replicas are in sync and every broker is up: the next kill finds the cluster whole. */
function whole(topic: string): Promise<true> {
  return eventually(30_000, "a whole cluster", () =>
    withAdmin(ofCluster(), async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const inSync = topics.flatMap(({ partitions }) => partitions.map(({ isr }) => isr.length));
      return inSync.length > 0 && inSync.every((replicas) => replicas === NODES.length) ? (true as const) : undefined;
    }).catch(() => undefined),
  );
}

/** Appends at full speed around the kill of a leader; answers what was acknowledged. */
async function appendAroundKill(topic: string, append: Append, name: string): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  let next = 0;
  let end = Number.POSITIVE_INFINITY;
  const calls = Array.from({ length: CALLS }, async () => {
    while (acknowledged.length < end) {
      const texts = Array.from({ length: CALL }, () => `${name}.${next++}`);
      acknowledged.push(...(await append(texts)));
    }
  });
  const node = await leaderOf(topic);
  await eventually(30_000, "records before the kill", () => acknowledged.length >= RECORDS_BEFORE || undefined);
  await cluster.kill(node);
  end = acknowledged.length + RECORDS_AFTER;
  await Promise.all(calls);
  await cluster.restart(node);
  await whole(topic);
  return acknowledged;
}

/** Those of the acknowledged that a new group doesn't find, read behind a last record of each partition. */
async function lost(topic: string, acknowledged: readonly string[]): Promise<readonly string[]> {
  const reader = kafkaLogReader({ connection: ofCluster(), topics: [topic], group: `${topic}-${acknowledged.length}` });
  const got = new Received();
  const ends = await withAdmin(ofCluster(), (admin) => admin.fetchTopicOffsets(topic));
  await reader.start(got);
  const isRead = () =>
    ends.every(
      ({ partition, high }) =>
        Number(high) === 0 || got.positions.some((at) => at.partition === partition && at.offset >= Number(high)),
    );
  await within(20_000, "all records", got.until(isRead));
  await reader.stop();
  const found = new Set(got.texts);
  return acknowledged.filter((text) => !found.has(text));
}

const pass = (text: string) => `pass-${text.split(".").at(-1)}`;

describe.skipIf(!ownKafka.present)(ownKafka.title("a partition's leader is killed"), () => {
  beforeAll(async () => {
    cluster = await startKafkaCluster({ nodes: 3, overrides: SHORT_SESSIONS });
  }, 60_000);
  afterAll(() => cluster.stop());

  const newTopic = () => ownTopic({ partitions: PARTITIONS, replication: 3, brokers: cluster.brokers });

  test("no record is lost that the writer has acknowledged, and a reader in the middle of it gets them all", async () => {
    const topic = await newTopic();
    const connection = ofCluster();
    const writer = kafkaLogWriter({ connection, topic: topic.name });
    const reader = kafkaLogReader({ connection, topics: [topic.name], group: topic.name });
    const got = new Received();
    await writer.start();
    await reader.start(got);
    const append: Append = async (texts) => {
      const results = await writer.append(texts.map((text) => record(pass(text), text)));
      return texts.filter((_, index) => results[index]?.durable);
    };
    const acknowledged = await appendAroundKill(topic.name, append, "ours");
    expect(acknowledged.length).toBeGreaterThan(RECORDS_BEFORE + RECORDS_AFTER);
    expect(await lost(topic.name, acknowledged)).toEqual([]);
    const all = new Set(acknowledged);
    const isThere = () => new Set(got.texts.filter((text) => all.has(text))).size === all.size;
    await within(30_000, "all that was acknowledged", got.until(isThere));
    expect(got.mistakes).toEqual([]);
    const again = got.texts.length - new Set(got.texts).size;
    console.log(`our writer: 0 of ${acknowledged.length} acknowledged lost, ${again} read again by the reader beside`);
    await writer.close();
    await reader.stop();
  }, 120_000);

  test("kafkajs' plain send over several partitions loses some: the harness would see it", async () => {
    const topic = await newTopic();
    const producer = plainKafka(cluster.brokers).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    const append: Append = async (texts) => {
      const messages = texts.map((text) => ({ key: pass(text), value: text }));
      return producer.send({ topic: topic.name, acks: -1, messages }).then(
        () => texts,
        () => [],
      );
    };
    let gone: readonly string[] = [];
    let kills = 0;
    let acknowledged: readonly string[] = [];
    while (gone.length === 0 && kills < KILLS_AT_MOST) {
      kills += 1;
      acknowledged = await appendAroundKill(topic.name, append, `plain-${kills}`);
      gone = await lost(topic.name, acknowledged);
    }
    console.log(`plain send: ${gone.length} of ${acknowledged.length} acknowledged lost, at kill ${kills}`);
    await producer.disconnect();
    expect(gone.length).toBeGreaterThan(0);
  }, 180_000);

  test.skipIf(!ownMongodb.present)(
    ownMongodb.title("a whole passbus goes on with the two that are left"),
    async ({ task }) => {
      await using mongodb = await startMongodb();
      await using bed = await FaultBed.start({ kafka: cluster, mongodb, workers: 2 });
      await using trial = await bed.trial();
      const publisher = trial.publish(PLENTY, STEADY);
      publisher.expectRefusals();
      await trial.until(publisher.whenAccepted(40));
      publisher.hurry(20);
      await trial.until(publisher.whenAccepted(publisher.accepted.size + 20));
      const node = await leaderOf(bed.deployment.topic);
      await cluster.kill(node);
      const atMs = Date.now();
      await trial.until(publisher.whenAccepted(publisher.accepted.size + 100));
      await cluster.restart(node);
      await whole(bed.deployment.topic);
      publisher.enough();
      const verdict = await settled(trial);
      const asked = [...publisher.accepted.values()].filter(({ askedAtMs }) => askedAtMs <= atMs);
      const row = verdict.row(
        "kill -9 of one broker of three",
        atMs,
        asked.map(({ eventId }) => eventId),
      );
      expect(row.recoveredMs).toBeLessThan(30_000);
      recordFault(task, row);
    },
    120_000,
  );

  test("with every broker gone a reader says so, and ends the process or waits, as it was told", async () => {
    const topic = await newTopic();
    const connection = ofCluster();
    const writer = kafkaLogWriter({ connection, topic: topic.name });
    await writer.start();
    const read = async (group: string, outageLimitMs: number) => {
      const reader = kafkaLogReader({
        connection,
        topics: [topic.name],
        group,
        sessionTimeoutMs: 6_000,
        outageLimitMs,
      });
      const got = new Received();
      await reader.start(got);
      return { reader, got };
    };
    const hasty = await read(`${topic.name}-hasty`, 3_000);
    const patient = await read(`${topic.name}-patient`, 90_000);
    await writer.append([record("k", "before")]);
    await within(20_000, "the first record", Promise.all([hasty.got.count(1), patient.got.count(1)]));
    const [place] = patient.got.positions;
    if (place === undefined) throw new Error("nothing was read");
    await patient.reader.commit(patient.got.positions);
    await Promise.all(NODES.map((node) => cluster.kill(node)));
    const error = await within(30_000, "the end of the hasty one", hasty.reader.failed);
    expect(error).toMatchObject({ code: "log.unavailable" });
    expect(hasty.got.live.size).toBe(0);
    expect([patient.reader.isFresh(place), patient.got.live.size]).toEqual([false, 0]);
    expect(patient.reader.problem()).toContain("isn't joined");
    await Promise.all(NODES.map((node) => cluster.restart(node)));
    const backMs = performance.now();
    expect(await writer.append([record("k", "after")])).toEqual([{ durable: true }]);
    await within(40_000, "what was appended after", patient.got.count(2));
    console.log(`with brokers back, read again after ${((performance.now() - backMs) / 1_000).toFixed(1)} s`);
    expect(patient.got.texts).toEqual(["before", "after"]);
    expect([...patient.got.mistakes, patient.reader.problem()]).toEqual([undefined]);
    await hasty.reader.stop();
    await patient.reader.stop();
    await writer.close();
  }, 120_000);
});
