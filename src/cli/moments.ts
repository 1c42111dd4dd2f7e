/** Moments on the command line: a time, or how long ago. */
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { systemClock } from "../kernel/clock.ts";

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `1h` or `7d`; undefined where it is no such thing. */
export function durationMs(text: string): number | undefined {
  const [, number, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  return number === undefined || unitMs === undefined ? undefined : Number(number) * unitMs;
}

/** `90s`, `15m`, `1h` or `7d` before now, or a time as RFC 3339 has it: `2026-01-31T12:00:00Z`. */
export function moment(text: string): Timestamp {
  const agoMs = durationMs(text);
  if (agoMs !== undefined) return timestampFromMs(systemClock.now() - agoMs);
  const form = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;
  const timeMs = form.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) {
    throw new InvalidArgumentError("It must be how long ago (90s, 15m, 1h, 7d), or a time like 2026-01-31T12:00:00Z.");
  }
  return timestampFromMs(timeMs);
}
