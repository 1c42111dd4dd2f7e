/**
 * Which partition a key belongs to: murmur2 as in Java's DefaultPartitioner (org.apache.kafka.common.utils.Utils) and
 * librdkafka's `murmur2`, so that a pass has one partition whoever produces its events.
 */

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;
const SHIFT = 24;

/** The hash as a signed 32-bit number. */
export function murmur2(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let block = Math.imul(view.getInt32(at, true), MULTIPLIER);
    block = Math.imul(block ^ (block >>> SHIFT), MULTIPLIER);
    hash = Math.imul(hash, MULTIPLIER) ^ block;
  }
  const rest = length - at;
  if (rest === 3) hash ^= view.getUint8(at + 2) << 16;
  if (rest >= 2) hash ^= view.getUint8(at + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ view.getUint8(at), MULTIPLIER);
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/** Java makes the hash positive by dropping its sign bit, not by its absolute value. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
