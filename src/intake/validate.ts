/**
 * What makes a PassEvent acceptable, wherever it came from. Two parts: rules that hold for every message (known enum
 * numbers, timestamps within the calendar, finite numbers), found by walking the descriptors so that a new field is
 * covered the day it is added; and the rules of the event itself.
 */
import { type DescEnum, type DescField, type DescMessage, isMessage, ScalarType } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { PassProtocolSchema } from "../../gen/io/pass_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { isEventId } from "../domain/event.ts";
import { isPassProtocol } from "../domain/pass-protocol.ts";
import type { FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/**
 * What is wrong with the event, in the order of its fields; empty where nothing is. Of long lists and maps no more is
 * named than LIMITS.namedViolations. `path` is how the
 * caller names the event (`events[3]`); empty leaves the fields' own names. Nothing that the event says is in it, keys of
 * maps neither: dead letters and logs have it too. An empty id is right: the one who accepts
 * the event makes it one. Whose the event may be is not judged here.
 */
export function validateEvent(event: PassEvent, path: string): readonly FieldViolation[] {
  const prefix = path === "" ? "" : `${path}.`;
  const wrong: FieldViolation[] = [];
  if (event.id !== "" && !isEventId(event.id)) {
    const description = `must be 1 to ${LIMITS.idCharacters} visible ASCII characters, or empty`;
    wrong.push({ field: `${prefix}id`, description });
  }
  if (event.type === PassEventType.UNSPECIFIED) {
    wrong.push({ field: `${prefix}type`, description: "is required" });
  }
  if (event.operationalEvent !== undefined) {
    wrong.push({ field: `${prefix}operational_event`, description: "is set by passbus alone; leave it out" });
  }
  checkPass(event, prefix, wrong);
  checkMessage(PassEventSchema, event, prefix, wrong);
  return wrong;
}

function checkPass(event: PassEvent, prefix: string, wrong: FieldViolation[]): void {
  const { pass, entityId } = event;
  if (entityId !== "" && !isName(entityId)) {
    wrong.push({ field: `${prefix}entity_id`, description: NAME_RULE });
  }
  if (pass === undefined) {
    wrong.push({ field: `${prefix}pass`, description: "is required" });
    return;
  }
  if (!isName(pass.id)) {
    wrong.push({
      field: `${prefix}pass.id`,
      description: pass.id === "" ? "is required" : NAME_RULE,
    });
  }
  if (pass.classId !== "" && !isName(pass.classId)) {
    wrong.push({ field: `${prefix}pass.classId`, description: NAME_RULE });
  }
  if (entityId !== "" && pass.classId !== "" && entityId !== pass.classId) {
    const description = "must be the same as pass.classId, where both are set";
    wrong.push({ field: `${prefix}entity_id`, description });
  }
}

const NAME_RULE = `must be 1 to ${LIMITS.idCharacters} characters without control characters`;

/** Well-formed, because a lone surrogate turns into another character as soon as it is written down. */
function isName(text: string): boolean {
  if (text.length === 0 || text.length > LIMITS.idCharacters || !text.isWellFormed()) return false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return false;
  }
  return true;
}

/** Checks one field's value, which is not undefined. `path` is the field's own. */
type Check = (value: unknown, path: string, wrong: FieldViolation[]) => void;

interface FieldCheck {
  readonly name: string;
  readonly localName: string;
  /** The local name of the oneof that the field stands in. */
  readonly oneof: string | undefined;
  readonly check: Check;
}

const compiled = new Map<DescMessage, readonly FieldCheck[]>();

/** The fields of a message that a rule is about. Made once for each message type. */
function checksOf(message: DescMessage): readonly FieldCheck[] {
  const known = compiled.get(message);
  if (known !== undefined) return known;
  const checks: FieldCheck[] = [];
  // Before the fields are looked at, so that a message that holds itself ends.
  compiled.set(message, checks);
  for (const field of message.fields) {
    const check = checkOf(field);
    if (check === undefined) continue;
    checks.push({
      name: field.name,
      localName: field.localName,
      oneof: field.oneof?.localName,
      check,
    });
  }
  return checks;
}

