/** GetDeliveryStats as the charts want it. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { DeliveryStats } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { compact, count, duration, durationToMs, rate } from "../../numbers.ts";
import type { Series } from "../../parts/chart.tsx";

/** What can be asked for: how far back, and how it is called. */
export const RANGES = [
  [3_600_000, "the last hour"],
  [6 * 3_600_000, "6 hours"],
  [24 * 3_600_000, "24 hours"],
  [7 * 86_400_000, "7 days"],
  [30 * 86_400_000, "30 days"],
] as const;

export function timesOf(points: readonly DeliveryStats[]): readonly number[] {
  return points.map(({ time }) => msOf(time));
}

export function countSeries(points: readonly DeliveryStats[]): readonly Series[] {
  const show = (value: number) => compact(value);
  const of = (name: string, color: string, pick: (point: DeliveryStats) => bigint): Series => ({
    name,
    color,
    show,
    values: points.map((point) => Number(pick(point))),
  });
  return [
    of("Delivered", "--good", ({ delivered }) => delivered),
    { ...of("Attempts that failed", "--warn", ({ failedAttempts }) => failedAttempts), dashed: true },
    of("Given up", "--bad", ({ failed }) => failed),
  ];
}

/** Counts of a step are here this long after it ended. */
const COUNTED_AFTER_MS = 10_000;

/** Of the whole organisation. A step that isn't over, or not counted yet, has no rate: it would be too low. */
export function rateSeries(points: readonly DeliveryStats[], stepMs: number, nowMs: number): readonly Series[] {
  const of = (name: string, color: string, pick: (point: DeliveryStats) => bigint, dashed = false): Series => ({
    name,
    color,
    dashed,
    show: rate,
    values: points.map((point) =>
      stepMs > 0 && msOf(point.time) + stepMs + COUNTED_AFTER_MS <= nowMs
        ? Number(pick(point)) / (stepMs / 1_000)
        : null,
    ),
  });
  return [
    of("Events", "--accent", ({ events }) => events),
    of("Deliveries", "--good", ({ delivered }) => delivered),
    of("Attempts", "--warn", ({ attempts }) => attempts, true),
  ];
}

/** "per minute", "per 5 min", "per hour" */
export function perStep(stepMs: number): string {
  const text = duration(stepMs);
  return `per ${{ "1 min": "minute", "1 h": "hour", "1 d": "day" }[text] ?? text}`;
}

export function latencySeries(points: readonly DeliveryStats[]): readonly Series[] {
  const of = (name: string, color: string, key: "p50" | "p99" | "delayP50" | "delayP99", dashed = false): Series => ({
    name,
    color,
    dashed,
    show: duration,
    values: points.map((point) => {
      const value = point[key];
      return value === undefined ? null : durationToMs(value);
    }),
  });
  return [
    of("Attempt, median", "--accent", "p50"),
    of("Attempt, 99 of 100 within", "--accent", "p99", true),
    of("Event to delivery, median", "--good", "delayP50"),
    of("Event to delivery, 99 of 100 within", "--good", "delayP99", true),
  ];
}

/** What a range came to, in a sentence. */
export function summaryOf(total: DeliveryStats): string {
  const { delivered, failed, attempts } = total;
  if (attempts === 0n) return "No attempts in this time.";
  return `${count(delivered)} delivered, ${count(failed)} given up, ${count(attempts)} attempts.`;
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}
