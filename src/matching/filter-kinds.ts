/** What is known of a value before there is one: the library checks no types, so a mistyped field would never match. */
import type { DescEnum, DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { StructSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { enumNames } from "./filter-event.ts";

type ScalarName = "text" | "number" | "bool" | "time" | "duration" | "null" | "type" | "bytes";

export type Kind =
  | { readonly is: "message"; readonly type: DescMessage }
  /** `items` where the list is written out. */
  | { readonly is: "list"; readonly of: Kind; readonly items?: readonly Kind[] }
  | { readonly is: "map"; readonly key: Kind; readonly of: Kind }
  | { readonly is: "enum"; readonly type: DescEnum }
  /** `literal` where a text is written out. */
  | { readonly is: ScalarName; readonly literal?: string }
  | { readonly is: "unknown" };

export const UNKNOWN: Kind = { is: "unknown" };
export const BOOL: Kind = { is: "bool" };
export const NUMBER: Kind = { is: "number" };
export const TEXT: Kind = { is: "text" };

export function fieldKind(field: DescField): Kind {
  switch (field.fieldKind) {
    case "scalar":
      return scalarKind(field.scalar);
    case "enum":
      return { is: "enum", type: field.enum };
    case "message":
      return messageKind(field.message);
    case "list":
      return { is: "list", of: elementKind(field) };
    case "map":
      return { is: "map", key: scalarKind(field.mapKey), of: valueKind(field) };
  }
}

function elementKind(field: DescField & { fieldKind: "list" }): Kind {
  if (field.listKind === "message") return messageKind(field.message);
  return field.listKind === "enum" ? { is: "enum", type: field.enum } : scalarKind(field.scalar);
}

function valueKind(field: DescField & { fieldKind: "map" }): Kind {
  if (field.mapKind === "message") return messageKind(field.message);
  return field.mapKind === "enum" ? { is: "enum", type: field.enum } : scalarKind(field.scalar);
}

function messageKind(type: DescMessage): Kind {
  if (type.typeName === TimestampSchema.typeName) return { is: "time" };
  return type.typeName === StructSchema.typeName ? { is: "map", key: TEXT, of: UNKNOWN } : { is: "message", type };
}

function scalarKind(type: ScalarType): Kind {
  switch (type) {
    case ScalarType.STRING:
      return TEXT;
    case ScalarType.BOOL:
      return BOOL;
    case ScalarType.BYTES:
      return { is: "bytes" };
    default:
      return NUMBER;
  }
}

const NAMES: Readonly<Record<Kind["is"], string>> = {
  message: "a message",
  list: "a list",
  map: "a map",
  enum: "a text",
  text: "a text",
  number: "a number",
  bool: "true or false",
  time: "a time",
  duration: "a duration",
  null: "null",
  type: "a type",
  bytes: "bytes",
  unknown: "something",
};

export function nameOf(kind: Kind): string {
  return kind.is === "message" ? `a ${kind.type.name}` : NAMES[kind.is];
}

/** Whether one may turn out to be what the other is. Messages are no maps to whoever writes a filter. */
export function mayMeet(left: Kind, right: Kind): boolean {
  if (left.is === "unknown" || right.is === "unknown") return true;
  return NAMES[left.is] === NAMES[right.is];
}

/** What is wrong with asking whether the two are equal; undefined where nothing is. */
export function comparisonFlaw(left: Kind, right: Kind): string | undefined {
  if (left.is === "enum") return enumFlaw(left.type, right);
  if (right.is === "enum") return enumFlaw(right.type, left);
  if (mayMeet(left, right)) return undefined;
  const hint = left.is === "null" || right.is === "null" ? "; has(…) tells whether a field is set" : "";
  return `${nameOf(left)} never equals ${nameOf(right)}${hint}`;
}

function enumFlaw(type: DescEnum, other: Kind): string | undefined {
  if (other.is === "unknown" || other.is === "enum") return undefined;
  const names = enumNames(type);
  if (other.is === "text" && (other.literal === undefined || names.includes(other.literal))) return undefined;
  const what = other.is === "text" ? JSON.stringify(other.literal) : nameOf(other);
  return `${what} is no ${type.name}; use ${names.map((name) => `"${name}"`).join(", ")}`;
}
