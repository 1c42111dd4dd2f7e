/** Canaries: texts that stand in every secret and personal field of a run, and must turn up nowhere else. */
import { create, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";

/** Part of every canary. */
export const MARK = "qzcanary";

/** An address of the documentation's own (RFC 5737), where a canary must be one. */
export const MARKED_ADDRESS = "203.0.113.177";

export const canary = (name: string): string => `${MARK}-${name}`;

/** What is searched for: the mark, and secrets that were made for the run and so have no mark. */
export class Canaries {
  readonly #texts = new Set([MARK, MARKED_ADDRESS]);

  add(...texts: readonly string[]): void {
    for (const text of texts) {
      if (text.length < 12) throw new Error(`"${text}" would be found by chance`);
      this.#texts.add(text);
    }
  }

  /** Where they stand in a text, each with what is round it, in whatever case. */
  foundIn(where: string, text: string): readonly string[] {
    const lower = text.toLowerCase();
    return [...this.#texts].flatMap((wanted) => {
      const at = lower.indexOf(wanted.toLowerCase());
      return at === -1 ? [] : [`${where}: …${text.slice(Math.max(0, at - 160), at + wanted.length + 60)}…`];
    });
  }
}

/** Names of what has to be something else than text of one's choice, and is no secret. */
const PLAIN = new Set(["id", "class_id", "classId", "organisation_id", "environment", "entity_id"]);

/** An event with a canary in every field that takes text, however deep. */
export function canaryEvent(id: string, passId: string): PassEvent {
  const event = create(PassEventSchema, { ...filled(PassEventSchema, []), id, type: PassEventType.UPDATED });
  if (event.pass === undefined) throw new Error("the event has no pass");
  event.pass.id = passId;
  event.pass.classId = "class-1";
  // passbus's own alone.
  delete event.operationalEvent;
  return event;
}

function filled(message: DescMessage, path: readonly string[]): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const field of message.fields) {
    if (path.length === 0 && PLAIN.has(field.name)) continue;
    const value = textIn(field, [...path, field.name]);
    if (value !== undefined && field.oneof === undefined) given[field.localName] = value;
  }
  return given;
}

function textIn(field: DescField, path: readonly string[]): unknown {
  const text = /ip_?address$/i.test(field.name) ? MARKED_ADDRESS : canary(path.join("-"));
  switch (field.fieldKind) {
    case "scalar":
      return field.scalar === ScalarType.STRING ? text : undefined;
    case "list":
      if (field.listKind === "scalar" && field.scalar === ScalarType.STRING) return [text];
      return field.listKind === "message" ? [inner(field.message, path)] : undefined;
    case "map":
      if (field.mapKind !== "scalar" || field.scalar !== ScalarType.STRING) return undefined;
      return field.mapKey === ScalarType.STRING ? { "members.member.note": text } : { 7: text };
    case "message":
      return inner(field.message, path);
    default:
      return undefined;
  }
}

/** Times and the like take no text. */
function inner(message: DescMessage, path: readonly string[]): unknown {
  return message.typeName.startsWith("google.") ? undefined : create(message, filled(message, path));
}
