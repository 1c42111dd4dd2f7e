/**
 * Records that can't become events, among good ones, from kcat: the good ones are delivered, the bad ones are kept as they
 * came with what was wrong, the partitions go on, and one whose cause was mended is sent again.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { DeadReason } from "../../src/intake/dead-letters.ts";
import { CHILD_ENV } from "../support/child-env.ts";
import { Deployment } from "../support/distributed.ts";
import { judge, subscribe } from "../support/endpoints.ts";
import { type CodecName, type KcatRecord, kcatSend } from "../support/kcat.ts";
import { type NewEvent, numberedEvents, passIdOf } from "../support/paced-publisher.ts";
import { BOOTSTRAP_KEY } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, kcat, mongodb, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";
import { readTopic, type TopicRecord } from "../support/topic-contents.ts";
import { eventually } from "../support/within.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const PARTITIONS = 6;
/** What a topic takes that nobody has set otherwise: of a batch, as it is compressed. */
const BROKER_LIMIT_BYTES = 1_048_588;
/** How much of a value the store keeps. */
const KEPT_BYTES = 1_048_576;

interface Poison {
  readonly name: string;
  readonly reason: DeadReason;
  readonly value: Uint8Array;
  /** Of the record; without any it shares a batch with good ones. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly codec?: CodecName;
  readonly args?: readonly string[];
  /** The topic keeps its beginning alone. */
  readonly isCutInTopic?: true;
  /** The store too, so that it can't be sent again. */
  readonly isCutInStore?: true;
}

const json = (event: NewEvent) => Buffer.from(toJsonString(PassEventSchema, create(PassEventSchema, event)));
const binary = (event: NewEvent) => toBinary(PassEventSchema, create(PassEventSchema, event));

/** An event of nobody's, with no id, padded to a size in bytes. */
function sized(bytes: number): Uint8Array {
  const around = { type: "PASS_EVENT_TYPE_CREATED", pass: { id: "poison", recordData: { padding: "" } } };
  const padding = "x".repeat(bytes - JSON.stringify(around).length);
  return Buffer.from(JSON.stringify({ ...around, pass: { ...around.pass, recordData: { padding } } }));
}

const event: NewEvent = { id: "poison", type: PassEventType.CREATED, pass: { id: "poison", classId: "class-1" } };
const largeArgs = ["-X", "message.max.bytes=4000000"];

const POISONS: readonly Poison[] = [
  { name: "garbage", reason: "event.unreadable", value: Buffer.from([0xff, 0xfe, 0x00, 0x13, 0x37]) },
  { name: "truncated protobuf", reason: "event.unreadable", value: binary(event).subarray(0, -3) },
  {
    name: "unknown enum in JSON",
    reason: "event.unreadable",
    value: Buffer.from('{"type":"PASS_EVENT_TYPE_EXPLODED","pass":{"id":"poison"}}'),
  },
  { name: "unknown enum in protobuf", reason: "event.invalid", value: binary({ ...event, type: 99 as PassEventType }) },
  { name: "empty value", reason: "event.empty", value: Buffer.alloc(0) },
  { name: "tombstone", reason: "event.empty", value: Buffer.alloc(0), args: ["-Z"] },
  { name: "too large", reason: "limit.event_bytes", value: sized(300 * 1_024) },
  {
    name: "as large as the broker takes",
    reason: "limit.event_bytes",
    value: sized(BROKER_LIMIT_BYTES - 300),
    args: largeArgs,
    isCutInTopic: true,
  },
  {
    name: "larger than the broker takes, but for its compression",
    reason: "limit.event_bytes",
    value: sized(3_000_000),
    codec: "zstd",
    args: largeArgs,
    isCutInTopic: true,
    isCutInStore: true,
  },
  {
    name: "another tenant's",
    reason: "tenant.forbidden",
    value: json({ id: "globex-event", type: PassEventType.CREATED, pass: { id: "globex-pass", classId: "class-1" } }),
    headers: { "organisation-id": "globex", "content-type": "application/json" },
  },
  {
    name: "an event's id with other content",
    reason: "event.conflict",
    value: Buffer.from('{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"poison"}}'),
    headers: { "event-id": "class-1-event-00000" },
  },
];

