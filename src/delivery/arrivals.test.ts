import { expect, test } from "vitest";
import { sampleEvent, TENANT } from "../../test/support/samples.ts";
import { Arrivals } from "./arrivals.ts";
import type { Arrival } from "./in-hand.ts";

const noop = () => {};

function arrivalOf(organisation: string, number: number, partition = 0): Arrival {
  const event = sampleEvent(`${organisation}${number}`, { tenant: { ...TENANT, organisation } });
  const assignment = { topic: "t", partition, generation: 1 };
  return { ...event, assignment, offset: number, done: noop, conflict: noop };
}

const arrivalsOf = (organisation: string, count: number) =>
  Array.from({ length: count }, (_, at) => arrivalOf(organisation, at));

const idsOf = (arrivals: readonly Arrival[]) => arrivals.map(({ stored }) => stored.id);

/** Room for everybody, or for so many of those that are named. */
const room =
  (of: Readonly<Record<string, number>> = {}) =>
  (organisation: string) =>
    of[organisation] ?? Number.POSITIVE_INFINITY;

function filled(of: Readonly<Record<string, number>>): Arrivals {
  const arrivals = new Arrivals();
  for (const [organisation, count] of Object.entries(of)) arrivals.push(arrivalsOf(organisation, count));
  return arrivals;
}

test("one organisation alone is taken in the order of the log", () => {
  const arrivals = filled({ a: 5 });
  expect(idsOf(arrivals.take(3, room()))).toEqual(["a0", "a1", "a2"]);
  expect(idsOf(arrivals.take(3, room()))).toEqual(["a3", "a4"]);
  expect(arrivals.take(3, room())).toEqual([]);
});

test("organisations share a batch equally, and what one doesn't have goes to the others", () => {
  const arrivals = filled({ a: 100, b: 100, c: 1 });
  const counts = Object.groupBy(arrivals.take(11, room()), ({ stored }) => stored.tenant.organisation);
  expect([counts.a?.length, counts.b?.length, counts.c?.length]).toEqual([5, 5, 1]);
});

test("no more of an organisation than it has room for, and none of one that has none", () => {
  const arrivals = filled({ a: 100, b: 100, c: 100 });
  const counts = Object.groupBy(arrivals.take(10, room({ a: 2, b: 0 })), ({ stored }) => stored.tenant.organisation);
  expect([counts.a?.length, counts.b?.length, counts.c?.length]).toEqual([2, undefined, 8]);
  expect(arrivals.someHas(room({ a: 0, b: 0, c: 0 }))).toBe(false);
  expect(arrivals.someHas(room({ a: 0, c: 0 }))).toBe(true);
});

test("more organisations than a batch has places take turns", () => {
  const arrivals = filled({ a: 3, b: 3, c: 3 });
  const takes = Array.from({ length: 5 }, () => idsOf(arrivals.take(2, room())).sort());
  expect(takes).toEqual([["a0", "b0"], ["a1", "c0"], ["b1", "c1"], ["a2", "b2"], ["c2"]]);
});

test("what is put back is in front again, in its order", () => {
  const arrivals = filled({ a: 4, b: 2 });
  const taken = arrivals.take(4, room());
  arrivals.putBack(taken);
  expect(arrivals.size).toBe(6);
  const all = idsOf(arrivals.take(6, room()));
  expect(all.filter((id) => id.startsWith("a"))).toEqual(["a0", "a1", "a2", "a3"]);
  expect(all.filter((id) => id.startsWith("b"))).toEqual(["b0", "b1"]);
});

test("what is dropped leaves nothing behind, and the sizes tell what is there", () => {
  const arrivals = new Arrivals();
  const [stays, goes] = [arrivalOf("a", 0, 0), arrivalOf("a", 1, 1)];
  arrivals.push([stays, goes, arrivalOf("b", 0, 1)]);
  arrivals.drop(({ assignment }) => assignment.partition === 1);
  expect([arrivals.size, arrivals.bytes]).toEqual([1, stays.stored.value.length]);
  expect(arrivals.someHas(room({ a: 0 }))).toBe(false);
  expect(arrivals.take(9, room())).toEqual([stays]);
  expect([arrivals.size, arrivals.bytes]).toEqual([0, 0]);
});
