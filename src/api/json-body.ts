/**
 * Which field of a JSON body does not parse. The parser says what it stumbled over, not where; so the body of a Connect
 * JSON call is kept until it has parsed, and where it doesn't, is walked along the request's descriptor.
 */
import type { IncomingHttpHeaders } from "node:http";
import { type DescField, type DescMessage, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import type { FieldViolation } from "../kernel/errors.ts";

const bodyKey = createContextKey<Buffer[]>([], { description: "JSON body" });

/** Hands the body through and keeps what passed, if it is plain JSON; a compressed one is not worth the trouble. */
export function rememberJson(
  headers: IncomingHttpHeaders,
  body: AsyncIterable<Buffer>,
  values: ContextValues,
): AsyncIterable<Buffer> {
  const plain = headers["content-encoding"] === undefined || headers["content-encoding"] === "identity";
  if (!plain || headers["content-type"]?.startsWith("application/json") !== true) return body;
  const kept: Buffer[] = [];
  values.set(bodyKey, kept);
  return keep(body, kept);
}

async function* keep(body: AsyncIterable<Buffer>, kept: Buffer[]): AsyncIterable<Buffer> {
  for await (const chunk of body) {
    kept.push(chunk);
    yield chunk;
  }
}

/** The body has parsed by now. */
export const forgetJson: Interceptor = (next) => (request) => {
  request.contextValues.delete(bodyKey);
  return next(request);
};

/** Empty where nothing was kept. */
export function bodyText(values: ContextValues): string {
  return Buffer.concat(values.get(bodyKey)).toString();
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
    return isFieldError(error.cause) ? error.cause.message : error.message;
  }
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
