/**
 * The distributed deployment under a foreign producer: kcat writes to Kafka in every codec, MongoDB keeps the work, and
 * two bad endpoints among twenty cost the other eighteen nothing. 3,000 events; `npm run test:long`: 20,000.
 */
import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { STATUSES } from "../../src/adapters/mongodb/documents.ts";
import { Deployment } from "../support/distributed.ts";
import {
  DEAD_URL,
  type Endpoint,
  judge,
  subscribe,
  subscribeElsewhere,
  subscribeHealthy,
  type Verdict,
} from "../support/endpoints.ts";
import { eventCount } from "../support/event-count.ts";
import { percentile, printTable } from "../support/figures.ts";
import { CODECS, type CodecName, KcatProducer, type KcatRecord } from "../support/kcat.ts";
import { type NewEvent, numberedEvents, passIdOf } from "../support/paced-publisher.ts";
import type { RunningPassbus } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, kcat, mongodb, mongodbIsSlow, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";
import { readTopic, type TopicContents } from "../support/topic-contents.ts";
import { eventually } from "../support/within.ts";

/** On a store too slow for the pace, the smaller form: everything must arrive, and when is not judged. */
const IS_TIMED = !mongodbIsSlow();
const EVENTS = IS_TIMED ? eventCount(3_000) : 200;
/** Of the round without bad endpoints, which is there to compare with. */
const EVENTS_ALONE = EVENTS / 5;
/** 125 events a second, 1,125 webhooks a second to the healthy ones. */
const PACE = { batch: 10, everyMs: 80 };
const EVENTS_PER_SECOND = (PACE.batch * 1_000) / PACE.everyMs;
/** Batches of some ten records, as a producer with more to say has them. */
const LINGER = ["-X", "linger.ms=300"];
/** Two entities with ten subscriptions each, which is the limit of a scope; one of each entity's is bad. */
const ENTITIES = 2;
const HEALTHY = 9;
/** What the hanging endpoint's attempts take; whoever waited for one of them would wait as long. */
const HANG_MS = 15_000;
/** For what comes after the last event was produced. */
const LIMIT_MS = 30_000;

/** What a codec's events are written as, half of them each. */
const FORMATS = [
  {
    headers: { "content-type": "application/json", "organisation-id": "default", environment: "production" },
    value: (event: NewEvent) => Buffer.from(toJsonString(PassEventSchema, create(PassEventSchema, event))),
  },
  {
    headers: { "content-type": "application/x-protobuf", "organisation-id": "default" },
    value: (event: NewEvent) => toBinary(PassEventSchema, create(PassEventSchema, event)),
  },
] as const;

interface Entity {
  readonly name: string;
  readonly events: readonly NewEvent[];
}

/** What one kcat sends. */
interface Consignment {
  readonly codec: CodecName;
  readonly headers: Readonly<Record<string, string>>;
  readonly records: readonly KcatRecord[];
}

interface Stage {
  readonly deployment: Deployment;
  readonly passbus: RunningPassbus;
  readonly sink: Sink;
}

interface Round {
  readonly consignments: readonly Consignment[];
  readonly verdicts: readonly Verdict[];
  /** By pass: when its event was first at a healthy endpoint. */
  readonly firstAtMs: readonly (readonly [string, number])[];
  /** From the last event's being with the broker until all offsets were committed. */
  readonly positionMs: number;
}

function entitiesOf(round: string, events: number): readonly Entity[] {
  const names = Array.from({ length: ENTITIES }, (_, at) => `${round}-${at + 1}`);
  return names.map((name) => ({ name, events: numberedEvents(events / ENTITIES, name) }));
}

/** The entities take turns; each codec and each format has its share, one after the other. */
function consignmentsOf(entities: readonly Entity[]): readonly Consignment[] {
  const [first] = entities;
  const mixed = (first?.events ?? []).flatMap((_, at) => entities.flatMap(({ events }) => events.slice(at, at + 1)));
  const kinds = CODECS.flatMap((codec) => FORMATS.map((format) => ({ codec, ...format })));
  const share = mixed.length / kinds.length;
  return kinds.map(({ codec, headers, value }, at) => ({
    codec,
    headers,
    records: mixed.slice(at * share, (at + 1) * share).map((event) => ({ key: passIdOf(event), value: value(event) })),
  }));
}

