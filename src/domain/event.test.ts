import { expect, test } from "vitest";
import { isSameContent } from "./event.ts";

test.each([
  ["a", "a", true],
  ["a", "b", false],
  ["k1.a", "k1.a", true],
  ["k1.a", "k1.b", false],
  ["k1.a", "k2.b", true],
  ["a", "k1.b", true],
])("of %s and %s, the same content: %s", (left, right, same) => {
  expect(isSameContent(left, right)).toBe(same);
  expect(isSameContent(right, left)).toBe(same);
});
