/**
 * The framing of Confluent's serializers: a zero byte, the schema's id (4 bytes, big-endian), for protobuf the message's
 * indexes (where in its .proto file it stands), then the value. Nothing else that we read begins with a zero byte: no
 * protobuf field has the number 0, and no JSON text begins so. The registry isn't asked, so the id says nothing to us.
 * https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
 */
import { unreadable } from "./refusals.ts";

export interface Frame {
  readonly schemaId: number;
  /** What follows the schema's id: message indexes and protobuf, or JSON. */
  readonly rest: Uint8Array;
}

const HEAD_BYTES = 5;

export function isFramed(bytes: Uint8Array): boolean {
  return bytes[0] === 0;
}

/** Of bytes that are framed. */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length <= HEAD_BYTES) throw unreadable("the value ends within Confluent's framing");
  const schemaId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  return { schemaId, rest: bytes.subarray(HEAD_BYTES) };
}

export interface IndexedMessage {
  /** The message's place among its file's, then among those within it. */
  readonly indexes: readonly number[];
  readonly message: Uint8Array;
}

/** No schema nests deeper: a count beyond it is no count. */
const MAX_INDEXES = 32;

/** Takes the message indexes off: their count and they themselves as zigzag varints, or one zero byte for [0]. */
export function readIndexes({ rest, schemaId }: Frame): IndexedMessage {
  const wrong = () => unreadable(`after schema id ${schemaId} of Confluent's framing stand no message indexes`);
  const count = readVarint(rest, 0);
  if (count === undefined) throw wrong();
  if (count.value === 0) return { indexes: [0], message: rest.subarray(count.end) };
  if (count.value < 0 || count.value > MAX_INDEXES) throw wrong();
  const indexes: number[] = [];
  let { end } = count;
  while (indexes.length < count.value) {
    const index = readVarint(rest, end);
    if (index === undefined || index.value < 0) throw wrong();
    indexes.push(index.value);
    end = index.end;
  }
  return { indexes, message: rest.subarray(end) };
}

/** A zigzag varint of 32 bits in as few bytes as it takes; undefined where there is none. */
function readVarint(bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } | undefined {
  let unsigned = 0;
  for (let at = 0; at < 5; at++) {
    const byte = bytes[from + at];
    if (byte === undefined || (at > 0 && byte === 0) || (at === 4 && byte > 0x0f)) return undefined;
    unsigned += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return { value: unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2, end: from + at + 1 };
  }
  return undefined;
}