const GOOD = numberedEvents(POISONS.length * 2);
const goodRecord = (of: NewEvent): KcatRecord => ({ key: passIdOf(of), value: json(of) });
/** The record's key, so that it is found again wherever it is. */
const keyOf = ({ name }: Poison) => `key of ${name}`;
/** What a producer of its own mind adds. */
const COMMON = { "x-source": "legacy: 1=2" };

/** A good record, the poison and another good one, all in one partition. */
async function sendAmongGood(topic: string, poison: Poison, at: number): Promise<void> {
  const { codec = "lz4", headers, args = [] } = poison;
  // Long enough for one batch; the conflict is in the partition of the event that was there first.
  const partition = headers?.["event-id"] === undefined ? at % PARTITIONS : 0;
  const options = { brokers: kafkaBrokers(), topic, codec, headers: COMMON };
  const onPartition = ["-p", String(partition), "-X", "linger.ms=200", ...args];
  const [before = [], after = []] = [GOOD.slice(at * 2, at * 2 + 1), GOOD.slice(at * 2 + 1, at * 2 + 2)];
  const record = { key: keyOf(poison), value: poison.value };
  const batches = [before.map(goodRecord), [record], after.map(goodRecord)];
  if (headers === undefined) return kcatSend({ ...options, args: onPartition }, batches.flat());
  for (const batch of batches) {
    const isPoison = batch.includes(record);
    await kcatSend({ ...options, args: onPartition, headers: isPoison ? { ...COMMON, ...headers } : COMMON }, batch);
  }
}

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** A command at a running passbus. */
function command(url: string, ...args: readonly string[]): Promise<Output> {
  return promisify(execFile)(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", MAIN, "dead-letters", ...args, "--url", url],
    {
      env: { ...CHILD_ENV, PASSBUS_KEY: BOOTSTRAP_KEY },
      timeout: 20_000,
      maxBuffer: 64 * 1_024 * 1_024,
    },
  );
}

/** As `--json` has it. */
interface Letter {
  readonly id: string;
  readonly reason: string;
  readonly message: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly truncated: boolean;
  readonly redrivenAt?: string;
}

/** By key. */
async function letters(url: string): Promise<ReadonlyMap<string, Letter>> {
  const { stdout } = await command(url, "list", "--json", "--limit", "500");
  const all = stdout.split("\n").filter((line) => line !== "");
  const read = all.map((line) => JSON.parse(line) as Letter);
  const byKey = new Map(read.map((letter) => [Buffer.from(letter.key, "base64").toString(), letter]));
  // A record that died twice would hide itself.
  expect(byKey.size).toBe(read.length);
  return byKey;
}

function expectListed(poison: Poison, letter: Letter | undefined, source: TopicRecord | undefined): void {
  const { name, reason, headers = {}, isCutInStore = false } = poison;
  expect(letter, name).toMatchObject({
    reason,
    message: expect.stringMatching(/./),
    partition: source?.partition,
    offset: String(source?.offset),
    headers: { ...COMMON, ...headers },
    truncated: isCutInStore,
  });
  const kept = isCutInStore ? poison.value.subarray(0, KEPT_BYTES) : poison.value;
  expect(Buffer.from(letter?.value ?? "?", "base64").equals(kept), `the value of ${name} in the list`).toBe(true);
}

function expectInDeadTopic(poison: Poison, dead: TopicRecord | undefined, source: TopicRecord | undefined): void {
  const { name, reason, headers = {}, isCutInTopic, value } = poison;
  expect(dead?.headers, name).toEqual({
    ...COMMON,
    ...headers,
    "dead-reason": reason,
    "dead-message": expect.stringMatching(/./),
    "dead-topic": expect.stringMatching(/\.events$/),
    "dead-partition": String(source?.partition),
    "dead-offset": String(source?.offset),
    "dead-timestamp": new Date(source?.timestampMs ?? 0).toISOString(),
    ...(isCutInTopic && { "dead-truncated": String(value.length) }),
  });
  if (name === "tombstone") {
    expect(dead?.value).toBeNull();
    return;
  }
  const kept = dead?.value ?? Buffer.from("?");
  if (isCutInTopic) expect(kept.length, name).toBeGreaterThan(BROKER_LIMIT_BYTES - 2_048);
  const expected = isCutInTopic ? value.subarray(0, kept.length) : value;
  expect(kept.equals(expected), `the value of ${name} in the dead letters' topic`).toBe(true);
}

