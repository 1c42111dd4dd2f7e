import type { Admin } from "kafkajs";
import type { AppendResult, LogWriter, NewRecord } from "../../intake/event-log.ts";
import { unavailable } from "./failure.ts";
import { type Connected, type KafkaConnection, retryTimes } from "./kafka.ts";
import { type Outgoing, TopicWriter, type WriteResult } from "./topic-writer.ts";

export interface KafkaLogWriterOptions {
  readonly connection: KafkaConnection;
  /** Where records go that name no topic. */
  readonly topic: string;
}

/** Each record is answered within 30 s; a reason that begins with "unknown: " leaves open whether it is in the log. */
export function kafkaLogWriter({ connection, topic }: KafkaLogWriterOptions): LogWriter & Connected {
  return new KafkaWriter(connection, topic);
}

/** Writes to any topic; each has a producer of its own, since one that is missing keeps kafkajs' from all others. */
export class KafkaWriter implements LogWriter {
  readonly #connection: KafkaConnection;
  readonly #ownTopic: string;
  readonly #admin: Admin;
  readonly #topics = new Map<string, TopicWriter>();
  #isClosed = false;

  constructor(connection: KafkaConnection, ownTopic: string) {
    this.#connection = connection;
    this.#ownTopic = ownTopic;
    this.#admin = connection.client(1).admin({ retry: retryTimes(1) });
  }

  /** @throws CodedError `log.unavailable` where no broker answers, or it lets nobody in. */
  async start(): Promise<void> {
    try {
      await this.#admin.connect();
    } catch (error) {
      await this.#admin.disconnect();
      throw unavailable("Kafka does not answer", error);
    }
  }

  /** What is under way is answered first; nothing more is taken. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#topics.values()].map((topic) => topic.close()));
    await this.#admin.disconnect();
  }

  async append(records: readonly NewRecord[]): Promise<readonly AppendResult[]> {
    return this.write(records.map((record) => [record.topic ?? this.#ownTopic, outgoing(record)]));
  }

  /** Results in the order asked. Never rejects for a record. */
  async write(records: ReadonlyArray<readonly [topic: string, Outgoing]>): Promise<readonly WriteResult[]> {
    const [first] = records;
    if (first === undefined) return [];
    if (this.#isClosed) return records.map(() => ({ durable: false, reason: "the writer is closed" }));
    if (records.every(([topic]) => topic === first[0])) {
      return this.#topic(first[0]).append(records.map(([, record]) => record));
    }
    const byTopic = Map.groupBy(records.entries(), ([, [topic]]) => topic);
    const results: WriteResult[] = [];
    await Promise.all(
      [...byTopic].map(async ([topic, entries]) => {
        const ofTopic = await this.#topic(topic).append(entries.map(([, [, record]]) => record));
        for (const [index, [place]] of entries.entries()) {
          results[place] = ofTopic[index] ?? { durable: false, reason: "it was not answered" };
        }
      }),
    );
    return results;
  }

  #topic(name: string): TopicWriter {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new TopicWriter(this.#connection, name, (asked) => this.#countPartitions(asked));
      this.#topics.set(name, topic);
    }
    return topic;
  }

  async #countPartitions(topic: string): Promise<number> {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] });
    return topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
  }
}

function outgoing({ key, value, headers }: NewRecord): Outgoing {
  return { key: key === null ? null : bufferOf(key), value: bufferOf(value), headers };
}

/** A view, not a copy. */
export function bufferOf(bytes: string | Uint8Array): Buffer {
  if (typeof bytes === "string") return Buffer.from(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
