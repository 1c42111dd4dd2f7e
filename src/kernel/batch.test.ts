import { expect, test } from "vitest";
import { firstBatch } from "./batch.ts";

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
