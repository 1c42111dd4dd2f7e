import { compress } from "snappyjs";
import { describe, expect, test } from "vitest";
import { decompressSnappy, lz4, snappy, zstd } from "./codecs.ts";

const TEXT = Buffer.from("passes and passes and passes ".repeat(2_000));
const NOISE = Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 2_654_435_761) % 251));

describe.each([
  ["snappy", snappy],
  ["lz4", lz4],
  ["zstd", zstd],
])("%s", (_, codec) => {
  test.each([
    ["text", TEXT],
    ["what hardly shrinks", NOISE],
    ["one byte", Buffer.of(7)],
  ])("%s comes back as it was", async (_what, bytes) => {
    const packed = await codec.compress({ buffer: bytes });
    expect((await codec.decompress(packed)).equals(bytes)).toBe(true);
  });
});

/** As snappy-java's SnappyOutputStream writes it. */
function xerial(blocks: readonly Buffer[]): Buffer {
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  const framed = blocks.flatMap((block) => {
    const packed = compress(block);
    const length = Buffer.alloc(4);
    length.writeInt32BE(packed.length);
    return [length, packed];
  });
  return Buffer.concat([header, ...framed]);
}

test("the blocks of a Java producer are put together", () => {
  const blocks = [TEXT.subarray(0, 32_768), TEXT.subarray(32_768), NOISE];
  expect(decompressSnappy(xerial(blocks)).equals(Buffer.concat(blocks))).toBe(true);
  expect(decompressSnappy(xerial([]))).toHaveLength(0);
});