/** At the pace; when the last kcat has ended, everything is with the broker. */
async function produce(topic: string, consignments: readonly Consignment[]): Promise<void> {
  let nextMs = performance.now();
  for (const { codec, headers, records } of consignments) {
    await using producer = new KcatProducer({ brokers: kafkaBrokers(), topic, codec, headers, args: LINGER });
    for (let from = 0; from < records.length; from += PACE.batch) {
      await producer.send(records.slice(from, from + PACE.batch));
      nextMs += PACE.everyMs;
      await delay(Math.max(0, nextMs - performance.now()));
    }
    await producer.end();
  }
}

/** Produces everything and waits until the healthy endpoints and the group's position are through. */
async function run({ deployment, passbus, sink }: Stage, entities: readonly Entity[]): Promise<Round> {
  const healthy: { readonly entity: Entity; readonly endpoint: Endpoint }[] = [];
  for (const entity of entities) {
    const draft = { entityId: entity.name };
    const endpoints = await subscribeHealthy(passbus.api, sink, `/${entity.name}`, HEALTHY, draft);
    healthy.push(...endpoints.map((endpoint) => ({ entity, endpoint })));
  }
  const consignments = consignmentsOf(entities);
  await produce(deployment.topic, consignments);
  const producedAtMs = performance.now();
  const paths = healthy.map(({ endpoint }) => endpoint.path);
  const reached = sink.reach(paths, entities[0]?.events.length ?? 0, LIMIT_MS);
  const isThrough = async () => {
    const { committed, end } = await deployment.progress();
    return committed === end ? true : undefined;
  };
  const positionMs = eventually(LIMIT_MS, "the group's position at the end of the topic", isThrough).then(
    () => performance.now() - producedAtMs,
  );
  await Promise.all([reached, positionMs]);
  const receipts = await sink.receipts();
  const verdicts = healthy.map(({ entity, endpoint }) =>
    judge(endpoint, receipts, new Set(entity.events.map(passIdOf))),
  );
  const firstAtMs = verdicts.flatMap((verdict) => [...verdict.firstAtMs]);
  return { consignments, verdicts, firstAtMs, positionMs: await positionMs };
}

/** From the broker's taking an event to its webhook at a healthy endpoint. */
function latencies({ firstAtMs }: Round, { records }: TopicContents): readonly number[] {
  const takenAtMs = new Map(records.map(({ key, timestampMs }) => [key, timestampMs]));
  return firstAtMs.map(([pass, atMs]) => atMs - (takenAtMs.get(pass) ?? Number.NaN));
}

/** Every event is there once, and what a codec's kcats sent is in batches of that codec. */
function expectCompressed({ records, compression }: TopicContents, consignments: readonly Consignment[]): void {
  expect(records.length).toBe(consignments.reduce((sum, each) => sum + each.records.length, 0));
  for (const codec of CODECS) {
    if (codec === "none") continue;
    const sent = consignments.filter((each) => each.codec === codec).flatMap((each) => each.records);
    const sentBytes = sent.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    const { bytes, compressedBytes, batches } = compression.get(codec) ?? { bytes: 0, compressedBytes: 0, batches: 0 };
    expect(batches, codec).toBeGreaterThan(0);
    expect(bytes, codec).toBeGreaterThan(sentBytes);
    expect(compressedBytes, codec).toBeLessThan(bytes / 2);
  }
}

function printCompression({ compression }: TopicContents): void {
  printTable("What the broker has", [
    ["codec", "batches", "bytes", "compressed"],
    ...[...compression].map(([codec, { batches, bytes, compressedBytes }]) => [codec, batches, bytes, compressedBytes]),
  ]);
}

