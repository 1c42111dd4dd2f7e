/**
 * JSON bodies before they are parsed: whatever carries one, its shape is checked first. And which field of one does not
 * parse: the parser says what it stumbled over, not where; so the body of a unary call is kept until it has parsed, and
 * where it doesn't, is walked along the request's descriptor.
 */
import { promisify } from "node:util";
import { brotliDecompress, gunzip } from "node:zlib";
import { type DescField, type DescMessage, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { type ConnectError, type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import { encodeEnvelope, transformSplitEnvelope } from "@connectrpc/connect/protocol";
import { CodedError, type FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { withoutValues } from "../kernel/without-values.ts";
import { connectError } from "./errors.ts";
import { JsonShape } from "./json-shape.ts";

interface Kept {
  readonly parts: Uint8Array[];
  bytes: number;
}

const bodyKey = createContextKey<Kept>({ parts: [], bytes: 0 }, { description: "JSON body" });

/** What a body is read for: the call's headers and values, and how much it may weigh, unpacked. */
interface JsonReading {
  readonly header: Headers;
  readonly values: ContextValues;
  readonly mostBytes: number;
}

/** gRPC and gRPC-Web with JSON: nobody's client speaks it, so it is refused (415) rather than checked. */
export function isJsonOverGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc.*json/i.test(contentType);
}

/**
 * The body of a JSON call, unpacked, its shape checked as it is read; of a unary call, kept until it has parsed, if it
 * isn't too long to be looked through. Takes `content-encoding` from the headers of what it has unpacked.
 */
export function readJson(body: AsyncIterable<Uint8Array>, { header, values, mostBytes }: JsonReading) {
  const type = header.get("content-type")?.toLowerCase() ?? "";
  if (!type.includes("json")) return body;
  if (type.startsWith("application/connect")) {
    return checkedStream(body, UNPACK.get(header.get("connect-content-encoding") ?? "identity"), mostBytes);
  }
  const coding = header.get("content-encoding") ?? "identity";
  const unpack = UNPACK.get(coding);
  if (coding !== "identity" && unpack === undefined) return body;
  if (unpack !== undefined) {
    header.delete("content-encoding");
    header.delete("content-length");
  }
  const kept: Kept = { parts: [], bytes: 0 };
  values.set(bodyKey, kept);
  return checked(unpack === undefined ? body : unpacked(body, unpack, mostBytes), kept);
}

/** Reads one JSON text in parts, which is to say throws a ConnectError where it may not be parsed. */
function jsonCheck(): (bytes: Uint8Array) => void {
  const shape = new JsonShape();
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  return (bytes) => {
    try {
      shape.read(bytes);
    } catch (error) {
      throw error instanceof CodedError ? connectError(error) : error;
    }
    try {
      utf8.decode(bytes, { stream: true });
    } catch (error) {
      throw connectError(new CodedError("request.invalid", "the body is not UTF-8", { cause: error }));
    }
  };
}

/** The bit of an envelope's flags that says its message is packed. */
const PACKED = 1;

/** A stream's messages, each checked before it goes on; those that are unpacked here go on so. */
async function* checkedStream(body: AsyncIterable<Uint8Array>, unpack: Unpack | undefined, mostBytes: number) {
  for await (const { flags, data } of transformSplitEnvelope(mostBytes)(body)) {
    const isPacked = (flags & PACKED) !== 0;
    if (isPacked && unpack === undefined) {
      // In no coding that we know: it is refused before it is parsed.
      yield encodeEnvelope(flags, data);
      continue;
    }
    const message = isPacked && unpack !== undefined ? await unpackedWith(unpack, data, mostBytes) : data;
    jsonCheck()(message);
    yield encodeEnvelope(flags & ~PACKED, message);
  }
}

async function* checked(body: AsyncIterable<Uint8Array>, kept: Kept): AsyncIterable<Uint8Array> {
  const check = jsonCheck();
  for await (const chunk of body) {
    check(chunk);
    kept.bytes += chunk.length;
    if (kept.bytes <= LIMITS.jsonLocatedBytes) kept.parts.push(chunk);
    else kept.parts.length = 0;
    yield chunk;
  }
}

type Unpack = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const UNPACK: ReadonlyMap<string, Unpack> = new Map([
  ["gzip", promisify<Uint8Array, { readonly maxOutputLength: number }, Buffer>(gunzip)],
  ["br", promisify<Uint8Array, { readonly maxOutputLength: number }, Buffer>(brotliDecompress)],
]);

async function* unpacked(
  body: AsyncIterable<Uint8Array>,
  unpack: Unpack,
  mostBytes: number,
): AsyncIterable<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw tooLarge(mostBytes);
    parts.push(chunk);
  }
  yield await unpackedWith(unpack, Buffer.concat(parts), mostBytes);
}

