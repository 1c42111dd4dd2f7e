/** All that a topic holds, read by a plain consumer, and how its batches are compressed on the broker. */
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { CompressionCodecs, CompressionTypes, type IHeaders } from "kafkajs";
import { lz4, snappy, zstd } from "../../src/adapters/kafka/codecs.ts";
import { plainKafka } from "./kafka-topic.ts";
import type { CodecName } from "./kcat.ts";
import { within } from "./within.ts";

export interface TopicRecord {
  readonly partition: number;
  readonly offset: number;
  /** In the events' topics: when the broker took it, by its clock. */
  readonly timestampMs: number;
  readonly key: string;
  /** Null of a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Of all batches of one codec. */
export interface Compression {
  batches: number;
  /** As the broker keeps them. */
  compressedBytes: number;
  bytes: number;
}

export interface TopicContents {
  readonly records: readonly TopicRecord[];
  /** A codec that no batch says is absent, and so is "none". */
  readonly compression: ReadonlyMap<CodecName, Compression>;
}

const READERS = {
  gzip: { type: CompressionTypes.GZIP, decompress: promisify<Buffer, Buffer>(gunzip) },
  snappy: { type: CompressionTypes.Snappy, decompress: snappy.decompress },
  lz4: { type: CompressionTypes.LZ4, decompress: lz4.decompress },
  zstd: { type: CompressionTypes.ZSTD, decompress: zstd.decompress },
} as const;

/**
 * kafkajs asks for the codec that a batch's own attributes name, so that what is counted here is what the broker has.
 * Its table of codecs is the process's: one call at a time.
 */
function countCompression(): ReadonlyMap<CodecName, Compression> {
  const counts = new Map<CodecName, Compression>();
  for (const [name, { type, decompress }] of Object.entries(READERS) as [keyof typeof READERS, Reader][]) {
    CompressionCodecs[type] = () => ({
      async decompress(compressed: Buffer) {
        const whole = await decompress(compressed);
        const count = counts.get(name) ?? { batches: 0, compressedBytes: 0, bytes: 0 };
        count.batches += 1;
        count.compressedBytes += compressed.length;
        count.bytes += whole.length;
        counts.set(name, count);
        return whole;
      },
    });
  }
  return counts;
}

type Reader = (typeof READERS)[keyof typeof READERS];

/** Everything up to the present ends of the partitions. Leaves no group behind. */
export async function readTopic(brokers: string, topic: string): Promise<TopicContents> {
  const kafka = plainKafka(brokers);
  const admin = kafka.admin();
  await admin.connect();
  const expected = (await admin.fetchTopicOffsets(topic)).reduce((sum, { high, low }) => sum + +high - +low, 0);
  const groupId = `passbus-test-reader-${randomBytes(5).toString("hex")}`;
  const consumer = kafka.consumer({ groupId });
  const compression = countCompression();
  const records: TopicRecord[] = [];
  try {
    if (expected === 0) return { records, compression };
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const all = Promise.withResolvers<void>();
    await consumer.run({
      autoCommit: false,
      async eachMessage({ partition, message: { offset, timestamp, key, value, headers } }) {
        const place = { partition, offset: Number(offset), timestampMs: Number(timestamp) };
        records.push({ ...place, key: key?.toString() ?? "", value, headers: textsOf(headers) });
        if (records.length === expected) all.resolve();
      },
    });
    await within(30_000, `the ${expected} records of ${topic}`, all.promise);
    return { records, compression };
  } finally {
    await consumer.disconnect();
    await admin.deleteGroups([groupId]).catch(() => {});
    await admin.disconnect();
  }
}

function textsOf(headers: IHeaders | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]));
}