/** The API with another key than the bootstrap one. */
function subscriptionsWith(url: string, key: string) {
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
  const transport = createConnectTransport({ baseUrl: url, httpVersion: "1.1", interceptors: [withKey] });
  return { subscriptions: createClient(SubscriptionService, transport) };
}

/** Resolves when the group has committed all that is in the topic. */
async function committed(deployment: Deployment, records: number): Promise<void> {
  await eventually(20_000, "the group's position at the end of the topic", async () => {
    const progress = await deployment.progress();
    return progress.end === records && progress.committed === records ? progress : undefined;
  });
}

const needed = allOf(kafka, mongodb, kcat);

describe.skipIf(!needed.present)(needed.title("poison among good records"), () => {
  test("good ones are delivered, bad ones kept with their reason, and a mended one sent again", {
    timeout: 120_000,
  }, async () => {
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });
    const { topic } = deployment;
    const ours = `${topic}=default/production`;
    await using sink = await Sink.start();
    await using strict = await deployment.start("api,worker", { PASSBUS_KAFKA_TENANTS: ours });
    const endpoint = await subscribe(strict.api, sink, "/good");
    for (const [at, poison] of POISONS.entries()) await sendAmongGood(topic, poison, at);
    const uncompressed = { brokers: kafkaBrokers(), topic, args: largeArgs };
    await expect(kcatSend(uncompressed, [{ key: "p", value: sized(3_000_000) }])).rejects.toThrow(
      "Message size too large",
    );

    await sink.reach(["/good"], GOOD.length, 20_000);
    await committed(deployment, GOOD.length + POISONS.length);
    const { missing, unexpected, forged, repeats } = judge(
      endpoint,
      await sink.receipts(),
      new Set(GOOD.map(passIdOf)),
    );
    expect({ missing, unexpected, forged, repeats }).toEqual({
      missing: [],
      unexpected: [],
      forged: [],
      repeats: [],
    });

    const sources = new Map((await readTopic(kafkaBrokers(), topic)).records.map((each) => [each.key, each]));
    const deadTopic = (await readTopic(kafkaBrokers(), deployment.deadTopic)).records;
    const inTopic = new Map(deadTopic.map((each) => [each.key, each]));
    const listed = await letters(strict.url);
    expect([...listed.keys()].sort()).toEqual(POISONS.map(keyOf).sort());
    expect(deadTopic.map(({ key }) => key).sort()).toEqual(POISONS.map(keyOf).sort());
    for (const poison of POISONS) {
      const key = keyOf(poison);
      expectListed(poison, listed.get(key), sources.get(key));
      expectInDeadTopic(poison, inTopic.get(key), sources.get(key));
    }

    const idOf = (name: string) => listed.get(`key of ${name}`)?.id ?? "none";
    const cut = POISONS.find(({ isCutInStore }) => isCutInStore)?.name ?? "";
    await expect(command(strict.url, "redrive", idOf(cut))).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("was cut"),
    });
    expect((await strict.end("SIGTERM")).code).toBe(0);

    const key = (await deployment.command("keys", "create", "--organisation", "globex", "--role", "admin")).trim();
    const bindings = `${ours},${topic}=globex/production`;
    await using mended = await deployment.start("api,worker", { PASSBUS_KAFKA_TENANTS: bindings });
    await subscribe(subscriptionsWith(mended.url, key), sink, "/globex");
    const forbidden = idOf("another tenant's");
    expect(await command(mended.url, "redrive", forbidden)).toEqual({
      stdout: "",
      stderr: "sent 1 dead letter again\n",
    });
    const [receipt] = await sink.requests("/globex", 1, 20_000);
    expect(receipt).toMatchObject({ passId: "globex-pass", verifiedBy: [0] });
    await committed(deployment, GOOD.length + POISONS.length + 1);
    const after = await letters(mended.url);
    expect(after.size).toBe(POISONS.length);
    const redriven = [...after.values()].filter(({ redrivenAt }) => redrivenAt !== undefined);
    expect(redriven.map(({ id }) => id)).toEqual([forbidden]);
    expect((await sink.receiptsAt("/good")).length).toBe(GOOD.length);
    expect((await mended.end("SIGTERM")).code).toBe(0);
  });
});
