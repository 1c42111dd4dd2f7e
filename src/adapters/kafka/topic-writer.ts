import type { IHeaders, Producer, RecordMetadata } from "kafkajs";
import type { AppendResult } from "../../intake/event-log.ts";
import { exponentialWait } from "../../kernel/backoff.ts";
import { type BatchLimits, firstBatch } from "../../kernel/batch.ts";
import { type Clock, sleep } from "../../kernel/clock.ts";
import {
  isFinal,
  isRefused,
  isTooLarge,
  isUncertain,
  isUnknownTopic,
  type KafkaFailure,
  missingTopic,
  readFailure,
} from "./failure.ts";
import { type KafkaConnection, REQUEST_LIMIT_MS, retryTimes } from "./kafka.ts";
import { partitionOf } from "./partitioner.ts";

/** A record on its way out. A tombstone has no value. */
export interface Outgoing {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: IHeaders;
}

export type WriteResult = AppendResult & {
  /** Kafka takes no record of this size here; a smaller one it would. */
  readonly tooLarge?: true;
};

/** How long the first record of a batch waits for others, if none of its partition is on its way. */
const LINGER_MS = 1;
/** kafkajs copies a batch once for each of its records. */
const BATCH_RECORDS = 500;
/** Under the 1 MiB that a topic takes if nobody has set anything else; a larger record goes alone. */
const BATCH_BYTES = 900_000;
/** What may wait in memory. Beyond it records are refused. */
const QUEUE_BYTES = 64 * 1024 * 1024;
/** From the call to its answer, whatever happens. */
const ANSWER_LIMIT_MS = 30_000;
/** A topic that was made just now is not known to every broker. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
const METADATA_MAX_AGE_MS = 60_000;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

const DURABLE: WriteResult = { durable: true };
const lost = (reason: string): WriteResult => ({ durable: false, reason });

/** One record until it is answered. */
class Item {
  readonly outgoing: Outgoing;
  readonly bytes: number;
  result: WriteResult | undefined;
  /** It may be in the log: a try is under way, or one ended without a clear answer. */
  inDoubt = false;
  readonly #onSettled: (item: Item) => void;

  constructor(outgoing: Outgoing, onSettled: (item: Item) => void) {
    this.outgoing = outgoing;
    this.bytes = (outgoing.key?.length ?? 0) + (outgoing.value?.length ?? 0) + 64;
    this.#onSettled = onSettled;
  }

  settle(result: WriteResult): void {
    if (this.result !== undefined) return;
    this.result = result;
    this.#onSettled(this);
  }

  fail(reason: string): void {
    this.settle(lost(this.inDoubt ? `unknown: ${reason}` : reason));
  }
}

/** The records of one partition, in the order in which they were given. */
interface Lane {
  readonly queue: Item[];
  isRunning: boolean;
}

/**
 * Writes to one topic. Records of one partition go one batch at a time, so that they keep their order; those of several
 * partitions go side by side, each in a `send()` of its own: one over several partitions, when it is repeated after a
 * change of leader, leaves out partitions that have moved, and resolves (kafkajs issue 1303).
 *
 * The producer is not idempotent. kafkajs' idempotent one gives the number of a batch that was given up to the next
 * one, which a broker that had taken the first then acknowledges as a repetition without writing it; and it tries for
 * ever. A batch whose answer is lost is sent again, and may be in the log twice: intake knows events by their id.
 */
export class TopicWriter {
  readonly #topic: string;
  readonly #clock: Clock;
  readonly #producer: Producer;
  readonly #countPartitions: (topic: string) => Promise<number>;
  readonly #closing = new AbortController();
  readonly #unplaced: Item[] = [];
  readonly #lanes = new Map<number, Lane>();
  readonly #running = new Set<Promise<void>>();
  #partitions = 0;
  #nextWithoutKey = 0;
  #queuedBytes = 0;
  #learning = false;
  #connecting: Promise<void> | undefined;

