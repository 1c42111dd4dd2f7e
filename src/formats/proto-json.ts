/**
 * Writes messages as protojson text (https://protobuf.dev/programming-guides/json/), as `JSON.stringify(toJson(…))` of
 * protobuf-es does, without the objects in between: it is on the way of every webhook. What a message type needs is
 * worked out once. proto-json.test.ts holds it to protobuf-es over random events.
 */
import { type DescEnum, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, type Timestamp } from "@bufbuild/protobuf/wkt";
import { CodedError } from "../kernel/errors.ts";

/** A value's JSON; undefined where it is the zero value of a field that then is left out. */
type WriteField = (value: unknown) => string | undefined;
type WriteValue = (value: unknown) => string;
type Fields = Readonly<Record<string, unknown>>;

interface Member {
  /** `"name":` */
  readonly key: string;
  readonly read: (message: Fields) => unknown;
  readonly write: WriteField;
}

const compiled = new Map<DescMessage, WriteValue>();

/** @throws CodedError `format.failed` for a value that JSON cannot say: a time outside the years 1 to 9999. */
export function protoJson<Desc extends DescMessage>(type: Desc, message: MessageShape<Desc>): string {
  return writerOf(type)(message);
}

function writerOf(type: DescMessage): WriteValue {
  const known = compiled.get(type);
  if (known !== undefined) return known;
  const special = SPECIAL[type.typeName];
  if (special !== undefined) {
    compiled.set(type, special);
    return special;
  }
  if (type.typeName.startsWith("google.protobuf."))
    throw new CodedError("internal", `no JSON for ${type.typeName} yet`);
  const members: Member[] = [];
  const write: WriteValue = (message) => {
    let text = "";
    for (const { key, read, write } of members) {
      const value = read(message as Fields);
      if (value === undefined) continue;
      const json = write(value);
      if (json !== undefined) text += text === "" ? key + json : `,${key}${json}`;
    }
    return `{${text}}`;
  };
  // Before its fields are looked at, so that a type that holds itself ends.
  compiled.set(type, write);
  for (const field of type.fields) members.push(memberOf(field));
  return write;
}

function memberOf(field: DescField): Member {
  return { key: `${JSON.stringify(field.jsonName)}:`, read: readerOf(field), write: fieldWriter(field) };
}

function readerOf({ oneof, localName }: DescField): Member["read"] {
  if (oneof === undefined) return (message) => message[localName];
  return (message) => {
    const chosen = message[oneof.localName] as { readonly case?: string; readonly value?: unknown } | undefined;
    return chosen?.case === localName ? chosen.value : undefined;
  };
}

function fieldWriter(field: DescField): WriteField {
  switch (field.fieldKind) {
    case "scalar":
      return leavingOutZero(field, scalarWriter(field.scalar));
    case "enum":
      return leavingOutZero(field, enumWriter(field.enum));
    case "message":
      return writerOf(field.message);
    case "list": {
      const write = itemWriter(field);
      return (value) => {
        const items = value as readonly unknown[];
        return items.length === 0 ? undefined : `[${items.map(write).join(",")}]`;
      };
    }
    case "map": {
      const write = itemWriter(field);
      return (value) => mapJson(value as Fields, write);
    }
    default:
      return field satisfies never;
  }
}

/** Of a list's items, or of a map's values. */
function itemWriter({ message, enum: type, scalar }: DescField & { readonly fieldKind: "list" | "map" }): WriteValue {
  if (message !== undefined) return writerOf(message);
  return type !== undefined ? enumWriter(type) : scalarWriter(scalar);
}

function mapJson(map: Fields, write: WriteValue): string | undefined {
  let text = "";
  for (const key of Object.keys(map)) {
    const member = `${JSON.stringify(key)}:${write(map[key])}`;
    text += text === "" ? member : `,${member}`;
  }
  return text === "" ? undefined : `{${text}}`;
}

/** Proto3: a field without presence is left out at its zero value; one that is set on purpose (optional, oneof) is not. */
function leavingOutZero(field: DescField, write: WriteValue): WriteField {
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) return write;
  return (value) => (isZero(value) ? undefined : write(value));
}

/** Negative zero is not the zero value. */
function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === "" || value === false || value === 0n || (value === 0 && !Object.is(value, -0));
}

function enumWriter(type: DescEnum): WriteValue {
  if (type.typeName === "google.protobuf.NullValue") return () => "null";
  const names = new Map(type.values.map((value) => [value.number, JSON.stringify(value.name)]));
  // Enums are open: a number without a name stands for itself.
  return (value) => names.get(value as number) ?? String(value);
}

function scalarWriter(scalar: ScalarType): WriteValue {
  switch (scalar) {
    case ScalarType.STRING:
      return (value) => JSON.stringify(value);
    case ScalarType.BYTES:
      return (value) => `"${Buffer.from(value as Uint8Array).toString("base64")}"`;
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return (value) => `"${value}"`;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return (value) => (Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`);
    default:
      return String;
  }
}

const SPECIAL: Readonly<Record<string, WriteValue>> = {
  "google.protobuf.Timestamp": (value) => `"${rfc3339(value as Timestamp)}"`,
  // protobuf-es holds it as plain JSON.
  "google.protobuf.Struct": (value) => JSON.stringify(value),
};

const FIRST_SECOND = Date.parse("0001-01-01T00:00:00Z") / 1_000;
const LAST_SECOND = Date.parse("9999-12-31T23:59:59Z") / 1_000;

/** RFC 3339, with as many digits of the second as it has: none, 3, 6 or 9. Throws as `dateTime` does. */
export function rfc3339(time: Timestamp): string {
  const whole = dateTime(time);
  if (time.nanos === 0) return `${whole}Z`;
  const digits = String(time.nanos).padStart(9, "0");
  const kept = digits.endsWith("000000") ? 3 : digits.endsWith("000") ? 6 : 9;
  return `${whole}.${digits.slice(0, kept)}Z`;
}

/**
 * RFC 3339 in UTC up to the whole second, without the offset: `2020-12-22T13:41:58`.
 * @throws CodedError `format.failed` outside the years 1 to 9999.
 */
export function dateTime({ seconds }: Timestamp): string {
  const count = Number(seconds);
  if (count < FIRST_SECOND || count > LAST_SECOND) {
    throw new CodedError("format.failed", "a time is outside the years 1 to 9999, which JSON cannot say");
  }
  return wholeSecond(count);
}

/** Times of one event, and of events in a row, are often of one second, and `toISOString` is dear. */
let lastSecond = 0;
let lastText = "1970-01-01T00:00:00";

function wholeSecond(seconds: number): string {
  if (seconds !== lastSecond) {
    lastText = new Date(seconds * 1_000).toISOString().slice(0, 19);
    lastSecond = seconds;
  }
  return lastText;
}
