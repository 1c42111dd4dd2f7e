/**
 * The servers are there, and the way to them is not, or is bad: what the proxies do to it, under load. No worker dies, so
 * nothing may be repeated but what another worker took over.
 */
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { Producer } from "kafkajs";
import { expect } from "vitest";
import { PassEventSchema, type PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import type { DeadReason } from "../../../src/intake/dead-letters.ts";
import type { FaultBed } from "../../support/fault-bed.ts";
import type { FaultMode, FaultProxy } from "../../support/fault-proxy.ts";
import type { FaultRow } from "../../support/fault-table.ts";
import { plainKafka } from "../../support/kafka-topic.ts";
import { type NewEvent, passIdOf } from "../../support/paced-publisher.ts";
import { HEALTHY, PLENTY, STEADY, settled, until } from "../../support/trial.ts";
import { eventually } from "../../support/within.ts";

/** From the way's mending until all that was asked for before is through. */
const BACK_LIMIT_MS = 30_000;
/** Accepted after the fault, too. */
const AFTER = 20;

export interface Cut {
  readonly row: string;
  readonly proxy: FaultProxy;
  readonly mode: FaultMode;
  readonly forMs: number;
  /** Publish may be answered UNAVAILABLE. */
  readonly isLog?: true;
  /** Once a second the mode is set anew. */
  readonly isRepeated?: true;
}

export async function cut(bed: FaultBed, { row: name, proxy, mode, forMs, isLog, isRepeated }: Cut): Promise<FaultRow> {
  await using trial = await bed.trial();
  const publisher = trial.publish(PLENTY, STEADY);
  if (isLog) publisher.expectRefusals();
  await trial.until(publisher.whenAccepted(AFTER));
  publisher.hurry(10);
  const fromMs = Date.now();
  try {
    do {
      await proxy.set(mode);
      if (isRepeated) await proxy.pass();
      await until(Math.min(fromMs + forMs, Date.now() + (isRepeated ? 1_000 : forMs)), "the end of the fault");
    } while (Date.now() < fromMs + forMs);
  } finally {
    await proxy.pass();
  }
  const backMs = Date.now();
  await bed.restartEnded();
  await trial.until(publisher.whenAccepted(publisher.accepted.size + AFTER));
  publisher.enough();
  const verdict = await settled(trial);
  const before = [...publisher.accepted.values()].filter(({ askedAtMs }) => askedAtMs <= backMs);
  const row = verdict.row(
    name,
    backMs,
    before.map(({ eventId }) => eventId),
  );
  expect(row.repeated).toBeLessThanOrEqual(row.repeatBound);
  expect(row.recoveredMs).toBeLessThan(BACK_LIMIT_MS);
  return row;
}

interface Poison {
  readonly reason: DeadReason;
  readonly value: Buffer;
  readonly type: string;
}

const JSON_TYPE = "application/json";
const PROTOBUF_TYPE = "application/x-protobuf";
const POISONS: readonly Poison[] = [
  { reason: "event.unreadable", value: Buffer.from([0xff, 0xfe, 0x00, 0x13, 0x37]), type: PROTOBUF_TYPE },
  { reason: "event.unreadable", value: Buffer.from('{"type":"PASS_EVENT_TYPE_EXPLODED"}'), type: JSON_TYPE },
  {
    reason: "event.invalid",
    value: Buffer.from(
      toBinary(
        PassEventSchema,
        create(PassEventSchema, { id: "poison", type: 99 as PassEventType, pass: { id: "p" } }),
      ),
    ),
    type: PROTOBUF_TYPE,
  },
  { reason: "event.empty", value: Buffer.alloc(0), type: JSON_TYPE },
];
const POISON_ROUNDS = 40;
/** Nine of ten records are good. */
const GOOD_A_ROUND = 9;

const textOf = (event: NewEvent): Buffer => Buffer.from(toJsonString(PassEventSchema, create(PassEventSchema, event)));

/** One poison among good ones, in one call. */
async function sendRound(producer: Producer, topic: string, at: number, good: readonly NewEvent[]): Promise<void> {
  const poison = POISONS[at % POISONS.length];
  if (poison === undefined) throw new Error("there is no poison");
  const messages = good.map((event) => ({ key: passIdOf(event), value: textOf(event), type: JSON_TYPE }));
  messages.splice(at % GOOD_A_ROUND, 0, { key: poisonKey(at), value: poison.value, type: poison.type });
  await producer.send({
    topic,
    acks: -1,
    messages: messages.map(({ key, value, type }) => ({ key, value, headers: { "content-type": type } })),
  });
}

const poisonKey = (at: number) => `poison-${at}`;

export async function poisoned(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  const { topic } = bed.deployment;
  const producer = plainKafka(bed.brokers).producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const publisher = trial.publish(PLENTY, STEADY);
  const fromMs = Date.now();
  for (let at = 0; at < POISON_ROUNDS; at++) {
    const good = trial.next(GOOD_A_ROUND);
    await sendRound(producer, topic, at, good);
    trial.accept(good);
    await until(fromMs + at * 50, "the next round");
  }
  publisher.enough();
  const untilMs = Date.now();
  await producer.disconnect();
  const verdict = await settled(trial);
  const letters = await eventually(10_000, "every dead letter", async () => {
    const { deadLetters } = await bed.api.api.events.listDeadLetters({ pageSize: 500 });
    const keys = deadLetters.map(({ key, reason }) => [Buffer.from(key).toString(), reason] as const);
    const found = keys.filter(([key]) => key.startsWith("poison-"));
    return found.length >= POISON_ROUNDS ? found : undefined;
  });
  const expected = Array.from({ length: POISON_ROUNDS }, (_, at) => [
    poisonKey(at),
    POISONS[at % POISONS.length]?.reason,
  ]);
  expect([...letters].sort()).toEqual(expected.sort());
  const row = verdict.row(
    `poison records, ${POISON_ROUNDS} of ${POISON_ROUNDS * (GOOD_A_ROUND + 1)} from Kafka`,
    untilMs,
  );
  expect(row).toMatchObject({ delivered: row.accepted * HEALTHY, repeated: 0, repeatBound: 0 });
  return row;
}
