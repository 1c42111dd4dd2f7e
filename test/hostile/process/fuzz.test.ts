import { expect, test } from "vitest";
import { fuzzCalls, fuzzRecords, growthMib, noRecords } from "../fuzz/cases.ts";

/** `npm run fuzz` is the long form: a million, with memory looked at over hours. */
const SEED = 7;
const RECORDS = 44_000;
const CALLS = 6_000;

/** Caches fill, and the collector takes its time; what grows by every call would be far beyond. */
const MEMORY_MIB = 1_024;
/** Of the last quarter of the calls over the second, where it is 27 to 68; what is kept of every call is far beyond. */
const GROWTH_MIB = 96;

test(`${RECORDS} records by chance become events or dead letters of their topic's tenant`, { timeout: 180_000 }, () => {
  const counts = noRecords();
  expect(fuzzRecords({ seed: SEED, from: 0, count: RECORDS }, counts)).toEqual([]);
  // Of both kinds enough, or the test would say nothing.
  expect(counts.events).toBeGreaterThan(RECORDS / 20);
  expect(counts.dead).toBeGreaterThan(RECORDS / 20);
});

test(`${CALLS} calls by chance are answered, none by a mistake, none with another's data`, {
  timeout: 300_000,
}, async () => {
  const { findings, counts, rssMib } = await fuzzCalls({ seed: SEED, from: 0, count: CALLS });
  expect(findings).toEqual([]);
  expect(counts.answers.get(0)).toBeGreaterThan(CALLS / 20);
  expect(counts.answered.size).toBeGreaterThan(20);
  expect(Math.max(...rssMib)).toBeLessThan(MEMORY_MIB);
  expect(growthMib(rssMib)).toBeLessThan(GROWTH_MIB);
});