  constructor(connection: KafkaConnection, topic: string, countPartitions: (topic: string) => Promise<number>) {
    this.#topic = topic;
    this.#clock = connection.clock;
    this.#countPartitions = countPartitions;
    this.#producer = connection.client(1).producer({
      // Chosen before: what it does here is learn of new partitions.
      createPartitioner: () => (send) => {
        this.#partitions = send.partitionMetadata.length;
        return send.message.partition ?? 0;
      },
      allowAutoTopicCreation: false,
      idempotent: false,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      retry: retryTimes(0),
    });
  }

  append(records: readonly Outgoing[]): Promise<readonly WriteResult[]> {
    return new Promise((resolve) => {
      let open = records.length;
      const onSettled = (item: Item) => {
        this.#queuedBytes -= item.bytes;
        open -= 1;
        if (open > 0) return;
        cancel();
        resolve(items.map(({ result }) => result ?? lost("it was not answered")));
      };
      const items = records.map((record) => new Item(record, onSettled));
      const cancel = this.#clock.after(ANSWER_LIMIT_MS, () => {
        for (const item of items) item.fail(`no answer within ${ANSWER_LIMIT_MS / 1_000} s`);
      });
      for (const item of items) this.#queuedBytes += item.bytes;
      if (this.#closing.signal.aborted) for (const item of items) item.fail("the writer is closed");
      else if (this.#queuedBytes > QUEUE_BYTES) for (const item of items) item.fail("too much waits for Kafka already");
      else {
        for (const item of items) this.#unplaced.push(item);
        this.#place();
      }
    });
  }

  /** What is under way is answered first. */
  async close(): Promise<void> {
    this.#closing.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
    await this.#producer.disconnect();
  }

  #own(work: Promise<void>): void {
    const owned = work.finally(() => this.#running.delete(owned));
    this.#running.add(owned);
  }

  // ---- which partition ----

  #place(): void {
    if (this.#partitions === 0) {
      if (!this.#learning) this.#own(this.#learn());
      return;
    }
    for (const item of this.#unplaced.splice(0)) {
      const partition = this.#partitionFor(item.outgoing.key);
      let lane = this.#lanes.get(partition);
      if (lane === undefined) {
        lane = { queue: [], isRunning: false };
        this.#lanes.set(partition, lane);
      }
      lane.queue.push(item);
      if (!lane.isRunning) this.#own(this.#run(partition, lane));
    }
  }

  /** An empty key is none, as librdkafka sees it too. */
  #partitionFor(key: Buffer | null): number {
    if (key !== null && key.length > 0) return partitionOf(key, this.#partitions);
    this.#nextWithoutKey = (this.#nextWithoutKey + 1) % this.#partitions;
    return this.#nextWithoutKey;
  }

  async #learn(): Promise<void> {
    this.#learning = true;
    const beganAtMs = this.#clock.monotonic();
    try {
      for (let failures = 0; ; failures += 1) {
        const failure = await this.#tryToLearn();
        if (failure === undefined) break;
        const waitedMs = this.#clock.monotonic() - beganAtMs;
        const isMissing = isUnknownTopic(failure) && waitedMs >= UNKNOWN_TOPIC_GRACE_MS;
        if (isMissing || isFinal(failure) || waitedMs >= ANSWER_LIMIT_MS || this.#closing.signal.aborted) {
          for (const item of this.#unplaced.splice(0)) item.fail(this.#reason(failure));
          return;
        }
        await this.#pause(failures);
      }
    } finally {
      this.#learning = false;
    }
    this.#place();
  }

  async #tryToLearn(): Promise<KafkaFailure | undefined> {
    try {
      this.#partitions = await this.#countPartitions(this.#topic);
      return this.#partitions > 0 ? undefined : { code: "LEADER_NOT_AVAILABLE", message: "it has no partitions yet" };
    } catch (error) {
      return readFailure(error);
    }
  }

  // ---- one partition ----

  async #run(partition: number, lane: Lane): Promise<void> {
    lane.isRunning = true;
    await sleep(this.#clock, LINGER_MS, this.#closing.signal);
    for (;;) {
      const batch = takeBatch(lane.queue);
      if (batch.length === 0) break;
      await this.#deliver(partition, batch);
    }
    lane.isRunning = false;
  }

  /** Until each record is answered. One that is out of time is answered by its own timer. */
  async #deliver(partition: number, batch: readonly Item[]): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      const open = batch.filter((item) => item.result === undefined);
      if (open.length === 0) return;
      const failure = await this.#attempt(partition, open);
      if (failure === undefined) {
        for (const item of open) item.settle(DURABLE);
      } else if (isRefused(failure)) {
        return this.#refuse(partition, open, failure);
      } else if (isFinal(failure)) {
        for (const item of open) item.fail(this.#reason(failure));
      } else {
        await this.#pause(failures);
        // While it closes, a try that failed was the last.
        if (this.#closing.signal.aborted) for (const item of open) item.fail(this.#reason(failure));
      }
    }
  }

  /** One record spoils its batch: the halves are sent again, until it stands alone. */
  async #refuse(partition: number, items: readonly Item[], failure: KafkaFailure): Promise<void> {
    const [first, second] = items;
    if (second !== undefined) {
      const half = items.length >> 1;
      await this.#deliver(partition, items.slice(0, half));
      await this.#deliver(partition, items.slice(half));
    } else if (isTooLarge(failure)) {
      first?.settle({ ...lost(`topic ${this.#topic} takes no record of this size`), tooLarge: true });
    } else {
      first?.fail(this.#reason(failure));
    }
  }

  async #attempt(partition: number, items: readonly Item[]): Promise<KafkaFailure | undefined> {
    const doubted = items.map((item) => item.inDoubt);
    for (const item of items) item.inDoubt = true;
    const failure = await this.#send(partition, items);
    if (failure !== undefined && !isUncertain(failure)) {
      for (const [index, item] of items.entries()) item.inDoubt = doubted[index] ?? true;
    }
    return failure;
  }

  async #send(partition: number, items: readonly Item[]): Promise<KafkaFailure | undefined> {
    try {
      await this.#connected();
      const answers = await this.#producer.send({
        topic: this.#topic,
        acks: -1,
        timeout: REQUEST_LIMIT_MS,
        messages: items.map(({ outgoing }) => ({ ...outgoing, partition })),
      });
      return isAcknowledged(this.#topic, partition, answers)
        ? undefined
        : { code: "AnswerWithoutPartition", message: `the answer does not name partition ${partition}` };
    } catch (error) {
      return readFailure(error);
    }
  }

  #connected(): Promise<void> {
    this.#connecting ??= this.#producer.connect().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  #pause(failures: number): Promise<void> {
    return sleep(this.#clock, exponentialWait(failures, RETRY_FIRST_MS, RETRY_MAX_MS), this.#closing.signal);
  }

  #reason(failure: KafkaFailure): string {
    return isUnknownTopic(failure) ? missingTopic(this.#topic) : `${failure.code}: ${failure.message}`;
  }
}

/** A send that resolves is not enough: its answer must be about this partition, and be good. */
export function isAcknowledged(topic: string, partition: number, answers: readonly RecordMetadata[]): boolean {
  return answers.some(
    (answer) => answer.topicName === topic && answer.partition === partition && answer.errorCode === 0,
  );
}

/** What is answered already takes no room. */
const SENT_TOGETHER: BatchLimits<Item> = {
  maxItems: BATCH_RECORDS,
  maxBytes: BATCH_BYTES,
  bytesOf: (item) => (item.result === undefined ? item.bytes : 0),
};

function takeBatch(queue: Item[]): readonly Item[] {
  const { length } = firstBatch(queue, SENT_TOGETHER);
  const batch = queue.splice(0, length).filter((item) => item.result === undefined);
  return batch.length === 0 && queue.length > 0 ? takeBatch(queue) : batch;
}
