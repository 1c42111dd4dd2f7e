/**
 * The breaker of an endpoint and how it has been doing, as pure functions: what an attempt says of the endpoint, what a
 * worker has seen since its last write (a tally), and what the stored row becomes by it. Every number of the breaker
 * stands here.
 */
import type { EndpointKey, EndpointRecord } from "../domain/endpoint.ts";
import type { Outcome } from "../domain/outcome.ts";
import { exponentialWait, jittered } from "../kernel/backoff.ts";
import { type ErrorCode, unreachable } from "../kernel/errors.ts";
import type { Random } from "../kernel/random.ts";
import { errorCodeOf } from "./classify.ts";

export const BREAKER = {
  /** In a row at one worker, they open it: more than a hiccup, and fewer than an endpoint's default of 64 in flight. */
  failures: 10,
  openMs: 5_000,
  /** The longest that it stays open, whatever `Retry-After` asks for: a probe costs the endpoint one request. */
  openMaxMs: 5 * 60_000,
  /** ± 20 %, so that endpoints that failed together are not probed together. */
  jitter: 0.2,
  /** Opened again so soon after it was closed, it goes on with the waits where they were. */
  calmMs: 60_000,
  /** The worker that probes has so long; then another may. Longer than any attempt. */
  probeLeaseMs: 60_000,
  /** Failures that open no breaker (a 400 comes from an endpoint that lives) are told of after so many, */
  alarmFailures: 10,
  /** or after this time and fewer. */
  alarmMs: 5 * 60_000,
  alarmFewest: 3,
} as const;

/**
 * What an attempt says of its endpoint. `well`: it took the webhook. `alive`: it answered, and said no to this one.
 * `down`: it did not answer, or said that it can't now. `nothing`: it wasn't asked.
 */
export type Judgement = "well" | "alive" | "down" | "nothing";

const TIMED_OUT = 408;
const TOO_MANY = 429;

export function judge(outcome: Outcome): Judgement {
  switch (outcome.kind) {
    case "delivered":
      return "well";
    case "rejected":
      return outcome.status >= 500 || outcome.status === TOO_MANY || outcome.status === TIMED_OUT ? "down" : "alive";
    case "unreachable":
      return "down";
    case "ourFault":
    case "cancelled":
      return "nothing";
    default:
      return unreachable(outcome);
  }
}

/** What one worker saw of an endpoint since its last write. */
export interface Tally {
  /** The newest answer that shows that it lives, be it no. */
  readonly answeredAtMs?: number;
  readonly succeededAtMs?: number;
  readonly failedAtMs?: number;
  readonly error?: ErrorCode;
  /** Since the newest success in it. */
  readonly failures: number;
  /** The first of these. */
  readonly failingSinceMs?: number;
  /** The breaker is to open: enough failures in a row, or this worker's probe failed. */
  readonly opening?: { readonly byProbe: boolean; readonly retryAfterMs: number };
  /** This worker's probe was answered: it closes, whatever the clocks of others said when they opened it. */
  readonly closing?: true;
  /** What was told of it is to be noted. */
  readonly told?: Alarm;
}

/** What was told of an endpoint: that it has been failing since `sinceMs`, or, after that, that it has recovered. */
export interface Alarm {
  readonly kind: "failing" | "recovered";
  readonly sinceMs: number;
}

/** Of one attempt; undefined where it says nothing. */
export function tallyOf(outcome: Outcome, nowMs: number): Tally | undefined {
  const judgement = judge(outcome);
  if (judgement === "nothing") return undefined;
  if (judgement === "well") return { answeredAtMs: nowMs, succeededAtMs: nowMs, failures: 0 };
  const error = errorCodeOf(outcome);
  return {
    ...(judgement === "alive" ? { answeredAtMs: nowMs } : {}),
    failedAtMs: nowMs,
    ...(error === undefined ? {} : { error }),
    failures: 1,
    failingSinceMs: nowMs,
  };
}

/** Both together; `later` was seen after `earlier`. A live answer that came after an opening takes it back. */
export function joined(earlier: Tally | undefined, later: Tally): Tally {
  if (earlier === undefined) return later;
  const { opening, closing, ...before } = earlier;
  const isLive = later.answeredAtMs !== undefined;
  const both: Tally = {
    ...before,
    ...(opening === undefined || isLive ? {} : { opening }),
    ...(closing === undefined || later.opening !== undefined ? {} : { closing }),
    ...later,
  };
  if (later.succeededAtMs !== undefined) {
    const { failingSinceMs: _, ...rest } = both;
    return later.failingSinceMs === undefined ? rest : both;
  }
  return {
    ...both,
    failures: earlier.failures + later.failures,
    ...(earlier.failingSinceMs === undefined ? {} : { failingSinceMs: earlier.failingSinceMs }),
  };
}

/**
 * For how long it has been failing by a tally, as far as that is believed. What goes back counts back: of a clock that
 * jumps there and back, or of two workers whose clocks differ, nothing is left.
 * @param mostGapMs what the time between two failures counts at most.
 */
export function failingFor(stored: EndpointRecord | undefined, tally: Tally, mostGapMs: number): number {
  const isSame = tally.succeededAtMs === undefined && stored?.failingSinceMs !== undefined;
  const believedMs = isSame ? (stored.failingForMs ?? 0) : 0;
  const fromMs = isSame ? stored.lastFailureAtMs : tally.failingSinceMs;
  if (tally.failedAtMs === undefined || fromMs === undefined) return believedMs;
  const gapMs = Math.max(-mostGapMs, Math.min(tally.failedAtMs - fromMs, mostGapMs));
  return Math.max(0, believedMs + gapMs);
}

