/**
 * CEL's getters of a timestamp, in UTC or in a time zone. The library's own go through a Date in the machine's zone,
 * which lacks an hour each spring, and make a formatter of the zone at each call.
 */
import { type CelFunc, CelScalar, celMethod, objectType } from "@bufbuild/cel";
import { TimestampSchema, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CostMeter } from "./filter-meter.ts";

const { INT, STRING } = CelScalar;

const DAY_MS = 86_400_000;

/** Formatters kept; a filter may name any of the 600 zones there are, in any mixture of capitals. */
const KEPT_ZONES = 64;
/** A formatter that isn't kept is made for about 30 microseconds. */
const ZONE_COST = 40;

/** Each with how it reads a date whose UTC fields are the wall clock. */
export const TIME_GETTERS: ReadonlyMap<string, (wall: Date) => number> = new Map([
  ["getFullYear", (wall) => wall.getUTCFullYear()],
  // From 0, as CEL has it.
  ["getMonth", (wall) => wall.getUTCMonth()],
  // From 1.
  ["getDate", (wall) => wall.getUTCDate()],
  // From 0.
  ["getDayOfMonth", (wall) => wall.getUTCDate() - 1],
  // Sunday is 0.
  ["getDayOfWeek", (wall) => wall.getUTCDay()],
  // From 0.
  ["getDayOfYear", (wall) => Math.floor((wall.getTime() - Date.UTC(wall.getUTCFullYear(), 0)) / DAY_MS)],
  ["getHours", (wall) => wall.getUTCHours()],
  ["getMinutes", (wall) => wall.getUTCMinutes()],
  ["getSeconds", (wall) => wall.getUTCSeconds()],
  ["getMilliseconds", (wall) => wall.getUTCMilliseconds()],
]);

/** `+02:00`, `-05:30`, `02:00`, or a name of the IANA database, or `UTC`. */
export function isTimeZone(zone: string): boolean {
  try {
    return offsetMs(zone) !== undefined || formatter(zone) !== undefined;
  } catch {
    return false;
  }
}

export function timeFunctions(meter: CostMeter): readonly CelFunc[] {
  const formatters = new Map<string, Intl.DateTimeFormat>();
  const kept = (zone: string): Intl.DateTimeFormat => {
    const known = formatters.get(zone);
    if (known !== undefined) return known;
    if (formatters.size >= KEPT_ZONES) formatters.clear();
    const made = formatter(zone);
    formatters.set(zone, made);
    return made;
  };
  const wallMs = (utcMs: number, zone: string): number => {
    const offset = offsetMs(zone);
    if (offset !== undefined) return utcMs + offset;
    meter.charge(ZONE_COST);
    return zonedMs(kept(zone), utcMs);
  };
  const timestamp = objectType(TimestampSchema);
  return [...TIME_GETTERS].flatMap(([name, read]) => [
    celMethod(name, timestamp, [], INT, function () {
      return BigInt(read(timestampDate(this.message)));
    }),
    celMethod(name, timestamp, [STRING], INT, function (zone) {
      const utcMs = timestampDate(this.message).getTime();
      return BigInt(read(timestampDate(timestampFromMs(wallMs(utcMs, zone)))));
    }),
  ]);
}

function offsetMs(zone: string): number | undefined {
  const parts = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (parts === null) return undefined;
  const [, sign, hours, minutes] = parts;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** Throws a RangeError where there is no such zone. */
function formatter(zone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    calendar: "gregory",
    hourCycle: "h23",
    era: "short",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
}

function zonedMs(format: Intl.DateTimeFormat, utcMs: number): number {
  const parts = new Map(format.formatToParts(utcMs).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type) ?? 0);
  const wall = timestampDate(timestampFromMs(utcMs));
  const year = parts.get("era") === "BC" ? 1 - part("year") : part("year");
  wall.setUTCFullYear(year, part("month") - 1, part("day"));
  wall.setUTCHours(part("hour"), part("minute"), part("second"));
  return wall.getTime();
}
