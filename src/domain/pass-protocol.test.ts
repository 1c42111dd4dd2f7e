import { expect, test } from "vitest";
import { isPassProtocol, passProtocolName } from "./pass-protocol.ts";

test("a protocol is one that PassKit names, or a proprietary one from 1000 on (seed 003)", () => {
  const numbers = [-1, 0, 3, 4, 99, 100, 101, 102, 103, 999, 1_000, 1_001, 2 ** 31 - 1];
  expect(numbers.filter(isPassProtocol)).toEqual([0, 3, 100, 101, 102, 1_000, 1_001, 2 ** 31 - 1]);
});

test("a proprietary protocol is called by its number", () => {
  expect([100, 1_000].map(passProtocolName)).toEqual(["MEMBERSHIP", "1000"]);
});
