/** JSON text as it stands in values: UTF-8, one object, no key twice. */
import { fromJsonString, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { unreadable } from "./refusals.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

export const STANDS_TWICE = "a key stands twice in one object of the JSON";

/** @throws CodedError `event.unreadable` */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw unreadable("the value is no UTF-8", error);
  }
}

/** @throws CodedError `event.unreadable`, for a key that stands twice too: `JSON.parse` would quietly take the last. */
export function parseObject(text: string): JsonObject {
  const json = parse(text);
  if (!isObject(json)) throw unreadable("the value must be a JSON object");
  try {
    // The one way that protobuf-es lends its search for keys that stand twice.
    fromJsonString(EmptySchema, text, { ignoreUnknownFields: true });
  } catch (error) {
    throw unreadable(STANDS_TWICE, error);
  }
  return json;
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unreadable("the value is no JSON", error);
  }
}

export function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
