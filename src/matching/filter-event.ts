/**
 * An event as filters see it. Fields go by their names in the .proto; enums are the names of their values; what is unset
 * is its type's default, as in protobuf. Values are made when a filter first asks for them and kept for all filters of
 * the event, since a whole event of 256 KiB is more than any filter may cost. (The library's own binding of messages
 * makes a `google.protobuf.Struct` anew at every step into it, and enums bare numbers.)
 */
import { type CelInput, type CelMap, celMap, celUint } from "@bufbuild/cel";
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  isFieldSet,
  type JsonValue,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { StructSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { CostMeter } from "./filter-meter.ts";

type Key = string | bigint;

/** Elements of a list that are made into CEL's values for one unit. */
const ELEMENTS_PER_UNIT = 16;
/**
 * Of the whole event, for each listing of a map's keys: an object's keys can't be counted without listing them, which
 * was measured at 0.4 microseconds a key, and a key is ten bytes of the event or more.
 */
const LISTED_BYTES_PER_UNIT = 32;

/**
 * Before a key, asks whether it is there. The library's maps ask for the value instead, which an unset field has too, and
 * hide what they are made from.
 */
const PRESENCE = "\u0000";

/** What stands behind a map that a filter reads. */
interface Contents {
  keys(): readonly Key[];
  /** What listing the keys costs. */
  readonly listingUnits: number;
  get(key: Key): CelInput | undefined;
  /** Set, in a message; there, in a map. */
  has(key: Key): boolean;
}

interface Made {
  readonly value: CelInput;
  /** What making it cost. */
  readonly units: number;
}

/** Charges the same for what was made before, so that no filter lives on what another one paid. */
class LazyMap implements ReadonlyMap<Key, CelInput> {
  readonly #meter: CostMeter;
  readonly #contents: Contents;
  #made: Map<Key, Made> | undefined;
  #keys: readonly Key[] | undefined;

  constructor(meter: CostMeter, contents: Contents) {
    this.#meter = meter;
    this.#contents = contents;
  }

  get size(): number {
    this.#meter.charge(this.#contents.listingUnits);
    this.#keys ??= this.#contents.keys();
    return this.#keys.length;
  }

  get(key: Key): CelInput | undefined {
    if (typeof key === "string" && key.startsWith(PRESENCE)) return this.has(key.slice(PRESENCE.length));
    this.#meter.charge(1);
    const made = this.#made?.get(key);
    if (made !== undefined) {
      this.#meter.charge(made.units);
      return made.value;
    }
    const before = this.#meter.spent;
    const value = this.#contents.get(key);
    if (value === undefined) return undefined;
    this.#made ??= new Map();
    this.#made.set(key, { value, units: this.#meter.spent - before });
    return value;
  }

  has(key: Key): boolean {
    this.#meter.charge(1);
    return this.#contents.has(key);
  }

  *keys(): MapIterator<Key> {
    if (this.size > 0) yield* this.#keys ?? [];
  }

  *entries(): MapIterator<[Key, CelInput]> {
    for (const key of this.keys()) yield [key, this.get(key) ?? null];
  }

  *values(): MapIterator<CelInput> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[Key, CelInput]> {
    return this.entries();
  }

  forEach(task: (value: CelInput, key: Key, map: ReadonlyMap<Key, CelInput>) => void): void {
    for (const [key, value] of this.entries()) task(value, key, this);
  }
}

/** The name of an enum's value as filters have it: without the prefix that all of its values share. */
export function enumName(type: DescEnum, number: number): string {
  const value = type.value[number];
  return value === undefined ? String(number) : unprefixed(type, value.name);
}

export function enumNames(type: DescEnum): readonly string[] {
  return type.values.map((value) => unprefixed(type, value.name));
}

function unprefixed(type: DescEnum, name: string): string {
  return name.slice(type.sharedPrefix?.length ?? 0);
}

/** `bytes`: of the event in protobuf. */
export function readEvent(meter: CostMeter, event: PassEvent, bytes: number): CelMap {
  return new Reading(meter, 1 + Math.floor(bytes / LISTED_BYTES_PER_UNIT)).message(PassEventSchema, event);
}

/** CEL's `has`, of a map that was read here or of one that the expression wrote out. */
export function hasKey(map: CelMap, key: string): boolean {
  const answer = map.get(PRESENCE + key);
  return typeof answer === "boolean" ? answer : map.get(key) !== undefined;
}

/** One event being read. */
class Reading {
  readonly #meter: CostMeter;
  readonly #listingUnits: number;

  constructor(meter: CostMeter, listingUnits: number) {
    this.#meter = meter;
    this.#listingUnits = listingUnits;
  }

  #lazy(contents: Contents): CelMap {
    return celMap(new LazyMap(this.#meter, contents));
  }

  message(type: DescMessage, message: Message): CelMap {
    const find = (key: Key) => type.fields.find((field) => field.name === key);
    return this.#lazy({
      listingUnits: 1 + Math.floor(type.fields.length / ELEMENTS_PER_UNIT),
      keys: () => type.fields.map((field) => field.name),
      get: (key) => {
        const field = find(key);
        return field === undefined ? undefined : this.#field(field, rawValue(message, field));
      },
      has: (key) => {
        const field = find(key);
        return field !== undefined && isFieldSet(message, field);
      },
    });
  }

  #field(field: DescField, raw: unknown): CelInput {
    switch (field.fieldKind) {
      case "scalar":
        return scalarOf(field.scalar, raw);
      case "enum":
        return enumName(field.enum, Number(raw ?? 0));
      case "message":
        return this.#messageOf(field.message, raw);
      case "list":
        return this.#list(raw as readonly unknown[], (element) => {
          if (field.listKind === "message") return this.#messageOf(field.message, element);
          return field.listKind === "enum" ? enumName(field.enum, Number(element)) : scalarOf(field.scalar, element);
        });
      case "map":
        return this.#record(raw as Readonly<Record<string, unknown>>, field.mapKey, (value) => {
          if (field.mapKind === "message") return this.#messageOf(field.message, value);
          return field.mapKind === "enum" ? enumName(field.enum, Number(value)) : scalarOf(field.scalar, value);
        });
    }
  }

  #messageOf(type: DescMessage, raw: unknown): CelInput {
    if (type.typeName === StructSchema.typeName) return this.#json((raw ?? {}) as JsonValue);
    const message = (raw ?? create(type)) as Message;
    return type.typeName === TimestampSchema.typeName ? message : this.message(type, message);
  }

  #list<T>(elements: readonly T[], make: (element: T) => CelInput): readonly CelInput[] {
    this.#meter.charge(Math.floor(elements.length / ELEMENTS_PER_UNIT));
    return elements.map(make);
  }

  #record<T>(record: Readonly<Record<string, T>>, keyType: ScalarType, make: (value: T) => CelInput): CelMap {
    const isText = keyType === ScalarType.STRING;
    const has = (key: Key) => (typeof key === "string") === isText && Object.hasOwn(record, String(key));
    return this.#lazy({
      listingUnits: this.#listingUnits,
      keys: () => (isText ? Object.keys(record) : Object.keys(record).map((key) => BigInt(key))),
      get: (key) => {
        const value = record[String(key)];
        return has(key) && value !== undefined ? make(value) : undefined;
      },
      has,
    });
  }

  #json(value: JsonValue): CelInput {
    if (Array.isArray(value)) return this.#list(value, (element) => this.#json(element));
    if (typeof value !== "object" || value === null) return value;
    return this.#record(value, ScalarType.STRING, (inner) => this.#json(inner));
  }
}

function rawValue(message: Message, field: DescField): unknown {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  if (field.oneof === undefined) return fields[field.localName];
  const chosen = fields[field.oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return chosen.case === field.localName ? chosen.value : undefined;
}

function scalarOf(type: ScalarType, raw: unknown): CelInput {
  switch (type) {
    case ScalarType.STRING:
      return (raw ?? "") as string;
    case ScalarType.BOOL:
      return (raw ?? false) as boolean;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return (raw ?? 0) as number;
    case ScalarType.BYTES:
      return (raw ?? new Uint8Array()) as Uint8Array;
    case ScalarType.UINT32:
    case ScalarType.UINT64:
    case ScalarType.FIXED32:
    case ScalarType.FIXED64:
      return celUint(BigInt((raw ?? 0) as number | bigint));
    default:
      return BigInt((raw ?? 0) as number | bigint);
  }
}
