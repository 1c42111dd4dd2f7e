/**
 * One way to write an event down, so that "the same content" is a comparison of bytes: fields in the order of their
 * numbers, which protobuf-es keeps, and the keys of maps and of Structs sorted, which it does not.
 *
 * "Sorted" is as JavaScript enumerates: keys that are array indexes first, by number, then the others by UTF-16 code
 * unit. Only we compare these bytes, so any fixed order will do.
 */
import { type DescField, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Tenant } from "../kernel/tenant.ts";

/**
 * Fills in what the sender may leave open and the one who accepts the event knows: whose it is, its id, and the
 * entity (pass.classId, where none is named). Changes the event. `occurred_at` stays as it was given: an event that is
 * sent again must have the same content, so the log's time is filled in only where the event is read.
 */
export function completeEvent(event: PassEvent, tenant: Tenant, id: string): void {
  event.id = id;
  event.organisationId = tenant.organisation;
  event.environment = tenant.environment;
  if (event.entityId === "") event.entityId = event.pass?.classId ?? "";
}

/** The event as canonical protobuf. Puts the event's own maps in order, which changes nothing that they say. */
export function canonicalBytes(event: PassEvent): Uint8Array {
  sortMaps(PassEventSchema, event);
  return toBinary(PassEventSchema, event);
}

type Fields = Record<string, unknown>;
type Sort = (owner: Fields) => void;

const compiled = new Map<DescMessage, readonly Sort[]>();

function sortMaps(type: DescMessage, message: object): void {
  for (const sort of sortsOf(type)) sort(message as Fields);
}

/** What is to be sorted in messages of a type. Made once for each. */
function sortsOf(type: DescMessage): readonly Sort[] {
  const known = compiled.get(type);
  if (known !== undefined) return known;
  const sorts: Sort[] = [];
  // Before the fields are looked at, so that a message that holds itself ends.
  compiled.set(type, sorts);
  for (const field of type.fields) {
    if (field.oneof === undefined) sorts.push(...sortOf(field));
  }
  return sorts;
}

function sortOf(field: DescField): readonly Sort[] {
  const name = field.localName;
  if (field.fieldKind === "map") return [(owner) => (owner[name] = sortedKeys(owner[name] as Fields))];
  if (field.fieldKind === "list" && field.listKind === "message") {
    const { message } = field;
    if (!holdsMaps(message)) return [];
    return [
      (owner) => {
        for (const item of owner[name] as readonly object[]) sortMaps(message, item);
      },
    ];
  }
  if (field.fieldKind !== "message") return [];
  const { message } = field;
  if (message.typeName === "google.protobuf.Struct") return [(owner) => (owner[name] = sortedContent(owner[name]))];
  if (!holdsMaps(message)) return [];
  return [
    (owner) => {
      const value = owner[name];
      if (value !== undefined) sortMaps(message, value as object);
    },
  ];
}

/** Whether there is anything to sort in a message: most of an event's have nothing, and are passed over. */
function holdsMaps(type: DescMessage): boolean {
  return sortsOf(type).length > 0;
}

/** protobuf-es holds a Struct as plain JSON, and arrays keep their order. */
function sortedContent(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sortedContent);
  const sorted = sortedKeys(value as Fields);
  for (const key of Object.keys(sorted)) sorted[key] = sortedContent(sorted[key]);
  return sorted;
}

/** The same object if its keys are in order. Without a prototype, so that a key `__proto__` is one like any other. */
function sortedKeys(map: Fields): Fields {
  const keys = Object.keys(map);
  if (keys.every((key, at) => at === 0 || (keys[at - 1] ?? "") < key)) return map;
  const sorted: Fields = Object.create(null);
  for (const key of keys.sort()) sorted[key] = map[key];
  return sorted;
}
