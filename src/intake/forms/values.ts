/** A value by its content type: PassEvent or PassKit's payload, as protobuf or JSON, with Confluent's framing or without. */
import { fromBinary, fromJson, fromJsonString, type JsonObject } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema } from "../../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../../kernel/errors.ts";
import { isFramed, readFrame, readIndexes } from "./confluent.ts";
import { agreedType, type TypeHint } from "./event-type.ts";
import { parseObject, textOf } from "./json.ts";
import type { MediaType, MessageName } from "./media-type.ts";
import { eventOfPayload, payloadFromBinary, payloadFromJson } from "./passkit.ts";
import { reasonIn, unreadable } from "./refusals.ts";

/** A value, or the `data` of a structured CloudEvent, which may be JSON already. */
export type Content =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "json"; readonly json: JsonObject };

/** @throws as `readEvent` does. */
export function readValue(content: Content, media: MediaType, hint: TypeHint): PassEvent {
  switch (encodingOf(content, media)) {
    case "json":
      return readJson(content, media, hint);
    case "protobuf":
      return readProtobuf(content, media, hint);
  }
}

/** Without a content type a value is JSON if it parses as such, else protobuf. */
function encodingOf(content: Content, { name }: MediaType): "json" | "protobuf" {
  switch (name) {
    case "application/x-protobuf":
    case "application/protobuf":
      return "protobuf";
    case "application/json":
      return "json";
    case "":
      return content.kind === "json" || looksLikeJson(content.bytes) ? "json" : "protobuf";
    default:
      throw unreadable("content-type: is not one that passbus reads");
  }
}

const BRACE = 0x7b;
const BLANKS: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * No protobuf of ours begins with a brace, which is field 15 as a group, nor do message indexes: as a varint it is a
 * negative count. A blank before it may be a tag, so then the whole must parse.
 */
function looksLikeJson(bytes: Uint8Array): boolean {
  const value = isFramed(bytes) ? readFrame(bytes).rest : bytes;
  if (value[0] === BRACE) return true;
  const begin = value.findIndex((byte) => !BLANKS.has(byte));
  if (begin < 0 || value[begin] !== BRACE) return false;
  try {
    parseObject(textOf(value));
    return true;
  } catch {
    return false;
  }
}

function readJson(content: Content, { proto }: MediaType, hint: TypeHint): PassEvent {
  if (content.kind === "json") {
    if (isPayload(proto)) return eventOfPayload(payloadFromJson(content.json), hint);
    return typed(fromJson(PassEventSchema, content.json), hint);
  }
  const { bytes } = content;
  const text = textOf(isFramed(bytes) ? readFrame(bytes).rest : bytes);
  if (isPayload(proto)) return eventOfPayload(payloadFromJson(parseObject(text)), hint);
  return typed(fromJsonString(PassEventSchema, text), hint);
}

function readProtobuf(content: Content, { proto }: MediaType, hint: TypeHint): PassEvent {
  if (content.kind === "json") throw unreadable("data: protobuf stands in data_base64");
  const { bytes } = content;
  if (!isFramed(bytes)) return messageOf(bytes, proto, hint);
  const frame = readFrame(bytes);
  const { indexes, message } = readIndexes(frame);
  // Without a name the place is all that tells our message from others: PassEvent is its file's first.
  if (proto === undefined && (indexes.length !== 1 || indexes[0] !== PASS_EVENT_INDEX)) {
    const place = `message [${indexes.join(", ")}] of schema id ${frame.schemaId}`;
    throw unreadable(`${place} is not passbus.v1.PassEvent; name the message with the content-type's parameter proto`);
  }
  try {
    return messageOf(message, proto, hint);
  } catch (error) {
    throw inFrame(error, frame.schemaId);
  }
}

const PASS_EVENT_INDEX = PassEventSchema.file.messages.indexOf(PassEventSchema);

/** Of another schema it may well be: whoever reads this has a registry to look into. */
function inFrame(error: unknown, schemaId: number): Error {
  const code = error instanceof CodedError ? error.code : "event.unreadable";
  return new CodedError(code, `in Confluent's framing, schema id ${schemaId}: ${reasonIn(error)}`, { cause: error });
}

function messageOf(bytes: Uint8Array, proto: MessageName | undefined, hint: TypeHint): PassEvent {
  if (isPayload(proto)) return eventOfPayload(payloadFromBinary(bytes), hint);
  return typed(fromBinary(PassEventSchema, bytes), hint);
}

function isPayload(proto: MessageName | undefined): boolean {
  return proto === "io.SinkSubscriptionPayload";
}

/** The header `event-type` is for PassKit's payloads, which can be unclear: other producers may mean something else by it. */
function typed(event: PassEvent, { cloudEvent }: TypeHint): PassEvent {
  if (cloudEvent !== undefined) event.type = agreedType(event.type, cloudEvent);
  return event;
}
