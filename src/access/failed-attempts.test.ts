import { describe, expect, test } from "vitest";
import { ManualClock } from "../kernel/manual-clock.ts";
import { FailedAttempts } from "./failed-attempts.ts";

function times(count: number, attempts: FailedAttempts, ...names: string[]) {
  return Array.from({ length: count }, () => attempts.failed(names));
}

describe("failed attempts", () => {
  test("are answered at once, then later and later, then refused for a while", () => {
    const verdicts = times(32, new FailedAttempts(new ManualClock()), "peer a");
    expect(verdicts.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => ({ kind: "answer", delayMs: 0 })));
    expect(verdicts[10]).toEqual({ kind: "answer", delayMs: 50 });
    expect(verdicts[29]).toEqual({ kind: "answer", delayMs: 1_000 });
    expect(verdicts.slice(30)).toEqual([
      { kind: "refuse", retryAfterMs: 6_000 },
      { kind: "refuse", retryAfterMs: 12_000 },
    ]);
  });

  test("are forgiven with time, also after a flood", () => {
    const clock = new ManualClock();
    const attempts = new FailedAttempts(clock);
    times(100_000, attempts, "peer a");
    const [flooded] = times(1, attempts, "peer a");
    expect(flooded).toEqual({ kind: "refuse", retryAfterMs: 180_000 });
    clock.advance(186_000);
    expect(attempts.failed(["peer a"])).toEqual({ kind: "answer", delayMs: 1_000 });
    clock.advance(3_600_000);
    expect(attempts.failed(["peer a"])).toEqual({ kind: "answer", delayMs: 0 });
  });

  test("count under each name for itself, and the worst one decides", () => {
    const attempts = new FailedAttempts(new ManualClock());
    times(31, attempts, "peer a", "key k");
    expect(attempts.failed(["peer b"])).toEqual({ kind: "answer", delayMs: 0 });
    expect(attempts.failed(["peer c", "key k"]).kind).toBe("refuse");
    expect(attempts.failed([])).toEqual({ kind: "answer", delayMs: 0 });
  });

  test("are remembered of so many names and no more, those that failed last", () => {
    const attempts = new FailedAttempts(new ManualClock(), 2);
    times(31, attempts, "a");
    for (const name of ["b", "a", "c"]) attempts.failed([name]);
    expect(attempts.size).toBe(2);
    expect(attempts.failed(["a"]).kind).toBe("refuse");
    times(1, attempts, "d");
    expect(attempts.failed(["c"])).toEqual({ kind: "answer", delayMs: 0 });
  });
});
