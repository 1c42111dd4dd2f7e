import { expect, test } from "vitest";
import { movesOf } from "./sweeper.ts";

const OPEN = { hasHeld: true, hasWaiting: true };
const ENABLED = { state: "enabled", policy: { ordering: "none" } } as const;
const DISABLED = { state: "disabled", policy: { ordering: "none" } } as const;
const ORDERED = { ordering: "perPass" } as const;

test("enabled: what is held is released", () => {
  expect(movesOf(OPEN, ENABLED)).toEqual([{ from: "held", to: "waiting" }]);
  expect(movesOf({ hasHeld: false, hasWaiting: true }, ENABLED)).toEqual([]);
});

test("enabled and ordered: only what has no place among its pass's is released; heads are promoted", () => {
  expect(movesOf(OPEN, { ...ENABLED, policy: ORDERED })).toEqual([{ from: "held", to: "waiting", unsequenced: true }]);
  expect(movesOf(OPEN, { ...DISABLED, policy: ORDERED })).toEqual([{ from: "waiting", to: "held" }]);
});

test("disabled: what waits is held", () => {
  expect(movesOf(OPEN, DISABLED)).toEqual([{ from: "waiting", to: "held" }]);
  expect(movesOf({ hasHeld: true, hasWaiting: false }, DISABLED)).toEqual([]);
});

test("deleted: all of it is cancelled", () => {
  expect(movesOf(OPEN, undefined)).toEqual([
    { from: "waiting", to: "cancelled" },
    { from: "held", to: "cancelled" },
  ]);
});