/** Deliveries by status, as MongoDB has them. */
async function statusCounts({ database }: Deployment, { id }: Endpoint): Promise<Readonly<Record<string, number>>> {
  const rows = await database
    .collection("deliveries")
    .aggregate<{ readonly _id: number; readonly count: number }>([
      { $match: { lane: `default/production/${id}` } },
      { $group: { _id: "$status", count: { $sum: 1 } } },
    ])
    .toArray();
  return Object.fromEntries(rows.map(({ _id, count }) => [STATUSES[_id] ?? _id, count]));
}

function printRounds(rounds: Readonly<Record<string, readonly [Round, readonly number[]]>>): void {
  const title = `kcat at ${EVENTS_PER_SECOND} events a second, ${ENTITIES} entities (broker's time to receipt, ms)`;
  printTable(title, [
    ["", "events", "webhooks", "repeats", "p50", "p99", "max", "position at the end after"],
    ...Object.entries(rounds).map(([name, [{ consignments, verdicts, positionMs }, latenciesMs]]) => [
      name,
      consignments.reduce((sum, { records }) => sum + records.length, 0),
      latenciesMs.length,
      verdicts.reduce((sum, verdict) => sum + verdict.repeats.length, 0),
      percentile(latenciesMs, 0.5),
      percentile(latenciesMs, 0.99),
      percentile(latenciesMs, 1),
      `${Math.round(positionMs)} ms`,
    ]),
  ]);
}

function expectAllOfIt({ verdicts }: Round): void {
  expect(verdicts).toHaveLength(ENTITIES * HEALTHY);
  for (const { missing, unexpected, forged, repeats } of verdicts) {
    expect({ missing, unexpected, forged, repeats }).toEqual({ missing: [], unexpected: [], forged: [], repeats: [] });
  }
}

const needed = allOf(kafka, mongodb, kcat);

describe.skipIf(!needed.present)(needed.title("the distributed pipeline"), () => {
  test("two bad endpoints of twenty cost the others nothing, and their work waits in the store", {
    timeout: 60_000 + (EVENTS + EVENTS_ALONE) * 20,
  }, async () => {
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });
    await using sink = await Sink.start();
    await using passbus = await deployment.start("api,worker");
    const stage = { deployment, passbus, sink };
    const alone = await run(stage, entitiesOf("alone", EVENTS_ALONE));

    const entities = entitiesOf("beside", EVENTS);
    const [one, other] = entities.map(({ name }) => ({ entityId: name }));
    // The bad ones first: whatever is done in the order of subscriptions is done for them first.
    await sink.answer("/hanging", "hang");
    const dead = await subscribeElsewhere(passbus.api, DEAD_URL, one);
    const hanging = await subscribe(passbus.api, sink, "/hanging", other);
    const beside = await run(stage, entities);
    await expect(subscribe(passbus.api, sink, "/one-too-many", one)).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    for (const bad of [dead, hanging]) {
      const { waiting = 0, attempting = 0, ...others } = await statusCounts(deployment, bad);
      expect({ open: waiting + attempting, others }).toEqual({ open: EVENTS / ENTITIES, others: {} });
    }
    const topic = await readTopic(kafkaBrokers(), deployment.topic);
    const latenciesMs = { alone: latencies(alone, topic), beside: latencies(beside, topic) };
    printCompression(topic);
    printRounds({
      "healthy alone": [alone, latenciesMs.alone],
      "with one dead, one hanging": [beside, latenciesMs.beside],
    });
    expectAllOfIt(alone);
    expectAllOfIt(beside);
    expectCompressed(topic, [...alone.consignments, ...beside.consignments]);
    if (IS_TIMED) {
      expect(percentile(latenciesMs.beside, 0.99)).toBeLessThan(percentile(latenciesMs.alone, 0.99) + 1_000);
      expect(percentile(latenciesMs.beside, 1)).toBeLessThan(HANG_MS / 3);
      // After a second what hangs is spilled; the rest of the bound is for the flush, the commit and a busy machine.
      expect(beside.positionMs).toBeLessThan(HANG_MS / 3);
    }
    expect((await passbus.end("SIGTERM")).code).toBe(0);
  });
});
