import { describe, expect, test } from "vitest";
import { ClaimTurns } from "../../delivery/claim-shares.ts";
import { type DueRows, shareOut } from "./shares.ts";

/** Lanes with so many due rows each; `asked` notes every question. */
function dueIn(counts: Readonly<Record<string, number>>): { due: DueRows<string>; asked: [string, number, number][] } {
  const asked: [string, number, number][] = [];
  return {
    asked,
    async due(lane, from, count) {
      asked.push([lane, from, count]);
      const all = Array.from({ length: counts[lane] ?? 0 }, (_, index) => `${lane}${index}`);
      return all.slice(from, from + count);
    },
  };
}

const lanes = (names: string, slots = 100) => [...names].map((lane) => ({ organisation: "acme", lane, slots }));

const countsIn = (rows: readonly string[]): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const [lane = ""] of rows) counts[lane] = (counts[lane] ?? 0) + 1;
  return counts;
};

describe("shares of a claim", () => {
  test("what one lane does not use goes to the others, and no row comes twice", async () => {
    const rows = await shareOut(lanes("abc"), 20, new ClaimTurns(), dueIn({ a: 50, b: 50, c: 2 }).due);
    expect(countsIn(rows)).toEqual({ a: 9, b: 9, c: 2 });
    expect(new Set(rows).size).toBe(20);
  });

  test("the lane behind the last one that was served begins", async () => {
    const counts = { a: 9, b: 9, c: 9 };
    const turns = new ClaimTurns();
    const served = [];
    for (let claim = 0; claim < 4; claim++) served.push(...(await shareOut(lanes("cab"), 1, turns, dueIn(counts).due)));
    expect(served).toEqual(["a0", "b0", "c0", "a0"]);
  });

  test("a lane gets no more than its free slots, and is asked no more then", async () => {
    const { due, asked } = dueIn({ a: 50, b: 50 });
    const queues = [
      { organisation: "acme", lane: "a", slots: 3 },
      { organisation: "acme", lane: "b", slots: 8 },
    ];
    const rows = await shareOut(queues, 100, new ClaimTurns(), due);
    expect(countsIn(rows)).toEqual({ a: 3, b: 8 });
    expect(asked).toEqual([
      ["a", 0, 3],
      ["b", 0, 8],
    ]);
  });

  test("nobody is asked for nothing", async () => {
    const { due, asked } = dueIn({ a: 5 });
    expect(await shareOut(lanes("a"), 0, new ClaimTurns(), due)).toEqual([]);
    expect(await shareOut([], 5, new ClaimTurns(), due)).toEqual([]);
    expect(asked).toEqual([]);
  });
});
