import { expect, test } from "vitest";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { Assignments } from "./assignments.ts";

test("partitions that come again have a higher generation, however close", () => {
  const assignments = new Assignments(new ManualClock());
  const [first] = assignments.replace({ t: [0] });
  const [second] = assignments.replace({ t: [0] });
  if (first === undefined || second === undefined) throw new Error("nothing was assigned");
  expect(second.generation).toBeGreaterThan(first.generation);
  expect([first, second].map((each) => assignments.isCurrent(each))).toEqual([false, true]);
});

test("a later process begins higher than an earlier one ended", () => {
  const clock = new ManualClock();
  const [earlier] = new Assignments(clock).replace({ t: [0] });
  clock.advance(1);
  const [later] = new Assignments(clock).replace({ t: [0] });
  expect(later?.generation).toBeGreaterThan(earlier?.generation ?? Number.POSITIVE_INFINITY);
});

test("what is taken back is current no more, and is told once", () => {
  const assignments = new Assignments(new ManualClock());
  const all = assignments.replace({ t: [0, 1], u: [0] });
  expect(all.map(({ topic, partition }) => `${topic}/${partition}`)).toEqual(["t/0", "t/1", "u/0"]);
  expect(assignments.clear()).toEqual(all);
  expect(assignments.clear()).toEqual([]);
  expect(all.some((each) => assignments.isCurrent(each))).toBe(false);
});
