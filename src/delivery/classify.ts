/** What an exchange came to, and what follows from it. Pure: the retry rules of the design, section 5, as two tables. */

import type { Outcome } from "../domain/outcome.ts";
import type { DeliveryPolicy } from "../domain/subscription.ts";
import { jittered } from "../kernel/backoff.ts";
import type { ErrorCode } from "../kernel/errors.ts";
import { unreachable } from "../kernel/errors.ts";
import type { Random } from "../kernel/random.ts";
import type { NextState } from "./delivery-store.ts";
import type { Exchange } from "./sender.ts";

const RETRY_AFTER_MIN_MS = 1_000;
const RETRY_AFTER_MAX_MS = 24 * 3_600_000;
/** ± 20 %. */
const JITTER = 0.2;

/** Reads a response or a failure. 2xx is success, everything else is not; a redirect is never followed. */
export function classify(exchange: Exchange, nowMs: number): Outcome {
  if (exchange.kind === "failure") {
    return exchange.reason === "attempt.cancelled"
      ? { kind: "cancelled" }
      : { kind: "unreachable", reason: exchange.reason };
  }
  const { status, headers } = exchange;
  if (status >= 200 && status < 300) return { kind: "delivered", status };
  const retryAfterMs = status === 429 || status === 503 ? parseRetryAfter(headers["retry-after"], nowMs) : undefined;
  return { kind: "rejected", status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/**
 * `Retry-After` (RFC 9110 §10.2.3) as a wait, clamped to 1 s … 24 h: seconds, or an HTTP date in its one form that
 * senders may write (IMF-fixdate). Anything else is ignored.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const waitMs = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : httpDate(text) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, waitMs));
}

function httpDate(text: string): number {
  const form = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
  return form.test(text) ? Date.parse(text) : Number.NaN;
}

/** What the attempt log says went wrong; undefined where nothing did. */
export function errorCodeOf(outcome: Outcome): ErrorCode | undefined {
  switch (outcome.kind) {
    case "delivered":
      return undefined;
    case "rejected":
      if (outcome.status === 410) return "http.gone";
      return outcome.status >= 300 && outcome.status < 400 ? "http.redirect" : "http.status";
    case "unreachable":
      return outcome.reason;
    case "ourFault":
      return outcome.error.code;
    case "cancelled":
      return "attempt.cancelled";
    default:
      return unreachable(outcome);
  }
}

export interface Decision {
  readonly next: NextState;
  /** The receiver said that it is gone for good: its subscription is to be disabled. */
  readonly gone: boolean;
}

/**
 * Where a delivery goes after an attempt.
 * @param attemptsMade attempts of this run, this one counted.
 */
export function decide(
  outcome: Outcome,
  policy: DeliveryPolicy,
  attemptsMade: number,
  nowMs: number,
  random: Random,
): Decision {
  if (outcome.kind === "delivered") return { next: { status: "delivered", finishedAtMs: nowMs }, gone: false };
  if (outcome.kind === "cancelled") {
    return { next: { status: "waiting", dueAtMs: nowMs, workClass: "live" }, gone: false };
  }
  if (outcome.kind === "rejected" && outcome.status === 410) {
    return { next: { status: "failed", finishedAtMs: nowMs }, gone: true };
  }
  const waitMs = policy.retryScheduleMs[attemptsMade - 1];
  if (waitMs === undefined) return { next: { status: "failed", finishedAtMs: nowMs }, gone: false };
  const askedMs = outcome.kind === "rejected" ? (outcome.retryAfterMs ?? 0) : 0;
  const dueAtMs = nowMs + Math.max(jittered(waitMs, JITTER, random), askedMs);
  return { next: { status: "waiting", dueAtMs, workClass: "retry" }, gone: false };
}
