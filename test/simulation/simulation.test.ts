/** A few seconds of the simulation; `npm run simulate` is its long form. */
import { describe, expect, test } from "vitest";
import { runHistory } from "./history.ts";
import { replayText, runHistories } from "./run.ts";
import { emptyDatabase } from "./store.ts";

const LIMIT_MS = 6_000;

describe("the engine in simulated histories", () => {
  test(`${LIMIT_MS / 1_000} s of histories break no rule`, { timeout: 10 * LIMIT_MS }, async () => {
    const { broken, histories } = await runHistories({ firstSeed: 1, histories: 1_000, limitMs: LIMIT_MS });
    expect(broken === undefined ? "" : replayText(broken)).toBe("");
    expect(histories).toBeGreaterThan(0);
  });

  test("a history is the same every time, to the millisecond, traced or not", async () => {
    const used = emptyDatabase();
    await runHistory(11, undefined, used);
    for (const seed of [3, 42, 137]) {
      const traces = [[], []] as [string[], string[]];
      const results = [];
      for (const trace of traces) results.push(await runHistory(seed, (line) => trace.push(line)));
      results.push(await runHistory(seed, undefined, used));
      expect(traces[0]).toEqual(traces[1]);
      expect(traces[0].length).toBeGreaterThan(20);
      expect(results.map(({ counts, virtualMs }) => [virtualMs, [...counts]])).toEqual(
        Array(3).fill([results[0]?.virtualMs, [...(results[0]?.counts ?? [])]]),
      );
    }
  });
});
