import { describe, expect, it } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { interruptionOf, untilAborted } from "./interruption.ts";

describe("an interruption", () => {
  it("is asked for by the first signal, and ends the process at the second", () => {
    const terminal = testTerminal();
    const clock = new ManualClock();
    const { asked, failure, forget } = interruptionOf(terminal, clock);
    expect(asked.aborted).toBe(false);
    terminal.signal("SIGTERM");
    expect([asked.aborted, failure("stopped").exitCode, terminal.exits]).toEqual([true, 143, []]);
    clock.advance(299);
    terminal.signal("SIGTERM");
    expect(terminal.exits).toEqual([]);
    clock.advance(1);
    terminal.signal("SIGINT");
    expect(terminal.exits).toEqual([130]);
    forget();
    expect(() => terminal.signal("SIGINT")).toThrow("nobody listens");
  });
});

describe("untilAborted", () => {
  it("hands on what comes, and ends with the signal, whatever the source waits for", async () => {
    const ending = new AbortController();
    async function* source() {
      yield 1;
      yield 2;
      await new Promise(() => {});
    }
    const seen: number[] = [];
    for await (const item of untilAborted(source(), ending.signal)) {
      seen.push(item);
      if (item === 2) ending.abort();
    }
    expect(seen).toEqual([1, 2]);
  });

  it("ends with the source", async () => {
    async function* source() {
      yield 1;
    }
    const seen: number[] = [];
    for await (const item of untilAborted(source(), new AbortController().signal)) seen.push(item);
    expect(seen).toEqual([1]);
  });
});