/** What the stored row becomes by a tally; `stored` undefined: there is none. */
export function folded(
  key: EndpointKey,
  stored: EndpointRecord | undefined,
  tally: Tally,
  nowMs: number,
  random: Random,
  mostGapMs: number,
): EndpointRecord {
  const { tenant, subscriptionId } = key;
  const before = stored ?? { tenant, subscriptionId, version: 0, ...NEW };
  const { failingSinceMs: failing, failingForMs: _, ...rest } = before;
  const succeeded = tally.succeededAtMs !== undefined;
  const failingSinceMs = succeeded ? tally.failingSinceMs : (failing ?? tally.failingSinceMs);
  const health: EndpointRecord = {
    ...rest,
    version: before.version + 1,
    consecutiveFailures: (succeeded ? 0 : before.consecutiveFailures) + tally.failures,
    ...(failingSinceMs === undefined ? {} : { failingSinceMs, failingForMs: failingFor(stored, tally, mostGapMs) }),
    ...(tally.succeededAtMs === undefined ? {} : { lastSuccessAtMs: tally.succeededAtMs }),
    ...(tally.failedAtMs === undefined ? {} : { lastFailureAtMs: tally.failedAtMs }),
    ...(tally.error === undefined ? {} : { lastError: tally.error }),
  };
  return withBreaker(withAlarm(health, tally.told), tally, nowMs, random);
}

const NEW = { breaker: "closed", openings: 0, consecutiveFailures: 0 } as const;

/** Another worker may have told the same, and noted it. */
function withAlarm(record: EndpointRecord, told: Alarm | undefined): EndpointRecord {
  if (told === undefined) return record;
  if (told.kind === "failing") {
    return record.failingSinceMs === told.sinceMs ? { ...record, alarmedSinceMs: told.sinceMs } : record;
  }
  const { alarmedSinceMs, ...rest } = record;
  return alarmedSinceMs === told.sinceMs ? rest : record;
}

/** What is to be told of an endpoint and was not yet, as far as the stored row says. */
export function alarmOf(record: EndpointRecord, nowMs: number): Alarm | undefined {
  const { alarmedSinceMs, failingSinceMs } = record;
  if (alarmedSinceMs !== undefined) {
    return alarmedSinceMs === failingSinceMs ? undefined : { kind: "recovered", sinceMs: alarmedSinceMs };
  }
  return failingSinceMs !== undefined && isAlarming(record, nowMs - failingSinceMs)
    ? { kind: "failing", sinceMs: failingSinceMs }
    : undefined;
}

function isAlarming({ breaker, consecutiveFailures }: EndpointRecord, failingMs: number): boolean {
  if (breaker !== "closed" || consecutiveFailures >= BREAKER.alarmFailures) return true;
  return consecutiveFailures >= BREAKER.alarmFewest && failingMs >= BREAKER.alarmMs;
}

function withBreaker(record: EndpointRecord, tally: Tally, nowMs: number, random: Random): EndpointRecord {
  const { opening, closing = false, answeredAtMs } = tally;
  if (opening !== undefined) {
    // Somebody else has opened it already, or has taken over a probe whose lease ended.
    const isStale = opening.byProbe ? record.breaker !== "halfOpen" : record.breaker !== "closed";
    return isStale ? record : opened(record, opening.retryAfterMs, nowMs, random);
  }
  const isLive = closing || (answeredAtMs !== undefined && answeredAtMs >= (record.openedAtMs ?? 0));
  if (record.breaker === "closed" || !isLive) return record;
  const { probeAtMs: _, ...rest } = record;
  return { ...rest, breaker: "closed", closedAtMs: nowMs };
}

function opened(record: EndpointRecord, retryAfterMs: number, nowMs: number, random: Random): EndpointRecord {
  const goesOn =
    record.breaker !== "closed" || nowMs - (record.closedAtMs ?? Number.NEGATIVE_INFINITY) < BREAKER.calmMs;
  const openings = goesOn ? record.openings + 1 : 1;
  const waitMs = openFor(openings, retryAfterMs, random);
  return { ...record, breaker: "open", openedAtMs: nowMs, probeAtMs: nowMs + waitMs, openings };
}

/** How long it stays open, at the n-th opening in a row. */
export function openFor(openings: number, retryAfterMs: number, random: Random): number {
  const { openMs, openMaxMs, jitter } = BREAKER;
  const waitMs = jittered(exponentialWait(openings - 1, openMs, openMaxMs), jitter, random);
  return Math.max(waitMs, Math.min(retryAfterMs, openMaxMs));
}

/** When the probe may go. A time that no pause reaches was written by a clock that has been set back since: now. */
export function probeTimeMs({ probeAtMs = 0 }: Pick<EndpointRecord, "probeAtMs">, nowMs: number): number {
  const { openMaxMs, jitter, probeLeaseMs } = BREAKER;
  const latestMs = nowMs + Math.max(openMaxMs * (1 + jitter), probeLeaseMs);
  return probeAtMs > latestMs ? nowMs : probeAtMs;
}

/** One worker takes the probe of an open breaker: this record, where nobody writes before it. */
export function probing(record: EndpointRecord, nowMs: number): EndpointRecord {
  const { probeLeaseMs } = BREAKER;
  return { ...record, version: record.version + 1, breaker: "halfOpen", probeAtMs: nowMs + probeLeaseMs };
}

/** Nothing is sent there any more, so no probe would close it. */
export function breakerClosed({ probeAtMs: _, ...record }: EndpointRecord, nowMs: number): EndpointRecord {
  return { ...record, version: record.version + 1, breaker: "closed", closedAtMs: nowMs };
}

/** The probe was not sent: another may go at once. */
export function probeReleased(record: EndpointRecord, nowMs: number): EndpointRecord {
  return { ...record, version: record.version + 1, breaker: "open", probeAtMs: nowMs };
}
