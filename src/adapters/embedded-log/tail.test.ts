import { expect, test } from "vitest";
import type { FileRecord } from "./log-file.ts";
import { Tail } from "./tail.ts";

const MIB = 1024 * 1024;

const record = (offset: number, bytes = 10): FileRecord => ({
  offset,
  appendedAtMs: 0,
  key: "k",
  headers: "{}",
  value: new Uint8Array(bytes),
});

function taken(tail: Tail, count: number): readonly number[] {
  const offsets: number[] = [];
  tail.take((each) => offsets.length < count && offsets.push(each.offset) > 0);
  return offsets;
}

test("records are taken in order, each once", () => {
  const tail = new Tail(true);
  for (let offset = 0; offset < 10_000; offset += 1) tail.push(record(offset));
  const all: number[] = [];
  for (let round = 0; round < 11; round += 1) all.push(...taken(tail, 999));
  expect(all).toEqual(Array.from({ length: 10_000 }, (_, offset) => offset));
  expect(taken(tail, 1)).toEqual([]);
});

test("beyond 16 MiB nothing is kept, until the reader has caught up", () => {
  const tail = new Tail(true);
  for (let offset = 0; offset < 15; offset += 1) tail.push(record(offset, MIB));
  expect(tail.complete).toBe(true);
  tail.push(record(15, MIB));
  tail.push(record(16));
  expect([tail.complete, taken(tail, 1)]).toEqual([false, []]);
  tail.caughtUp();
  tail.push(record(17));
  expect([tail.complete, taken(tail, 9)]).toEqual([true, [17]]);
});

test("what was taken makes room", () => {
  const tail = new Tail(true);
  for (let offset = 0; offset < 100; offset += 1) {
    tail.push(record(offset, MIB));
    expect(taken(tail, 1)).toEqual([offset]);
  }
  expect(tail.complete).toBe(true);
});
