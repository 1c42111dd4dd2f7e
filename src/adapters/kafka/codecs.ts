import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
// Named imports end at the first name that Node cannot find in kafkajs without running it.
import kafkajs from "kafkajs";
import { compressFrame, decompressFrame } from "lz4-napi";
import { compress, uncompress } from "snappyjs";

/** What kafkajs wants of a codec; `compress` is given its own buffer, wrapped. */
export interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

const zstdCompressed = promisify(zstdCompress);
const zstdDecompressed = promisify(zstdDecompress);

/** snappy-java's stream header: magic, version, lowest version that can read it; 16 bytes. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEADER_BYTES = 16;

/**
 * Plain snappy, as librdkafka writes it, or the stream of blocks of snappy-java, as the Java producer does: each block
 * is its length in 4 bytes and then plain snappy.
 */
export function decompressSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return uncompress(bytes);
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length; ) {
    const end = at + 4 + bytes.readInt32BE(at);
    blocks.push(uncompress(bytes.subarray(at + 4, end)));
    at = end;
  }
  return Buffer.concat(blocks);
}

export const snappy: Codec = {
  compress: async ({ buffer }) => compress(buffer),
  decompress: async (bytes) => decompressSnappy(bytes),
};

/** Kafka's lz4 is the frame format (KIP-57), not bare blocks. */
export const lz4: Codec = {
  compress: ({ buffer }) => compressFrame(buffer),
  decompress: (bytes) => decompressFrame(bytes),
};

export const zstd: Codec = {
  compress: ({ buffer }) => zstdCompressed(buffer),
  decompress: (bytes) => zstdDecompressed(bytes),
};

/** kafkajs knows gzip alone, and a batch in anything else ends its consumer. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.Snappy] = () => snappy;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
}
