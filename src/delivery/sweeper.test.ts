import { expect, test } from "vitest";
import { movesOf } from "./sweeper.ts";

const OPEN = { hasHeld: true, hasWaiting: true };

test("enabled: what is held is released", () => {
  expect(movesOf(OPEN, { state: "enabled" })).toEqual([{ from: "held", to: "waiting" }]);
  expect(movesOf({ hasHeld: false, hasWaiting: true }, { state: "enabled" })).toEqual([]);
});

test("disabled: what waits is held", () => {
  expect(movesOf(OPEN, { state: "disabled" })).toEqual([{ from: "waiting", to: "held" }]);
  expect(movesOf({ hasHeld: true, hasWaiting: false }, { state: "disabled" })).toEqual([]);
});

test("deleted: all of it is cancelled", () => {
  expect(movesOf(OPEN, undefined)).toEqual([
    { from: "waiting", to: "cancelled" },
    { from: "held", to: "cancelled" },
  ]);
});
