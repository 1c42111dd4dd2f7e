/** Numbers, times and sizes as people read them, each with its unit. */
import type { Duration } from "@bufbuild/protobuf/wkt";

const COUNT = new Intl.NumberFormat("en-GB");
const COMPACT = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345 */
export function count(value: number | bigint): string {
  return COUNT.format(value);
}

/** 12.3K: for charts and tiles. */
export function compact(value: number): string {
  return COMPACT.format(value);
}

/** 99.95 %; never 100 % where one of them failed. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const value = (part / whole) * 100;
  const shown = Math.floor(value * 100) / 100;
  return `${shown} %`;
}

/** 0.25/s, 1,234/s: no more digits than mean something. */
export function rate(perSecond: number): string {
  return `${perSecond >= 10 ? count(Math.round(perSecond)) : Number(perSecond.toFixed(2))}/s`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB"] as const;

/** 812 B, 1.5 KiB */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 1_024 && unit < BYTE_UNITS.length - 1) {
    size /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

export function durationToMs(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

const STEPS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** 0.4 ms, 12 ms, 1.25 s, 5 min, 2 h 30 min */
export function duration(ms: number): string {
  if (ms < 1) return ms === 0 ? "0 ms" : `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(2))} s`;
  const parts: string[] = [];
  let rest = Math.round(ms / 1_000) * 1_000;
  for (const [step, unit] of STEPS) {
    const whole = Math.floor(rest / step);
    rest -= whole * step;
    if (whole > 0) parts.push(`${whole} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** Of what is not known exactly: whole seconds, 1 s at least. */
export function roughDuration(ms: number): string {
  return duration(Math.max(1, Math.round(ms / 1_000)) * 1_000);
}

/** "just now", "5 s ago", "3 min ago", "in 2 h", "4 d ago" */
export function relativeTime(atMs: number, nowMs: number): string {
  const distance = Math.abs(nowMs - atMs);
  if (distance < 2_000) return "just now";
  const [step, unit] = STEPS.find(([ms]) => distance >= ms) ?? [1_000, "s"];
  const text = `${Math.floor(distance / step)} ${unit}`;
  return atMs > nowMs ? `in ${text}` : `${text} ago`;
}

const EXACT = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  timeZoneName: "short",
});

/** 22 Nov 2026, 09:21:31.042 UTC, in the browser's zone. */
export function exactTime(ms: number): string {
  return EXACT.format(ms);
}