async function unpackedWith(unpack: Unpack, bytes: Uint8Array, mostBytes: number): Promise<Uint8Array> {
  try {
    return await unpack(bytes, { maxOutputLength: mostBytes });
  } catch (error) {
    const isTooLarge = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    if (isTooLarge) throw tooLarge(mostBytes, error);
    throw connectError(new CodedError("request.invalid", "the body can't be unpacked", { cause: error }));
  }
}

function tooLarge(mostBytes: number, cause?: unknown): ConnectError {
  const message = `the request is larger than the ${mostBytes} bytes that it may have`;
  return connectError(new CodedError("limit.request_bytes", message, { cause }));
}

/** The body has parsed by now. */
export const forgetJson: Interceptor = (next) => (request) => {
  request.contextValues.delete(bodyKey);
  return next(request);
};

/** Empty where nothing was kept. */
export function bodyText(values: ContextValues): string {
  return Buffer.concat(values.get(bodyKey).parts).toString();
}

/** The first field at which the text is no message of the type; undefined where there is none to name. */
export function unreadableField(type: DescMessage, text: string): FieldViolation | undefined {
  let json: JsonValue;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isObject(json) ? flawIn(type, json, "") : undefined;
}

function flawIn(type: DescMessage, json: JsonObject, path: string): FieldViolation | undefined {
  for (const [key, value] of Object.entries(json)) {
    const field = type.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    if (field === undefined) return { field: path + key, description: `is not a field of ${type.typeName}` };
    const description = flaw(field, { [key]: value });
    if (description === undefined) continue;
    return innerFlaw(field, value, path + field.name) ?? { field: path + field.name, description };
  }
  return undefined;
}

/** Where in the field's value the flaw is, if it has an inside. */
function innerFlaw(field: DescField, value: JsonValue, path: string): FieldViolation | undefined {
  if (field.fieldKind === "message") return inMessage(field.message, value, path);
  if (field.fieldKind === "list" && Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      const description = flaw(field, { [field.name]: [item] });
      if (description === undefined) continue;
      const itemPath = `${path}[${at}]`;
      const inner = field.listKind === "message" ? inMessage(field.message, item, itemPath) : undefined;
      return inner ?? { field: itemPath, description };
    }
  }
  if (field.fieldKind === "map" && isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      const description = flaw(field, { [field.name]: { [key]: item } });
      if (description !== undefined) return { field: `${path}[${JSON.stringify(key)}]`, description };
    }
  }
  return undefined;
}

/** Google's own types (timestamps, durations, masks) are one value in JSON. */
function inMessage(type: DescMessage, json: JsonValue, path: string): FieldViolation | undefined {
  if (type.typeName.startsWith("google.protobuf.") || !isObject(json)) return undefined;
  return flawIn(type, json, `${path}.`);
}

/** What is wrong with the field's value; undefined where the parser takes it. */
function flaw(field: DescField, json: JsonObject): string | undefined {
  try {
    fromJson(field.parent, json);
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (field.enum !== undefined) return `must be one of ${field.enum.values.map(({ name }) => name).join(", ")}`;
    return withoutValues(isFieldError(error.cause) ? error.cause.message : error.message);
  }
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
