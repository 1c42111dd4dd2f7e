import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import { seededRandom } from "../kernel/random.ts";
import { classify, decide, errorCodeOf, parseRetryAfter } from "./classify.ts";
import type { Exchange } from "./sender.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const HOUR = 3_600_000;

function response(status: number, headers: Record<string, string> = {}): Exchange {
  return { kind: "response", status, headers, excerpt: new Uint8Array(), durationMs: 5 };
}

// Any 2xx acknowledges (seed 000), 200 among them (seeds 002 and 003).
describe("classify", () => {
  test.each([
    [200, "delivered", undefined],
    [204, "delivered", undefined],
    [299, "delivered", undefined],
    [199, "rejected", "http.status"],
    [301, "rejected", "http.redirect"],
    [400, "rejected", "http.status"],
    [410, "rejected", "http.gone"],
    [500, "rejected", "http.status"],
  ] as const)("%i is %s", (status, kind, code) => {
    const outcome = classify(response(status), NOW);
    expect(outcome.kind).toBe(kind);
    expect(errorCodeOf(outcome)).toBe(code);
  });

  test("Retry-After counts for 429 and 503 alone", () => {
    const headers = { "retry-after": "120" };
    for (const status of [429, 503])
      expect(classify(response(status, headers), NOW)).toMatchObject({ retryAfterMs: 120_000 });
    expect(classify(response(500, headers), NOW)).not.toHaveProperty("retryAfterMs");
  });

  test("a failure keeps its reason, a cut attempt is no failure of the receiver", () => {
    const failure = { kind: "failure", message: "", durationMs: 1 } as const;
    expect(classify({ ...failure, reason: "dns.failed" }, NOW)).toEqual({ kind: "unreachable", reason: "dns.failed" });
    expect(classify({ ...failure, reason: "attempt.cancelled" }, NOW)).toEqual({ kind: "cancelled" });
  });
});

describe("Retry-After", () => {
  test.each([
    ["0", 1_000],
    ["120", 120_000],
    [" 5 ", 5_000],
    ["9999999999", 24 * HOUR],
    ["Sat, 21 Nov 2026 12:01:00 GMT", 60_000],
    ["Sat, 21 Nov 2026 11:00:00 GMT", 1_000],
    ["Sun, 22 Nov 2027 12:00:00 GMT", 24 * HOUR],
  ])("%s waits %i ms", (value, waitMs) => {
    expect(parseRetryAfter(value, NOW)).toBe(waitMs);
  });

  test.each(["", "-1", "1.5", "1e3", "soon", "99999999999", "2026-11-21T12:01:00Z", "Sat, 41 Nov 2026 12:01:00 GMT"])(
    "%j is ignored",
    (value) => {
      expect(parseRetryAfter(value, NOW)).toBeUndefined();
    },
  );

  test("whatever comes, the wait is within its bounds or nothing", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const waitMs = parseRetryAfter(value, NOW) ?? 1_000;
        expect(waitMs).toBeGreaterThanOrEqual(1_000);
        expect(waitMs).toBeLessThanOrEqual(24 * HOUR);
      }),
    );
  });
});

describe("decide", () => {
  const random = seededRandom(1);
  const rejected = { kind: "rejected", status: 500 } as const;

  test("success ends it", () => {
    const decision = decide({ kind: "delivered", status: 200 }, DEFAULT_POLICY, 1, NOW, random);
    expect(decision).toEqual({ next: { status: "delivered", finishedAtMs: NOW }, gone: false });
  });

  test("each failure waits its step of the schedule, within 20 % of it", () => {
    DEFAULT_POLICY.retryScheduleMs.forEach((stepMs, at) => {
      for (let round = 0; round < 50; round++) {
        const { next } = decide(rejected, DEFAULT_POLICY, at + 1, NOW, random);
        if (next.status !== "waiting") throw new Error(`attempt ${at + 1} is ${next.status}`);
        expect(next.dueAtMs - NOW).toBeGreaterThanOrEqual(stepMs * 0.8 - 1);
        expect(next.dueAtMs - NOW).toBeLessThanOrEqual(stepMs * 1.2 + 1);
        expect(next.workClass).toBe("retry");
      }
    });
  });

  test("the default schedule has ten waits of about 75 hours in all", () => {
    const sumMs = DEFAULT_POLICY.retryScheduleMs.reduce((sum, stepMs) => sum + stepMs, 0);
    expect(DEFAULT_POLICY.retryScheduleMs).toHaveLength(10);
    expect(sumMs / HOUR).toBeCloseTo(75.6, 1);
  });

  test("behind the last step it has failed", () => {
    const attempts = DEFAULT_POLICY.retryScheduleMs.length + 1;
    expect(decide(rejected, DEFAULT_POLICY, attempts, NOW, random).next).toEqual({
      status: "failed",
      finishedAtMs: NOW,
    });
  });

  test("Retry-After lengthens a wait and never shortens it", () => {
    const asks = (retryAfterMs: number) =>
      decide({ kind: "rejected", status: 503, retryAfterMs }, DEFAULT_POLICY, 1, NOW, random).next;
    expect(asks(HOUR)).toMatchObject({ dueAtMs: NOW + HOUR });
    const short = asks(1_000);
    expect(short.status === "waiting" && short.dueAtMs - NOW).toBeGreaterThanOrEqual(4_000);
  });

  test("410 fails at once and turns the subscription off", () => {
    const decision = decide({ kind: "rejected", status: 410 }, DEFAULT_POLICY, 1, NOW, random);
    expect(decision).toEqual({ next: { status: "failed", finishedAtMs: NOW }, gone: true });
  });

  test("a mistake of ours is tried again like any failure", () => {
    const error = new CodedError("format.failed", "x");
    expect(decide({ kind: "ourFault", error }, DEFAULT_POLICY, 1, NOW, random).next.status).toBe("waiting");
  });
});
