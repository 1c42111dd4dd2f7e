import { expect, test } from "vitest";
import { keptBytes } from "./kept-bytes.ts";

const all = new Uint8Array(1_000).fill(7);

test.each([all.subarray(5, 15), Buffer.from(all.buffer, 5, 10), all.subarray(0, 250), all.subarray(9, 9)])(
  "a small part of a buffer is copied out of it",
  (bytes) => {
    const kept = keptBytes(bytes);
    expect(kept.buffer.byteLength).toBe(bytes.byteLength);
    expect(kept).toEqual(bytes);
  },
);

test.each([all, all.subarray(0, 251)])("what is not much smaller than its buffer is not copied", (bytes) => {
  expect(keptBytes(bytes)).toBe(bytes);
});
