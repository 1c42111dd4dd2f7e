/** From the counts that are stored to points of a time series, each with what may be read from it. */
import { invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { mergeInto, quantileMs } from "./histogram.ts";
import { type CountRow, SPAN_MS, type StatsSpan } from "./stats-store.ts";

/** What came of the attempts of one step. */
export interface Point {
  readonly atMs: number;
  readonly delivered: number;
  readonly failed: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly events: number;
  /** Of attempts; absent where there were none. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  /** From acceptance to delivery. */
  readonly delayP50Ms: number | undefined;
  readonly delayP99Ms: number | undefined;
}

/** Times are whole steps. */
export interface Steps {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  /** Of which counts it is made. */
  readonly span: StatsSpan;
}

const DAY_MS = 24 * SPAN_MS.hour;
const USUAL_STEPS_MS = [SPAN_MS.minute, 5 * SPAN_MS.minute, SPAN_MS.hour, DAY_MS] as const;
const USUAL_POINTS = 200;

/** What a request asks for, with what it leaves open filled in. @throws CodedError `request.invalid`. */
export function stepsOf(
  asked: { readonly fromMs?: number; readonly toMs?: number; readonly stepMs?: number },
  nowMs: number,
): Steps {
  const { toMs = nowMs, fromMs = toMs - SPAN_MS.hour } = asked;
  const stepMs = asked.stepMs ?? usualStep(fromMs, toMs);
  if (stepMs <= 0 || stepMs % SPAN_MS.minute !== 0) throw invalidField("step", "must be a whole number of minutes");
  const firstMs = Math.floor(fromMs / stepMs) * stepMs;
  if ((toMs - firstMs) / stepMs > LIMITS.statsPoints) {
    throw invalidField("step", `would give more than ${LIMITS.statsPoints} points; ask for a longer one`);
  }
  return { fromMs: firstMs, toMs, stepMs, span: stepMs % SPAN_MS.hour === 0 ? "hour" : "minute" };
}

function usualStep(fromMs: number, toMs: number): number {
  return USUAL_STEPS_MS.find((stepMs) => (toMs - fromMs) / stepMs <= USUAL_POINTS) ?? DAY_MS;
}

/** One point for each step, the oldest first, those without anything too. */
export function seriesOf(rows: readonly CountRow[], { fromMs, toMs, stepMs }: Steps): readonly Point[] {
  const steps = new Map<number, CountRow[]>();
  for (let atMs = fromMs; atMs < toMs; atMs += stepMs) steps.set(atMs, []);
  for (const row of rows) steps.get(Math.floor(row.atMs / stepMs) * stepMs)?.push(row);
  return [...steps].map(([atMs, each]) => pointOf(each, atMs));
}

/** All of them together. */
export function pointOf(rows: readonly CountRow[], atMs: number): Point {
  const sum = { delivered: 0, failed: 0, attempts: 0, failedAttempts: 0, events: 0 };
  const [durations, delays] = [new Map<number, number>(), new Map<number, number>()];
  for (const row of rows) {
    sum.delivered += row.delivered;
    sum.failed += row.failed;
    sum.attempts += row.attempts;
    sum.failedAttempts += row.failedAttempts;
    sum.events += row.events;
    mergeInto(durations, row.durations);
    mergeInto(delays, row.delays);
  }
  return {
    atMs,
    ...sum,
    p50Ms: quantileMs(durations, 0.5),
    p99Ms: quantileMs(durations, 0.99),
    delayP50Ms: quantileMs(delays, 0.5),
    delayP99Ms: quantileMs(delays, 0.99),
  };
}
