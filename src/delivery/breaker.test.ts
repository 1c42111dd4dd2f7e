import { describe, expect, test } from "vitest";
import { conditionOf, type EndpointRecord } from "../domain/endpoint.ts";
import type { Outcome, UnreachableReason } from "../domain/outcome.ts";
import { CodedError } from "../kernel/errors.ts";
import { seededRandom } from "../kernel/random.ts";
import {
  alarmOf,
  BREAKER,
  folded,
  joined,
  judge,
  openFor,
  probeReleased,
  probing,
  type Tally,
  tallyOf,
} from "./breaker.ts";

const T0 = 1_700_000_000_000;
const KEY = { tenant: { organisation: "acme", environment: "production" }, subscriptionId: "sub_1" };
const random = seededRandom(3);
const status = (code: number, retryAfterMs?: number): Outcome => ({
  kind: "rejected",
  status: code,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
const silent = (reason: UnreachableReason): Outcome => ({ kind: "unreachable", reason });
const WELL: Outcome = { kind: "delivered", status: 200 };

test.each<[Outcome, string]>([
  [WELL, "well"],
  [status(400), "alive"],
  [status(404), "alive"],
  [status(301), "alive"],
  [status(410), "alive"],
  [status(408), "down"],
  [status(429), "down"],
  [status(500), "down"],
  [status(503, 1_000), "down"],
  [silent("connect.refused"), "down"],
  [silent("attempt.timeout"), "down"],
  [silent("guard.refused"), "down"],
  [{ kind: "ourFault", error: new CodedError("format.failed", "") }, "nothing"],
  [{ kind: "cancelled" }, "nothing"],
])("%j says of its endpoint: %s", (outcome, judgement) => {
  expect(judge(outcome)).toBe(judgement);
});

/** A tally of attempts, a second apart, from T0 on. */
function tallied(...outcomes: readonly Outcome[]): Tally {
  let tally: Tally | undefined;
  outcomes.forEach((outcome, at) => {
    const one = tallyOf(outcome, T0 + at * 1_000);
    if (one !== undefined) tally = joined(tally, one);
  });
  return tally ?? { failures: 0 };
}

const opening = (byProbe = false, retryAfterMs = 0): Tally => ({
  ...tallied(status(500)),
  opening: { byProbe, retryAfterMs },
});

function fold(record: EndpointRecord | undefined, tally: Tally, nowMs = T0): EndpointRecord {
  return folded(KEY, record, tally, nowMs, random, 3_600_000);
}

describe("health", () => {
  test.each<[string, readonly Outcome[], object]>([
    ["a success", [WELL], { consecutiveFailures: 0, lastSuccessAtMs: T0 }],
    [
      "failures",
      [status(500), silent("dns.failed")],
      { consecutiveFailures: 2, failingSinceMs: T0, lastFailureAtMs: T0 + 1_000, lastError: "dns.failed" },
    ],
    [
      "a success after failures",
      [status(500), status(500), WELL],
      { consecutiveFailures: 0, lastSuccessAtMs: T0 + 2_000 },
    ],
    ["a failure after a success", [WELL, status(400)], { consecutiveFailures: 1, failingSinceMs: T0 + 1_000 }],
  ])("%s", (_what, outcomes, expected) => {
    const record = fold(undefined, tallied(...outcomes));
    expect(record).toMatchObject({ version: 1, breaker: "closed", ...expected });
    expect(record.failingSinceMs === undefined).toBe(!("failingSinceMs" in expected));
    expect(conditionOf(record)).toBe("failingSinceMs" in expected ? "failing" : "healthy");
  });

  test("failures of several tallies, or of several workers, add up to one time of failing", () => {
    const first = fold(undefined, tallied(status(500), status(500)));
    const second = fold(first, tallied(WELL, status(500)), T0 + 9_000);
    expect(second).toMatchObject({ version: 2, failingSinceMs: T0 + 1_000, consecutiveFailures: 1 });
    const third = fold(second, tallied(status(503)), T0 + 10_000);
    expect(third).toMatchObject({
      version: 3,
      failingSinceMs: T0 + 1_000,
      consecutiveFailures: 2,
      lastSuccessAtMs: T0,
    });
    expect(fold(third, tallied(WELL))).not.toHaveProperty("failingSinceMs");
  });

  test("of the time between failures an hour counts, and what goes back counts back", () => {
    const year = 365 * 24 * 3_600_000;
    const failedAt = (record: EndpointRecord | undefined, ms: number) =>
      fold(record, { failures: 1, failedAtMs: T0 + ms, failingSinceMs: T0 + ms });
    const first = failedAt(undefined, 0);
    expect(first.failingForMs).toBe(0);
    const second = failedAt(first, 1_800_000);
    expect(second.failingForMs).toBe(1_800_000);
    const ahead = failedAt(second, year);
    expect(ahead.failingForMs).toBe(5_400_000);
    expect(failedAt(ahead, year + 1_000).failingForMs).toBe(5_401_000);
    expect(failedAt(ahead, 1_801_000)).toMatchObject({ failingForMs: 1_800_000, failingSinceMs: T0 });
    expect(failedAt(first, -year).failingForMs).toBe(0);
    expect(fold(ahead, tallied(WELL))).not.toHaveProperty("failingForMs");
    expect(fold(ahead, tallied(WELL, status(400))).failingForMs).toBe(0);
  });

  test("two tallies joined say what one of both would", () => {
    const outcomes = [status(500), WELL, status(400), status(500), silent("tls.failed"), WELL, WELL, status(429)];
    for (let at = 1; at < outcomes.length; at++) {
      const [left, right] = [outcomes.slice(0, at), outcomes.slice(at)];
      const later = right.reduce<Tally | undefined>((tally, outcome, place) => {
        const one = tallyOf(outcome, T0 + (at + place) * 1_000);
        return one === undefined ? tally : joined(tally, one);
      }, undefined);
      if (later === undefined) throw new Error("nothing seen");
      expect(joined(tallied(...left), later)).toEqual(tallied(...outcomes));
    }
  });
});

describe("the breaker", () => {
  const open = fold(undefined, opening());

  test("opens for five seconds, doubling to five minutes, each spread by a fifth", () => {
    for (const [openings, ms] of [
      [1, 5_000],
      [2, 10_000],
      [4, 40_000],
      [7, 300_000],
      [50, 300_000],
    ] as const) {
      for (let at = 0; at < 20; at++) {
        const waitMs = openFor(openings, 0, random);
        expect(waitMs).toBeGreaterThanOrEqual(ms * 0.8);
        expect(waitMs).toBeLessThanOrEqual(ms * 1.2);
      }
    }
  });

  test("Retry-After makes it longer, to five minutes at most", () => {
    expect(openFor(1, 60_000, random)).toBe(60_000);
    expect(openFor(1, 1_000, random)).toBeGreaterThan(3_999);
    expect(openFor(1, 24 * 3_600_000, random)).toBe(BREAKER.openMaxMs);
  });

  test("is opened once by workers that see the same", () => {
    expect(open).toMatchObject({ breaker: "open", openings: 1, openedAtMs: T0 });
    const again = fold(open, opening(), T0 + 500);
    expect(again).toMatchObject({ breaker: "open", openings: 1, openedAtMs: T0, probeAtMs: open.probeAtMs });
  });

  test("a probe that fails opens it for longer; one that was taken over meanwhile changes nothing", () => {
    const probe = probing(open, T0 + 6_000);
    expect(probe).toMatchObject({ breaker: "halfOpen", version: 2, probeAtMs: T0 + 6_000 + BREAKER.probeLeaseMs });
    const failed = fold(probe, opening(true), T0 + 7_000);
    expect(failed).toMatchObject({ breaker: "open", openings: 2, openedAtMs: T0 + 7_000 });
    expect((failed.probeAtMs ?? 0) - T0 - 7_000).toBeGreaterThanOrEqual(8_000);
    expect(fold(failed, opening(true), T0 + 8_000)).toMatchObject({ openings: 2, probeAtMs: failed.probeAtMs });
  });

  test("a probe that says nothing lets the next go at once", () => {
    const probe = probing(open, T0 + 6_000);
    expect(probeReleased(probe, T0 + 6_100)).toMatchObject({
      breaker: "open",
      openings: 1,
      probeAtMs: T0 + 6_100,
      version: 3,
    });
  });

  test("any answer after the opening closes it, be it a 400; one from before does not", () => {
    const answered = (atMs: number): Tally => ({ failures: 0, answeredAtMs: atMs, succeededAtMs: atMs });
    expect(fold(open, answered(T0 - 1), T0 + 100).breaker).toBe("open");
    const closed = fold(open, answered(T0 + 1), T0 + 100);
    expect(closed).toMatchObject({ breaker: "closed", closedAtMs: T0 + 100 });
    expect(closed).not.toHaveProperty("probeAtMs");
    expect(fold(probing(open, T0), { ...tallied(status(400)), answeredAtMs: T0 + 1 }).breaker).toBe("closed");
    // Whoever opened it may have a clock that is ahead of the prober's.
    expect(fold(open, { ...answered(T0 - 1), closing: true }, T0 + 100).breaker).toBe("closed");
  });

  test("opened again soon after it was closed, it goes on with longer waits; after a while, anew", () => {
    const closed = fold(open, { failures: 0, answeredAtMs: T0 + 1, succeededAtMs: T0 + 1 }, T0 + 10_000);
    expect(fold(closed, opening(), T0 + 20_000).openings).toBe(2);
    expect(fold(closed, opening(), T0 + 10_000 + BREAKER.calmMs).openings).toBe(1);
  });

  test("an answer after failures takes back an opening that was not written yet, and the other way round", () => {
    const well = tallyOf(WELL, T0 + 5_000);
    if (well === undefined) throw new Error("nothing seen");
    expect(joined(opening(), well)).not.toHaveProperty("opening");
    expect(joined({ ...well, closing: true }, opening())).not.toHaveProperty("closing");
    expect(joined(opening(), tallied(status(500)))).toHaveProperty("opening");
  });
});

describe("alarms", () => {
  const failing = (failures: number): EndpointRecord =>
    fold(undefined, { ...tallied(status(400)), failures, failingSinceMs: T0 });

  test.each<[string, EndpointRecord, number, unknown]>([
    ["a failure or two", failing(2), 3_600_000, undefined],
    ["a few, for some minutes", failing(3), 4 * 60_000, undefined],
    ["a few, for longer", failing(3), 5 * 60_000, { kind: "failing", sinceMs: T0 }],
    ["ten in a row", failing(10), 0, { kind: "failing", sinceMs: T0 }],
    ["an open breaker", fold(undefined, opening()), 0, { kind: "failing", sinceMs: T0 }],
    ["a success", fold(undefined, tallied(WELL)), 0, undefined],
  ])("%s", (_what, record, afterMs, alarm) => {
    expect(alarmOf(record, T0 + afterMs)).toEqual(alarm);
  });

  test("each is told until it is noted, and then no more", () => {
    const bad = failing(10);
    const alarm = alarmOf(bad, T0);
    if (alarm === undefined) throw new Error("no alarm");
    const told = fold(bad, { failures: 0, told: alarm });
    expect(told.alarmedSinceMs).toBe(T0);
    expect(alarmOf(told, T0)).toBeUndefined();
    expect(alarmOf(fold(told, tallied(status(500))), T0)).toBeUndefined();
    const well = fold(told, tallied(WELL));
    const recovery = alarmOf(well, T0);
    expect(recovery).toEqual({ kind: "recovered", sinceMs: T0 });
    if (recovery === undefined) throw new Error("no alarm");
    expect(fold(well, { failures: 0, told: recovery })).not.toHaveProperty("alarmedSinceMs");
    // Failing anew before the recovery was told: that comes first.
    expect(alarmOf(fold(well, { ...opening(), failingSinceMs: T0 + 5 }), T0)).toEqual(recovery);
  });

  test("what others made of it meanwhile is not overwritten", () => {
    const well = fold(failing(10), tallied(WELL));
    expect(fold(well, { failures: 0, told: { kind: "failing", sinceMs: T0 } })).not.toHaveProperty("alarmedSinceMs");
  });
});
