/** Messages of any type by its descriptor: values that are nearly right, at the edges of what may be, and beyond. */
import {
  create,
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { Chance } from "./chance.ts";

/** Texts that mean something somewhere: to parsers, to stores, to us. */
const TEXTS = [
  "",
  "a",
  "p1",
  "__proto__",
  "constructor",
  "toString",
  "$where",
  "a.b",
  "../../etc/passwd",
  "' OR 1=1 --",
  "\0",
  "\u202e",
  "😀",
  "\ud800",
  "ﬀ",
  "x".repeat(129),
  "x".repeat(2_049),
  "y".repeat(20_000),
  "*",
  "2026-11-22T10:00:00Z",
  "9999-12-31T23:59:60Z",
  "true",
  "-1",
  "1e999",
  "pass.id == 'p1'",
  "size(event.pass.id) > 1 && (((((true)))))",
  "http://127.0.0.1:1234/",
  "http://[::1]:1234/",
  "http://0x7f.1:1234/",
  "default",
  "production",
  "url,format",
];

const INTEGERS = [0, 1, -1, 2, 100, 127, 128, 255, 1_000, 65_536, 2_147_483_647, -2_147_483_648];
const LONGS = [0n, 1n, -1n, 253_402_300_799n, 253_402_300_800n, -62_135_596_801n, 2n ** 63n - 1n, -(2n ** 63n)];
const FLOATS = [0, -0, 1, -1, 0.01, 1e308, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

/** Numbers that are right nearly everywhere. */
const TAME: ReadonlyMap<ScalarType, unknown> = new Map<ScalarType, unknown>([
  [ScalarType.DOUBLE, 1.5],
  [ScalarType.FLOAT, 1.5],
  [ScalarType.INT32, 1],
  [ScalarType.SINT32, 1],
  [ScalarType.SFIXED32, 1],
  [ScalarType.UINT32, 1],
  [ScalarType.FIXED32, 1],
]);

/** No message goes deeper by chance; what does so on purpose is mutated (mutations.ts). */
const DEEPEST = 7;

export class Messages {
  readonly #chance: Chance;
  readonly #names: readonly string[];
  readonly #isTame: boolean;

  /** `names`: ids that mean something to the one who reads. `isTame`: nothing by itself is wrong in what comes out. */
  constructor(chance: Chance, names: readonly string[], isTame = false) {
    this.#chance = chance;
    this.#names = names;
    this.#isTame = isTame;
  }

  /** Of the type, however deep it already is. */
  message(type: DescMessage, depth = 0): MessageShape<DescMessage> {
    const fields: Record<string, unknown> = {};
    for (const field of type.fields) {
      if (!this.#chance.oneIn(depth < 2 ? 2 : 4)) continue;
      const value = this.#value(field, depth);
      if (value === undefined) continue;
      if (field.oneof === undefined) fields[field.localName] = value;
      else fields[field.oneof.localName] = { case: field.localName, value };
    }
    const message = create(type, fields);
    if (!this.#isTame && this.#chance.oneIn(8)) {
      message.$unknown = [{ no: 1 + this.#chance.below(100_000), wireType: 2, data: Buffer.of(2, 0x7b, 0x7d) }];
    }
    return message;
  }

  text(): string {
    const { oneIn, of } = bound(this.#chance);
    if (this.#names.length > 0 && (oneIn(3) || this.#isTame)) return of(this.#names);
    if (this.#isTame) return of(["p1", "a", "Zoë 😀"]);
    if (oneIn(4)) return this.#chance.bytes(this.#chance.below(24)).toString("utf8");
    return of(TEXTS);
  }

  #value(field: DescField, depth: number): unknown {
    if (field.fieldKind === "list") {
      return Array.from({ length: this.#chance.count(40) }, () => this.#item(field, depth)).filter(isThere);
    }
    if (field.fieldKind === "map") return this.#map(field, depth);
    return this.#item(field, depth);
  }

  #map(field: DescField & { readonly fieldKind: "map" }, depth: number): object {
    const entries = Array.from({ length: this.#chance.count(40) }, () => {
      const key = field.mapKey === ScalarType.STRING ? this.text() : String(this.#chance.below(100));
      return [key, this.#item(field, depth)] as const;
    });
    return Object.fromEntries(entries.filter(([, value]) => isThere(value)));
  }

  #item(field: DescField, depth: number): unknown {
    if (field.scalar !== undefined) return this.#scalar(field.scalar, "longAsString" in field && field.longAsString);
    if (field.enum !== undefined) {
      if (!this.#isTame && this.#chance.oneIn(6)) return this.#chance.of([-1, 99, 2_147_483_647]);
      return this.#chance.of(field.enum.values).number;
    }
    if (field.message === undefined || depth >= DEEPEST) return undefined;
    if (field.message.typeName === "google.protobuf.Struct") return this.#content(3);
    // Google's own values in JSON's shape; nothing of ours has them outside of a Struct.
    if (/^google\.protobuf\.(Value|ListValue|Any)$/.test(field.message.typeName)) return undefined;
    const message = this.message(field.message, depth + 1);
    // A wrapper is its value, where it stands alone.
    const isWrapper = field.fieldKind === "message" && /^google\.protobuf\.[A-Za-z0-9]+Value$/.test(message.$typeName);
    return isWrapper ? Reflect.get(message, "value") : message;
  }

  #content(depth: number): Record<string, unknown> {
    const value = (): unknown => {
      const kind = this.#chance.below(depth > 0 ? 6 : 4);
      if (kind === 0) return null;
      if (kind === 1) return this.#chance.of(FLOATS.filter(Number.isFinite));
      if (kind === 2) return this.#chance.oneIn(2);
      if (kind === 3) return this.text();
      if (kind === 4) return Array.from({ length: this.#chance.below(4) }, value);
      return this.#content(depth - 1);
    };
    return Object.fromEntries(Array.from({ length: this.#chance.below(4) }, () => [this.text(), value()]));
  }

  #scalar(type: ScalarType, longAsString: boolean): unknown {
    if (this.#isTame && TAME.has(type)) return TAME.get(type);
    switch (type) {
      case ScalarType.STRING:
        return this.text();
      case ScalarType.BOOL:
        return this.#chance.oneIn(2);
      case ScalarType.BYTES:
        return this.#chance.bytes(this.#chance.below(40));
      case ScalarType.DOUBLE:
        return this.#chance.of(FLOATS);
      case ScalarType.FLOAT:
        return Math.fround(this.#chance.of(FLOATS.filter((each) => Math.abs(each) < 1e30 || !Number.isFinite(each))));
      case ScalarType.INT64:
      case ScalarType.SINT64:
      case ScalarType.SFIXED64:
        return long(this.#isTame ? 1n : this.#chance.of(LONGS), longAsString);
      case ScalarType.UINT64:
      case ScalarType.FIXED64:
        return long(this.#isTame ? 1n : this.#chance.of(LONGS.filter((each) => each >= 0n)), longAsString);
      case ScalarType.UINT32:
      case ScalarType.FIXED32:
        return this.#chance.of(INTEGERS.filter((each) => each >= 0));
      default:
        return this.#chance.of(INTEGERS);
    }
  }
}

const isThere = (value: unknown) => value !== undefined;
const long = (value: bigint, asString: boolean) => (asString ? String(value) : value);
const bound = (chance: Chance) => ({
  oneIn: (n: number) => chance.oneIn(n),
  of: <T>(choices: readonly T[]) => chance.of(choices),
});

export function binaryOf(type: DescMessage, message: MessageShape<DescMessage>): Buffer {
  return Buffer.from(toBinary(type, message));
}

/** Of what JSON can't say (a year beyond 9999), the empty message. */
export function jsonOf(type: DescMessage, message: MessageShape<DescMessage>): string {
  try {
    return toJsonString(type, message);
  } catch {
    return "{}";
  }
}
