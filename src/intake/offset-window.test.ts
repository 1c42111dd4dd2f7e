import fc from "fast-check";
import { expect, test } from "vitest";
import { OffsetWindow, type WindowEntry } from "./offset-window.ts";

const ASSIGNMENT = { topic: "pass.events", partition: 3, generation: 7 };

function opened(window: OffsetWindow, offsets: readonly number[]): WindowEntry[] {
  return offsets.map((offset) => window.open(offset)).filter((entry) => entry !== undefined);
}

test("there is no position until the first record is released", () => {
  const window = new OffsetWindow(ASSIGNMENT);
  const [, second] = opened(window, [10, 11]);
  if (second) second.released = true;
  expect(window.advance()).toBeUndefined();
});

test("the position passes gaps in the offsets, never an open record", () => {
  const window = new OffsetWindow(ASSIGNMENT);
  const [a, b, c] = opened(window, [10, 15, 16]);
  if (a) a.released = true;
  if (c) c.released = true;
  expect(window.advance()).toEqual({ ...ASSIGNMENT, offset: 11 });
  if (b) b.released = true;
  expect(window.advance()).toEqual({ ...ASSIGNMENT, offset: 17 });
  expect(window.size).toBe(0);
});

test("a record that comes again is not opened twice, even when all is released", () => {
  const window = new OffsetWindow(ASSIGNMENT);
  const [a] = opened(window, [10]);
  expect(window.open(10)).toBeUndefined();
  if (a) a.released = true;
  window.advance();
  expect(window.open(9)).toBeUndefined();
  expect(window.open(10)).toBeUndefined();
  expect(window.open(11)).toBeDefined();
});

test("in any order of releases the position is behind exactly the longest released run", () => {
  const cases = fc.record({
    gaps: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3_000 }),
    order: fc.infiniteStream(fc.nat()),
  });
  fc.assert(
    fc.property(cases, ({ gaps, order }) => {
      const window = new OffsetWindow(ASSIGNMENT);
      let at = 100;
      const entries = opened(
        window,
        gaps.map((gap) => (at += gap)),
      );
      const open = [...entries];
      while (open.length > 0) {
        const [entry] = open.splice((order.next().value ?? 0) % open.length, 1);
        if (entry) entry.released = true;
        if (open.length % 7 !== 0) continue;
        const firstOpen = entries.findIndex((one) => !one.released);
        const run = firstOpen === -1 ? entries : entries.slice(0, firstOpen);
        const last = run.at(-1)?.offset;
        expect(window.advance()?.offset).toBe(last === undefined ? undefined : last + 1);
      }
      expect(window.size).toBe(0);
    }),
    { numRuns: 30 },
  );
});
