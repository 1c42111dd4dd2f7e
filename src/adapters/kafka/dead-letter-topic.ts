import type { IHeaders } from "kafkajs";
import { type DeadLetter, type DeadLetterSink, letterBytes } from "../../intake/dead-letters.ts";
import { type BatchLimits, batchesOf } from "../../kernel/batch.ts";
import { CodedError } from "../../kernel/errors.ts";
import type { Connected, KafkaConnection } from "./kafka.ts";
import { bufferOf, KafkaWriter } from "./log-writer.ts";
import { topicConfigs } from "./topic-configs.ts";
import type { Outgoing, WriteResult } from "./topic-writer.ts";

export interface KafkaDeadLetterTopicOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
}

/** Putting a letter twice leaves it twice, both with the place it came from. */
export function kafkaDeadLetterTopic({ connection, topic }: KafkaDeadLetterTopicOptions): DeadLetterSink & Connected {
  return new DeadLetterTopic(connection, topic);
}

/** What a topic takes if nobody has set anything else: Kafka's default of max.message.bytes. */
const USUAL_MAX_BYTES = 1_048_588;
/** Of a batch of one record, beside its key, value and headers (Kafka's record batch: 61 bytes and some lengths). */
const FRAME_BYTES = 160;
/** Of a header, beside its name and value. */
const HEADER_BYTES = 12;
/** Of a key that is cut. */
const KEPT_KEY_BYTES = 1_024;
/** What is written at once: well under what a topic's writer lets wait, beyond which it refuses all. */
const WRITTEN_TOGETHER: BatchLimits<DeadLetter> = { maxItems: 500, maxBytes: 8 * 1024 * 1024, bytesOf: letterBytes };
/** What is smaller than this after all cuts, and still refused, is refused for another reason. */
const SMALLEST_BYTES = 4_096;

/**
 * Puts dead letters into a topic: key, value and headers as they came, and `dead-…` headers that say where from and
 * why. What is too large for the topic is cut, the value first, then the original headers, then the key, and says so
 * (`dead-truncated`: the value's length before). A letter that is put again is there twice, with the same place: what
 * reads the topic knows it by that.
 */
export class DeadLetterTopic implements DeadLetterSink {
  readonly #connection: KafkaConnection;
  readonly #topic: string;
  readonly #writer: KafkaWriter;
  #maxBytes: number | undefined;

  constructor(connection: KafkaConnection, topic: string) {
    this.#connection = connection;
    this.#topic = topic;
    this.#writer = new KafkaWriter(connection, topic);
  }

  /** @throws CodedError `log.unavailable` where no broker answers. */
  start(): Promise<void> {
    return this.#writer.start();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  /** @throws CodedError `log.unavailable` where not all are durable; those that are need not be put again, and may be. */
  async put(letters: readonly DeadLetter[]): Promise<void> {
    for (const batch of batchesOf(letters, WRITTEN_TOGETHER)) await this.#write(batch);
  }

  async #write(letters: readonly DeadLetter[]): Promise<void> {
    let maxBytes = await this.#limit();
    let open = letters;
    while (open.length > 0) {
      const results = await this.#writer.write(open.map((letter) => [this.#topic, deadRecord(letter, maxBytes)]));
      const lost = results.find((result) => !result.durable && (result.tooLarge !== true || maxBytes < SMALLEST_BYTES));
      if (lost !== undefined) throw new CodedError("log.unavailable", `dead letters were not taken: ${reasonOf(lost)}`);
      open = open.filter((_, index) => results[index]?.durable === false);
      // The topic takes less than it said, or than was thought.
      maxBytes = Math.floor(maxBytes / 2);
      if (open.length > 0) this.#maxBytes = maxBytes;
    }
  }

  async #limit(): Promise<number> {
    if (this.#maxBytes === undefined) {
      const configs = await topicConfigs(this.#connection, [this.#topic], ["max.message.bytes"]);
      const told = Number(configs.get(this.#topic)?.get("max.message.bytes"));
      if (!Number.isInteger(told)) return USUAL_MAX_BYTES;
      this.#maxBytes = told;
    }
    return this.#maxBytes;
  }
}

const reasonOf = (result: WriteResult): string => (result.durable ? "" : result.reason);

/** The letter as a record whose batch is no larger than `maxBytes`, as far as cutting goes. */
export function deadRecord(letter: DeadLetter, maxBytes: number): Outgoing {
  const { record } = letter;
  const key = record.key === null ? null : bufferOf(record.key);
  const value = record.value === null ? null : bufferOf(record.value);
  const original = originalHeaders(letter);
  const reasons = deadHeaders(letter);
  const fixed = FRAME_BYTES + headerBytes(reasons) + HEADER_BYTES * 2;
  const room = maxBytes - fixed - (key?.length ?? 0) - headerBytes(original);
  if ((value?.length ?? 0) <= room) return { key, value, headers: { ...original, ...reasons } };
  const cut = { ...reasons, "dead-truncated": String(value?.length ?? 0) };
  if (room >= 0) return { key, value: value?.subarray(0, room) ?? null, headers: { ...original, ...cut } };
  const headers = { ...cut, "dead-headers-dropped": String(Object.keys(original).length) };
  return { key: key?.subarray(0, KEPT_KEY_BYTES) ?? null, value: value && Buffer.alloc(0), headers };
}

function deadHeaders({ record, reason, message }: DeadLetter): Readonly<Record<string, string>> {
  return {
    "dead-reason": reason,
    "dead-message": message.slice(0, 1_000),
    "dead-topic": record.topic,
    "dead-partition": String(record.partition),
    "dead-offset": String(record.offset),
    "dead-timestamp": timeText(record.appendedAtMs),
  };
}

/** RFC 3339; the number alone where a producer gave a time that no calendar has. */
function timeText(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? String(ms) : time.toISOString();
}

/** A letter that was dead before, and was sent again, has new reasons. */
function originalHeaders({ record }: DeadLetter): IHeaders {
  if (record.rawHeaders === undefined) return { ...record.headers };
  const headers = new Map<string, Buffer[]>();
  for (const [name, value] of record.rawHeaders) {
    const before = headers.get(name) ?? [];
    headers.set(name, [...before, bufferOf(value)]);
  }
  return Object.fromEntries(headers);
}

function headerBytes(headers: IHeaders): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    for (const each of Array.isArray(value) ? value : [value ?? ""]) {
      bytes += HEADER_BYTES + Buffer.byteLength(name) + Buffer.byteLength(each);
    }
  }
  return bytes;
}
