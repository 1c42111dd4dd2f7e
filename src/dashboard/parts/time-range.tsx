/** From when to when, as filters in the address: a length back from now, or two times. */
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { nowMs } from "../clock.ts";
import { SelectField, TextField } from "./field.tsx";

const BACK_MS: Readonly<Record<string, number>> = {
  "15m": 900_000,
  "1h": 3_600_000,
  "24h": 86_400_000,
  "7d": 604_800_000,
  "30d": 2_592_000_000,
};

const CHOICES: readonly (readonly [string, string])[] = [
  ["", "Any time"],
  ["15m", "The last 15 min"],
  ["1h", "The last hour"],
  ["24h", "The last 24 h"],
  ["7d", "The last 7 d"],
  ["30d", "The last 30 d"],
  ["between", "From … to …"],
];

/** `since` is one of the lengths, or "between"; then `from` and `to` are times as an input has them, or empty. */
export interface TimeFilter {
  readonly since: string;
  readonly from: string;
  readonly to: string;
}

export interface Range {
  readonly startMs: number;
  /** Infinity where there is none. */
  readonly endMs: number;
}

/** In the browser's zone, as the inputs are. */
export function rangeOf({ since, from, to }: TimeFilter): Range {
  const back = BACK_MS[since];
  if (back !== undefined) return { startMs: nowMs() - back, endMs: Number.POSITIVE_INFINITY };
  if (since !== "between") return { startMs: 0, endMs: Number.POSITIVE_INFINITY };
  return { startMs: Date.parse(from) || 0, endMs: Date.parse(to) || Number.POSITIVE_INFINITY };
}

/** The same for a request. */
export function timesOf(filter: TimeFilter): { readonly startTime?: Timestamp; readonly endTime?: Timestamp } {
  const { startMs, endMs } = rangeOf(filter);
  return {
    ...(startMs > 0 && { startTime: timestampFromMs(startMs) }),
    ...(Number.isFinite(endMs) && { endTime: timestampFromMs(endMs) }),
  };
}

interface TimeRangeProps {
  readonly label: string;
  readonly value: TimeFilter;
  readonly onChange: (value: TimeFilter) => void;
}

export function TimeRange({ label, value, onChange }: TimeRangeProps) {
  return (
    <>
      <SelectField
        label={label}
        value={value.since}
        onChange={(since) => onChange(since === "between" ? { ...value, since } : { since, from: "", to: "" })}
        options={CHOICES}
      />
      {value.since === "between" ? (
        <>
          <TextField
            label="From"
            type="datetime-local"
            value={value.from}
            onChange={(from) => onChange({ ...value, from })}
          />
          <TextField label="To" type="datetime-local" value={value.to} onChange={(to) => onChange({ ...value, to })} />
        </>
      ) : null}
    </>
  );
}
