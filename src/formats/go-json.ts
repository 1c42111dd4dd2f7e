/**
 * JSON as Go's `encoding/json` writes it, for formats whose vendor's server is written in Go. An object is put together
 * from members (`,"key":value`), and a member whose value is empty is an empty string: Go's `omitempty`.
 * test/golden/go holds what Go itself wrote.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { CodedError } from "../kernel/errors.ts";

/** All but what stands for itself: control characters, `"`, `&`, `<`, `>`, `\`, U+2028, U+2029, lone surrogates. */
const SPECIAL = /[^ !#-%'-;=?-[\]-\u2027\u202a-\ud7ff\ue000-\u{10ffff}]/u;
const EACH_SPECIAL = new RegExp(SPECIAL, "gu");

const SHORT: Readonly<Record<string, string>> = {
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  '"': '\\"',
  "\\": "\\\\",
};

/** Go escapes for HTML too, and U+2028 and U+2029, which JavaScript once took for line ends. */
export function goString(text: string): string {
  return SPECIAL.test(text) ? `"${text.replace(EACH_SPECIAL, escaped)}"` : `"${text}"`;
}

/** Half a surrogate pair is no character: Go writes the replacement character, escaped, for what is not UTF-8. */
function escaped(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const unit = character.charCodeAt(0);
  return unit >= 0xd800 && unit <= 0xdfff ? "\\ufffd" : `\\u${unit.toString(16).padStart(4, "0")}`;
}

/**
 * Go and JavaScript agree on the shortest digits, on where the exponent begins (below 1e-6, from 1e21) and on its form.
 * @throws CodedError `format.failed` for infinities and NaN, which Go refuses too.
 */
export function goNumber(value: number): string {
  if (!Number.isFinite(value)) throw new CodedError("format.failed", `JSON has no ${value}`);
  return String(value);
}

/** Puts an object round its members. */
export function goObject(members: string): string {
  return members === "" ? "{}" : `{${members.slice(1)}}`;
}

export function stringMember(key: string, value: string): string {
  return value === "" ? "" : `,"${key}":${goString(value)}`;
}

/** Negative zero is empty too, as in Go. */
export function numberMember(key: string, value: number): string {
  return value === 0 ? "" : `,"${key}":${goNumber(value)}`;
}

export function numbersMember(key: string, values: readonly number[]): string {
  return values.length === 0 ? "" : `,"${key}":[${values.join(",")}]`;
}

export function stringsMember(key: string, values: readonly string[]): string {
  return values.length === 0 ? "" : `,"${key}":[${values.map(goString).join(",")}]`;
}

/** A message that is set is written even where nothing in it is: `"utm":{}`. */
export function messageMember<T>(key: string, message: T | undefined, members: (message: T) => string): string {
  return message === undefined ? "" : `,"${key}":${goObject(members(message))}`;
}

/** Go's struct for a timestamp, not RFC 3339. Seconds are an int64 and may lie beyond what a double can say. */
export function timestampMember(key: string, time: Timestamp | undefined): string {
  if (time === undefined) return "";
  // Printing a BigInt takes several times as long.
  const seconds = Number(time.seconds);
  const digits = Number.isSafeInteger(seconds) ? seconds : time.seconds;
  const member = seconds === 0 ? "" : `,"seconds":${digits}`;
  return `,"${key}":${goObject(member + numberMember("nanos", time.nanos))}`;
}

/** Keys are sorted as text by the bytes of their UTF-8, number keys too. */
export function mapMember(key: string, map: Readonly<Record<string, string>>): string {
  const keys = Object.keys(map);
  if (keys.length === 0) return "";
  if (!areSorted(keys)) keys.sort(byUtf8);
  let members = "";
  for (const name of keys) members += `,${goString(name)}:${goString(map[name] ?? "")}`;
  return `,"${key}":${goObject(members)}`;
}

/** Most maps come sorted, since events are stored that way; comparing natively, they are known by it cheaply. */
function areSorted(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at += 1) {
    if ((keys[at - 1] ?? "") > (keys[at] ?? "")) return false;
  }
  return !keys.some((key) => BEYOND_NATIVE.test(key));
}

/** Below the surrogates the two orders are one. */
const BEYOND_NATIVE = /[\ud800-\uffff]/;

/** JavaScript compares UTF-16 units, which puts U+10000 and on before U+E000 and on; UTF-8 does not. */
function byUtf8(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at += 1) {
    const a = left.charCodeAt(at);
    const b = right.charCodeAt(at);
    if (a !== b) return inCodePointOrder(a) - inCodePointOrder(b);
  }
  return left.length - right.length;
}

/** Moves the surrogates behind the rest of the plane. */
function inCodePointOrder(unit: number): number {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
