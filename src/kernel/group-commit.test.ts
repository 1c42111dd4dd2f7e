import { expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { GroupCommit } from "./group-commit.ts";
import { ManualClock } from "./manual-clock.ts";

function setup(
  options: { maxItems?: number; maxBytes?: number; write?: (batch: readonly number[]) => Promise<void> } = {},
) {
  const clock = new ManualClock();
  const batches: number[][] = [];
  const failures: number[] = [];
  const group = new GroupCommit<number>({
    write: options.write ?? (async (batch) => void batches.push([...batch])),
    maxItems: options.maxItems ?? 3,
    maxBytes: options.maxBytes ?? Number.POSITIVE_INFINITY,
    bytesOf: (item) => item,
    maxWaitMs: 50,
    clock,
    onFailure: (_error, count) => failures.push(count),
  });
  return { clock, batches, failures, group };
}

test("the first item waits at most its time for others", async () => {
  const { clock, batches, group } = setup();
  group.add(1);
  clock.advance(49);
  await settled();
  expect(batches).toEqual([]);
  clock.advance(1);
  await settled();
  expect(batches).toEqual([[1]]);
});

test("a full batch goes at once, and the rest waits its own time", async () => {
  const { clock, batches, group } = setup();
  for (const item of [1, 2, 3, 4]) group.add(item);
  await settled();
  expect(batches).toEqual([[1, 2, 3]]);
  expect(group.size).toBe(1);
  clock.advance(50);
  await settled();
  expect(batches).toEqual([[1, 2, 3], [4]]);
  expect(group.size).toBe(0);
});

test("a batch is full by its bytes too, and an item that is larger goes alone", async () => {
  const { clock, batches, group } = setup({ maxBytes: 10 });
  for (const item of [4, 5, 2]) group.add(item);
  await settled();
  expect([batches, group.bytes]).toEqual([[[4, 5]], 2]);
  for (const item of [30, 1]) group.add(item);
  await settled();
  expect([batches, group.bytes]).toEqual([[[4, 5], [2], [30]], 1]);
  clock.advance(50);
  await settled();
  expect([batches.at(-1), group.bytes]).toEqual([[1], 0]);
});

test("one batch is written at a time, in order", async () => {
  const open: (() => void)[] = [];
  const seen: number[][] = [];
  const { group } = setup({
    maxItems: 2,
    write: (batch) => {
      seen.push([...batch]);
      return new Promise((resolve) => open.push(resolve));
    },
  });
  for (const item of [1, 2, 3, 4]) group.add(item);
  await settled();
  expect(seen).toEqual([[1, 2]]);
  open.shift()?.();
  await settled();
  expect(seen).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

test("a failed batch is written again until it succeeds, and says that it stalls", async () => {
  let broken = true;
  const written: number[][] = [];
  const { clock, group, failures } = setup({
    write: async (batch) => {
      if (broken) throw new Error("disk full");
      written.push([...batch]);
    },
  });
  for (const item of [1, 2, 3]) group.add(item);
  await settled();
  expect(group.stalled).toBe(true);
  expect(failures).toEqual([3]);
  clock.advance(50);
  await settled();
  expect(failures).toEqual([3, 3]);
  broken = false;
  clock.advance(100);
  await settled();
  expect(written).toEqual([[1, 2, 3]]);
  expect(group.stalled).toBe(false);
});

test("drain resolves only when everything is written", async () => {
  const { batches, group } = setup();
  group.add(1);
  await group.drain();
  expect(batches).toEqual([[1]]);
  expect(group.size).toBe(0);
});

test("abandon ends a drain that can't succeed", async () => {
  const { group, failures } = setup({ write: () => Promise.reject(new Error("gone")) });
  group.add(1);
  const drained = group.drain();
  await settled();
  expect(failures.length).toBeGreaterThan(0);
  group.abandon();
  await drained;
});

test("drain tries at once what waits for its next try, and again soon", async () => {
  let broken = true;
  const written: number[][] = [];
  const { clock, group, failures } = setup({
    write: async (batch) => {
      if (broken) throw new Error("store away");
      written.push([...batch]);
    },
  });
  for (const item of [1, 2, 3]) group.add(item);
  for (let tries = 0; tries < 12; tries++) {
    clock.advance(5_000);
    await settled();
  }
  const before = failures.length;
  const drained = group.drain();
  await settled();
  expect(failures.length).toBe(before + 1);
  broken = false;
  clock.advance(100);
  await drained;
  expect(written).toEqual([[1, 2, 3]]);
});
