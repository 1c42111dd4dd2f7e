import { beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../kernel/clock.ts";
import { Heartbeats } from "./heartbeats.ts";

const SESSION_MS = 10_000;

describe("the age of the last heartbeat", () => {
  let wallMs: number;
  let monotonicMs: number;
  let heartbeats: Heartbeats;
  beforeEach(() => {
    wallMs = 1_700_000_000_000;
    monotonicMs = 5_000;
    const clock: Clock = { now: () => wallMs, monotonic: () => monotonicMs, after: () => () => {} };
    heartbeats = new Heartbeats(clock, SESSION_MS);
  });
  const pass = (ms: number) => {
    wallMs += ms;
    monotonicMs += ms;
  };

  test("nothing is fresh before the first, and after it was forgotten", () => {
    expect(heartbeats.isFresh).toBe(false);
    heartbeats.note(0);
    expect(heartbeats.isFresh).toBe(true);
    heartbeats.forget();
    expect([heartbeats.isFresh, heartbeats.ageMs]).toEqual([false, undefined]);
  });

  test("it is fresh for less than a session", () => {
    heartbeats.note(0);
    pass(SESSION_MS - 1);
    expect(heartbeats.isFresh).toBe(true);
    pass(1);
    expect(heartbeats.isFresh).toBe(false);
  });

  test("an answer that a stopped process finds when it goes on is as old as its question", () => {
    pass(60_000);
    heartbeats.note(60_000);
    expect([heartbeats.ageMs, heartbeats.isFresh]).toEqual([60_000, false]);
  });

  test("the sleep of the machine counts, which the monotonic clock doesn't see", () => {
    heartbeats.note(0);
    wallMs += SESSION_MS;
    expect(heartbeats.isFresh).toBe(false);
  });

  test("wall time that is set back makes nothing younger", () => {
    heartbeats.note(0);
    pass(SESSION_MS);
    wallMs -= 3_600_000;
    expect(heartbeats.isFresh).toBe(false);
  });
});
