/**
 * CloudEvents 1.0 on Kafka (Kafka Protocol Binding 1.0.2): structured, all of it in the value as JSON, or binary, the
 * attributes as `ce_` headers beside the data. `data` is a value like any other. What CLOUDEVENTS webhooks say is read
 * back (src/formats/cloudevents.ts); attributes that passbus doesn't know say nothing to it.
 */
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { PassEvent } from "../../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../../kernel/errors.ts";
import type { LogRecord } from "../event-log.ts";
import { cloudEventType, type TypeHint } from "./event-type.ts";
import { isObject, parseObject, textOf } from "./json.ts";
import { type MediaType, mediaType } from "./media-type.ts";
import { invalid, unreadable } from "./refusals.ts";
import { type Content, readValue } from "./values.ts";

const STRUCTURED = "application/cloudevents";
const REQUIRED = ["specversion", "id", "source", "type"] as const;
type Required = (typeof REQUIRED)[number];

interface Attributes extends Readonly<Record<Required, string>> {
  readonly time?: string;
}

export function isStructuredMode({ name }: MediaType): boolean {
  return name.startsWith(STRUCTURED);
}

/** One of the required attributes is enough: what else is missing can then be named. */
export function isBinaryMode(headers: LogRecord["headers"]): boolean {
  return REQUIRED.some((name) => headers[`ce_${name}`] !== undefined);
}

export function readBinaryMode(
  headers: LogRecord["headers"],
  media: MediaType,
  value: Uint8Array,
  hint: TypeHint,
): PassEvent {
  const attributes = attributesOf((name) => headers[`ce_${name}`], "the header ce_");
  return eventOf(attributes, { kind: "bytes", bytes: value }, media, hint);
}

export function readStructuredMode(media: MediaType, value: Uint8Array, hint: TypeHint): PassEvent {
  if (media.name !== `${STRUCTURED}+json`) {
    throw unreadable(`content-type: passbus reads one CloudEvent a record, as ${STRUCTURED}+json`);
  }
  const json = parseObject(textOf(value));
  const attributes = attributesOf((name) => json[name], "the CloudEvent's ");
  const datacontenttype = json.datacontenttype ?? undefined;
  if (datacontenttype !== undefined && typeof datacontenttype !== "string") {
    throw unreadable("datacontenttype: must be a text");
  }
  const inner = mediaType(datacontenttype);
  return eventOf(attributes, dataOf(json), { ...media, ...inner, name: inner.name }, hint);
}

/** JSON Event Format 1.0.2, §3.1: `data` is the JSON itself, `data_base64` the bytes of anything. */
function dataOf({ data, data_base64: base64 }: JsonObject): Content {
  if (data !== undefined && base64 !== undefined) throw unreadable("data and data_base64 both stand in the CloudEvent");
  if (base64 !== undefined) return { kind: "bytes", bytes: bytesOf(base64) };
  if (isObject(data)) return { kind: "json", json: data };
  throw unreadable(data === undefined ? "the CloudEvent has no data" : "data: must be a JSON object");
}

function bytesOf(base64: JsonValue): Uint8Array {
  try {
    if (typeof base64 === "string") return base64Decode(base64);
  } catch {
    // No base64.
  }
  throw unreadable("data_base64: must be base64");
}

/** `place` is how an attribute is named to people, up to its own name. */
function attributesOf(read: (name: string) => JsonValue | undefined, place: string): Attributes {
  const required = (name: Required) => {
    const value = read(name);
    if (value === undefined || value === "") throw unreadable(`${place}${name} is missing`);
    if (typeof value !== "string") throw unreadable(`${place}${name} must be a text`);
    return value;
  };
  const specversion = required("specversion");
  if (specversion !== "1.0") throw unreadable(`${place}specversion: passbus reads 1.0`);
  const attributes = { specversion, id: required("id"), source: required("source"), type: required("type") };
  // JSON Event Format 1.0.2, §2.2: an attribute may be null, which is as if it weren't there.
  const time = read("time") ?? undefined;
  if (time === undefined) return attributes;
  if (typeof time !== "string") throw unreadable(`${place}time must be a text`);
  return { ...attributes, time };
}

/** What the attributes say goes into the event, where that leaves it empty; where both say it, they must agree. */
function eventOf(attributes: Attributes, data: Content, media: MediaType, hint: TypeHint): PassEvent {
  const event = readValue(data, media, { ...hint, cloudEvent: cloudEventType(attributes.type) });
  if (event.id !== "" && event.id !== attributes.id) throw invalid("id: the CloudEvent's and its data's differ");
  event.id = attributes.id;
  if (attributes.time !== undefined) setTime(event, timeOf(attributes.time));
  setTenant(event, attributes.source);
  return event;
}

function timeOf(text: string): Timestamp {
  try {
    return fromJson(TimestampSchema, text);
  } catch (error) {
    throw invalid("time: is no time of RFC 3339 within the years 1 to 9999", error);
  }
}

function setTime(event: PassEvent, time: Timestamp): void {
  const said = event.occurredAt;
  if (said !== undefined && (said.seconds !== time.seconds || said.nanos !== time.nanos)) {
    throw invalid("occurred_at: the CloudEvent's time and its data's differ");
  }
  event.occurredAt = time;
}

/**
 * Our own webhooks say in `source` whose the event is. So do events that come back: else one of another tenant's would
 * become ours. Names that a tenant can have are written there as they are.
 */
function setTenant(event: PassEvent, source: string): void {
  const [, organisation = "", environment = ""] = /^urn:passbus:([^:]+):([^:]+)$/.exec(source) ?? [];
  if (organisation === "") return;
  if (!isOrEmpty(event.organisationId, organisation) || !isOrEmpty(event.environment, environment)) {
    throw new CodedError("tenant.forbidden", "the CloudEvent's source and its data name different tenants");
  }
  event.organisationId = organisation;
  event.environment = environment;
}

function isOrEmpty(said: string, other: string): boolean {
  return said === "" || said === other;
}
