import { expect, test } from "vitest";
import { batchesOf, firstBatch } from "./batch.ts";

const limits = { maxItems: 3, maxBytes: 10, bytesOf: (item: number) => item };

test.each([
  ["of nothing is empty", [], []],
  ["takes what there is", [4, 6], [4, 6]],
  ["ends with its last item", [1, 1, 1, 1], [1, 1, 1]],
  ["ends before its bytes are too many", [4, 6, 1], [4, 6]],
  ["has one that is larger alone", [11, 1], [11]],
  ["ends before one that is larger", [1, 11], [1]],
])("a batch %s", (_what, items, batch) => {
  expect(firstBatch(items, limits)).toEqual(batch);
});

test("all come in their order, batch by batch, and of none there is no batch", () => {
  expect([...batchesOf([1, 2, 3, 4, 50, 5, 5, 1], limits)]).toEqual([[1, 2, 3], [4], [50], [5, 5], [1]]);
  expect([...batchesOf([], limits)]).toEqual([]);
});
