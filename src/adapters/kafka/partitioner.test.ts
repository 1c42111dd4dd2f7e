import { expect, test } from "vitest";
import { murmur2, partitionOf } from "./partitioner.ts";

/** Apache Kafka, UtilsTest.testMurmur2. */
const VECTORS: readonly (readonly [string, number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

test.each(VECTORS)("the hash of %s is Java's", (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

test("bytes in the middle of a buffer hash as they do alone", () => {
  expect(murmur2(Buffer.from("xxfoobaryy").subarray(2, 8))).toBe(-790332482);
});

test("a negative hash loses its sign bit, as in Java", () => {
  expect(partitionOf(Buffer.from("foobar"), 12)).toBe((-790332482 & 0x7fffffff) % 12);
  expect(partitionOf(Buffer.from("abc"), 12)).toBe(479470107 % 12);
});
