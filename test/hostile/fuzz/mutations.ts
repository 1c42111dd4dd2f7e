/** What happens to bytes and texts on their way from somebody who is wrong, or means harm. */
import type { Chance } from "./chance.ts";

type Mutation = (bytes: Buffer, chance: Chance) => Buffer;

const splice = (bytes: Buffer, at: number, drop: number, put: Buffer) =>
  Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + drop)]);

/** A message within a message within …, each field 1. */
function nested(levels: number): Buffer {
  let bytes = Buffer.alloc(0);
  for (let level = 0; level < levels && bytes.length < 100; level++) {
    bytes = Buffer.concat([Buffer.of(0x0a, bytes.length), bytes]);
  }
  return bytes;
}

const BINARY: readonly Mutation[] = [
  (bytes, chance) => bytes.subarray(0, chance.below(bytes.length + 1)),
  (bytes, chance) => {
    const flipped = Buffer.from(bytes);
    for (let times = chance.below(8); times >= 0 && flipped.length > 0; times--) {
      const at = chance.below(flipped.length);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << chance.below(8));
    }
    return flipped;
  },
  (bytes, chance) => splice(bytes, chance.below(bytes.length + 1), 0, chance.bytes(chance.below(12))),
  (bytes, chance) => splice(bytes, chance.below(bytes.length + 1), chance.below(12), Buffer.alloc(0)),
  (_, chance) => chance.bytes(chance.below(200)),
  (bytes) => Buffer.concat([bytes, bytes]),
  (bytes) => Buffer.concat([bytes, Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)]),
  (bytes) => Buffer.concat([bytes, Buffer.alloc(11, 0xff)]),
  // Groups that open and never close: each is a level for who reads them.
  (_, chance) => Buffer.alloc(10_000 + chance.below(10_000), 0x0b),
  (bytes) => Buffer.concat([bytes, nested(60)]),
];

const PIECES = [
  "null",
  "[]",
  "{}",
  '""',
  "1e999",
  "-0",
  "9".repeat(400),
  "1.5",
  "NaN",
  '"\\ud800"',
  '"\\u0000"',
  '{"__proto__":{"polluted":true}}',
  '"__proto__":{"polluted":true},',
  '"id":"a","id":"b",',
  ",",
  "}",
  "[".repeat(2_000),
  '{"a":'.repeat(1_000),
  "\u2028",
];

const JSONS: readonly Mutation[] = [
  ...BINARY.slice(0, 4),
  (bytes, chance) => {
    // In the place of one of its values.
    const text = bytes.toString("latin1");
    const places = [...text.matchAll(/"[^"]*"(?!:)|-?\d+(\.\d+)?|true|false|null/g)];
    if (places.length === 0) return Buffer.from(chance.of(PIECES));
    const { index, 0: found } = chance.of(places);
    return splice(bytes, index, found.length, Buffer.from(chance.of(PIECES)));
  },
  (bytes, chance) => splice(bytes, 1, 0, Buffer.from(chance.of(PIECES))),
  (bytes, chance) => splice(bytes, chance.below(bytes.length + 1), 0, Buffer.from(chance.of(PIECES))),
  (bytes, chance) => splice(bytes, chance.below(bytes.length + 1), 0, Buffer.of(0xff)),
  (_, chance) => Buffer.from(chance.of(PIECES)),
];

/** Left as it is half of the time. */
export function mutated(bytes: Buffer, encoding: "binary" | "json", chance: Chance): Buffer {
  if (chance.oneIn(2)) return bytes;
  return chance.of(encoding === "binary" ? BINARY : JSONS)(bytes, chance);
}
