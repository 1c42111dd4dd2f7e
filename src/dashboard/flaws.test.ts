import { expect, test } from "vitest";
import { numberFlaw, refuseFlaws } from "./flaws.ts";
import { refusalOf } from "./parts/failure.tsx";

test.each(["", " ", "1", "64", "1e2"])("%j is a whole number, or the default", (text) => {
  expect(numberFlaw(text, "whole number")).toBeUndefined();
});

test.each(["1e", "2.5", "0", "-1", "x", "1e400", "1,000", "1 0"])("%j is no whole number above 0", (text) => {
  expect(numberFlaw(text, "whole number")).toBe("must be a whole number above 0, or empty for the default");
});

test.each([
  ["0.5", true],
  ["1e", false],
  ["1e400", false],
])("%j is a number above 0: %j", (text, isTaken) => {
  expect(numberFlaw(text, "number") === undefined).toBe(isTaken);
});

test("flaws are refused with the fields' names, and none is no refusal", () => {
  refuseFlaws(new Map());
  try {
    refuseFlaws(new Map([["limits.event_retention", "must be a number"]]));
    expect.unreachable("not refused");
  } catch (error) {
    expect([...refusalOf(error).fields]).toEqual([["limits.event_retention", "must be a number"]]);
  }
});