function checkOf(field: DescField): Check | undefined {
  switch (field.fieldKind) {
    case "enum":
      return enumCheck(field.enum);
    case "message":
      return messageCheck(field.message);
    case "scalar":
      return field.scalar === ScalarType.DOUBLE || field.scalar === ScalarType.FLOAT ? checkFinite : undefined;
    case "list": {
      const item = field.listKind === "enum" ? enumCheck(field.enum) : undefined;
      const check = item ?? (field.listKind === "message" ? messageCheck(field.message) : undefined);
      return check && listCheck(check);
    }
    case "map": {
      const item = field.mapKind === "enum" ? enumCheck(field.enum) : undefined;
      const check = item ?? (field.mapKind === "message" ? messageCheck(field.message) : undefined);
      return check && mapCheck(check);
    }
  }
}

function checkMessage(type: DescMessage, message: object, prefix: string, wrong: FieldViolation[]): void {
  const fields = message as Readonly<Record<string, unknown>>;
  for (const { name, localName, oneof, check } of checksOf(type)) {
    const value = oneof === undefined ? fields[localName] : chosen(fields[oneof], localName);
    if (value !== undefined) check(value, `${prefix}${name}`, wrong);
  }
}

/** What a oneof holds, if it is this field. */
function chosen(oneof: unknown, localName: string): unknown {
  const choice = oneof as { readonly case: string | undefined; readonly value?: unknown };
  return choice.case === localName ? choice.value : undefined;
}

/** protobuf-es hands unknown numbers through, from binary and from JSON: nothing behind could name or render them. */
function enumCheck(type: DescEnum): Check {
  // The one enum that has numbers without names; formats that write names write these as numbers.
  const hasUnnamed = type.typeName === PassProtocolSchema.typeName;
  return (value, path, wrong) => {
    if (type.value[value as number] !== undefined || (hasUnnamed && isPassProtocol(value as number))) return;
    wrong.push({ field: path, description: `is not a number of ${type.typeName}` });
  };
}

function messageCheck(type: DescMessage): Check {
  if (type.typeName === "google.protobuf.Timestamp") return checkTimestamp;
  if (type.typeName === "google.protobuf.Struct") return (value, path, wrong) => checkContent(value, path, 1, wrong);
  return (value, path, wrong) => checkMessage(type, value as object, `${path}.`, wrong);
}

function listCheck(check: Check): Check {
  return (value, path, wrong) => {
    const items = value as readonly unknown[];
    // What is named no longer costs no more words: a list may be as long as the record.
    for (let at = 0; at < items.length && !isEnough(wrong); at++) check(items[at], `${path}[${at}]`, wrong);
  };
}

function mapCheck(check: Check): Check {
  return (value, path, wrong) => {
    for (const item of Object.values(value as object)) {
      if (isEnough(wrong)) return;
      check(item, `${path}[]`, wrong);
    }
  };
}

function isEnough(wrong: readonly FieldViolation[]): boolean {
  return wrong.length >= LIMITS.namedViolations;
}

const checkFinite: Check = (value, path, wrong) => {
  if (!Number.isFinite(value)) wrong.push({ field: path, description: "must be a finite number" });
};

const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/** google/protobuf/timestamp.proto: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z, nanoseconds counting forward. */
const checkTimestamp: Check = (value, path, wrong) => {
  if (!isMessage(value, TimestampSchema)) return;
  const { seconds, nanos }: Timestamp = value;
  if (seconds >= FIRST_SECOND && seconds <= LAST_SECOND && nanos >= 0 && nanos < 1_000_000_000) return;
  wrong.push({
    field: path,
    description: "must lie in the years 1 to 9999, with 0 to 999,999,999 nanoseconds",
  });
};

/** A Struct, which protobuf-es holds as plain JSON. Says the first thing that is wrong: content can be large. */
function checkContent(value: unknown, path: string, depth: number, wrong: FieldViolation[]): boolean {
  if (typeof value === "number" && !Number.isFinite(value)) {
    wrong.push({ field: path, description: "must hold finite numbers only" });
    return false;
  }
  if (typeof value === "string" && !value.isWellFormed()) {
    wrong.push({ field: path, description: "must hold Unicode text without lone surrogates" });
    return false;
  }
  if (typeof value !== "object" || value === null) return true;
  if (depth > LIMITS.contentDepth) {
    wrong.push({
      field: path,
      description: `must not be nested deeper than ${LIMITS.contentDepth}`,
    });
    return false;
  }
  for (const [key, item] of Object.entries(value)) {
    if (!checkContent(key, path, depth, wrong) || !checkContent(item, path, depth + 1, wrong)) return false;
  }
  return true;
}
