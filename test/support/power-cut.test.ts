/** What is recorded of a disk, and what a power cut leaves of it. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/kernel/random.ts";
import { cutAt } from "./power-cut.ts";
import { callsIn, type FileCall } from "./strace-record.ts";

function hex(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

const log = hex("/data/log.db-wal");

describe("the record", () => {
  test("has writes, truncations, and syncs as they ended, with what each covers", () => {
    const lines = [
      `71 100.000100 pwrite64(21<${log}>, "${hex("abc")}", 3, 4096) = 3`,
      `72 100.000200 fdatasync(21<${log}> <unfinished ...>`,
      `71 100.000300 pwrite64(21<${log}>, "${hex("d")}", 1, 4099) = 1`,
      `72 100.000400 <... fdatasync resumed>)  = 0`,
      `71 100.000500 ftruncate(21<${log}>, 4096) = 0`,
      `71 100.000600 fsync(21<${log}>) = 0`,
      `71 100.000700 fsync(21<${log}>) = -1 EIO (Input/output error)`,
      "71 +++ killed by SIGKILL +++",
    ];
    const file = "log.db-wal";
    expect(callsIn(lines.join("\n"))).toEqual([
      { kind: "write", atMs: expect.closeTo(100_000.1), file, offset: 4096, bytes: Buffer.from("abc") },
      { kind: "write", atMs: expect.closeTo(100_000.3), file, offset: 4099, bytes: Buffer.from("d") },
      { kind: "synced", atMs: expect.closeTo(100_000.4), file, covers: 1 },
      { kind: "truncate", atMs: expect.closeTo(100_000.5), file, length: 4096 },
      { kind: "synced", atMs: expect.closeTo(100_000.6), file, covers: 4 },
    ]);
  });

  test("does not pass over a call that it does not know", () => {
    expect(() => callsIn(`71 100.1 pwritev(21<${log}>, [], 0, 0) = 0`)).toThrow("pwritev");
  });
});

describe("a power cut", () => {
  const base = new Map([["f", Buffer.from("base")]]);
  const block = (letter: string) => Buffer.alloc(1_024, letter);
  const calls: readonly FileCall[] = [
    { kind: "write", atMs: 1, file: "f", offset: 4, bytes: block("s") },
    { kind: "synced", atMs: 2, file: "f", covers: 1 },
    { kind: "write", atMs: 3, file: "f", offset: 1_028, bytes: block("u") },
  ];
  const cuts = Array.from({ length: 200 }, (_, seed) => cutAt(base, calls, calls.length, seededRandom(seed)));

  test("leaves what was synced, whatever else", () => {
    for (const { image } of cuts) {
      expect(image.get("f")?.subarray(0, 1_028)).toEqual(Buffer.concat([Buffer.from("base"), block("s")]));
    }
  });

  test("leaves the rest or not, by chance, and at times up to a sector", () => {
    const lengths = new Set(cuts.map(({ image }) => image.get("f")?.length));
    expect([...lengths].sort()).toEqual([1_028, 1_540, 2_052]);
    expect(cuts[0]?.unsynced).toBe(1);
  });

  test("before a sync has ended may leave nothing of what it was to cover", () => {
    const early = Array.from({ length: 50 }, (_, seed) => cutAt(base, calls, 1, seededRandom(seed)));
    expect(early.some(({ image }) => image.get("f")?.toString() === "base")).toBe(true);
    expect(base.get("f")?.toString()).toBe("base");
  });
});
