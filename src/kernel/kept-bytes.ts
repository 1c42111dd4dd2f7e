/** What is kept in memory for a byte string is less than so many times its length. */
const MOST_TIMES = 4;

/**
 * Bytes for whoever keeps them for long. They look into the buffer in which they came, and would keep all that came with
 * them in memory, which no limit counts: where they are a small part of it, this is a copy. A Buffer stays a Buffer.
 */
export function keptBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength * MOST_TIMES > bytes.buffer.byteLength) return bytes;
  const own = new Uint8Array(bytes);
  return Buffer.isBuffer(bytes) ? Buffer.from(own.buffer) : own;
}
