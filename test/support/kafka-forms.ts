/** Every form in which a producer may put one event into a record, written without the code that reads them. */
import { create, toBinary, toJson, toJsonString } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { SinkSubscriptionPayloadSchema } from "../../gen/io/integrations_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { passkit } from "../../src/formats/passkit.ts";
import { decodedEvent, plainOptions } from "./events.ts";

export interface FormedRecord {
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Uint8Array;
}

export interface KafkaForm {
  readonly name: string;
  /** PassKit's payload has no place for more than the pass, and for no other tenant's name than the record's headers. */
  readonly saysPassAlone?: true;
  readonly record: (event: PassEvent) => FormedRecord;
}

export const PROTOBUF = "application/x-protobuf";
export const JSON_TYPE = "application/json";
export const STRUCTURED = "application/cloudevents+json";
export const PAYLOAD = "proto=io.SinkSubscriptionPayload";

const bytesOf = (event: PassEvent) => toBinary(PassEventSchema, event);
const jsonOf = (event: PassEvent) => Buffer.from(toJsonString(PassEventSchema, event));
const contentType = (type: string) => ({ "content-type": type });

/** What Confluent's serializers put before a value: zero, the schema's id 258, and for protobuf the message's indexes. */
export function framed(value: Uint8Array, indexes: readonly number[] = []): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, 1, 2, ...indexes]), value]);
}

/** `pass.installed`, as our own webhooks have it. */
export function dottedType({ type }: PassEvent): string {
  return `pass.${PassEventType[type]?.toLowerCase()}`;
}

/** The attributes, and the event less what they say. */
function cloudEvent(event: PassEvent, source: string) {
  const { occurredAt } = event;
  const attributes = { specversion: "1.0", id: event.id, source, type: dottedType(event), ...timeOf(occurredAt) };
  const data = create(PassEventSchema, {
    ...event,
    id: "",
    type: PassEventType.UNSPECIFIED,
    organisationId: "",
    environment: "",
  });
  delete data.occurredAt;
  return { attributes, data };
}

function timeOf(time: Timestamp | undefined): Readonly<Record<string, string>> {
  return time === undefined ? {} : { time: toJson(TimestampSchema, time) };
}

function sourceOf({ organisationId, environment }: PassEvent): string {
  const isOurs = organisationId !== "" && environment !== "";
  return isOurs ? `urn:passbus:${organisationId}:${environment}` : "/wallets";
}

function structured(event: PassEvent, members: (data: PassEvent) => object): FormedRecord {
  const { attributes, data } = cloudEvent(event, sourceOf(event));
  const value = Buffer.from(JSON.stringify({ ...attributes, ...members(data) }));
  return { headers: contentType(STRUCTURED), value };
}

/** Its attributes as headers. */
function inBinaryMode(event: PassEvent, type: string, write: (data: PassEvent) => Uint8Array): FormedRecord {
  const { attributes, data } = cloudEvent(event, sourceOf(event));
  const named = Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value]);
  return { headers: { ...Object.fromEntries(named), ...contentType(type) }, value: write(data) };
}

/** As PassKit's Go server writes it, with the event's id beside it. */
function payloadJson(event: PassEvent): Buffer {
  return passkit.render(decodedEvent(event), plainOptions).body;
}

function payloadBytes(event: PassEvent): Uint8Array {
  const { event: name } = JSON.parse(payloadJson(event).toString()) as { readonly event: string };
  const { pass } = event;
  return toBinary(
    SinkSubscriptionPayloadSchema,
    create(SinkSubscriptionPayloadSchema, { event: name, ...(pass && { pass }) }),
  );
}

function payload(event: PassEvent, type: string, value: Uint8Array): FormedRecord {
  return { headers: { ...contentType(`${type}; ${PAYLOAD}`), "event-id": event.id }, value };
}

export const KAFKA_FORMS: readonly KafkaForm[] = [
  { name: "protobuf", record: (event) => ({ headers: contentType(PROTOBUF), value: bytesOf(event) }) },
  {
    name: "protobuf by its other name",
    record: (event) => ({
      headers: contentType('Application/Protobuf; Proto="passbus.v1.PassEvent"'),
      value: bytesOf(event),
    }),
  },
  { name: "protobuf without a content type", record: (event) => ({ headers: {}, value: bytesOf(event) }) },
  {
    name: "JSON",
    record: (event) => ({ headers: contentType("application/json;charset=utf-8"), value: jsonOf(event) }),
  },
  { name: "JSON without a content type", record: (event) => ({ headers: {}, value: jsonOf(event) }) },
  {
    name: "protobuf in Confluent's framing",
    record: (event) => ({ headers: contentType(PROTOBUF), value: framed(bytesOf(event), [0]) }),
  },
  {
    name: "the same with the index written out, without a content type",
    record: (event) => ({ headers: {}, value: framed(bytesOf(event), [2, 0]) }),
  },
  {
    name: "JSON in Confluent's framing",
    record: (event) => ({ headers: contentType(JSON_TYPE), value: framed(jsonOf(event)) }),
  },
  { name: "the same without a content type", record: (event) => ({ headers: {}, value: framed(jsonOf(event)) }) },
  {
    name: "CloudEvent, structured",
    record: (event) =>
      structured(event, (data) => ({ datacontenttype: JSON_TYPE, data: toJson(PassEventSchema, data) })),
  },
  {
    name: "CloudEvent, structured, protobuf in base64",
    record: (event) =>
      structured(event, (data) => ({
        datacontenttype: PROTOBUF,
        data_base64: Buffer.from(bytesOf(data)).toString("base64"),
      })),
  },
  { name: "CloudEvent, binary", record: (event) => inBinaryMode(event, JSON_TYPE, jsonOf) },
  { name: "CloudEvent, binary, protobuf", record: (event) => inBinaryMode(event, PROTOBUF, bytesOf) },
  {
    name: "PassKit's payload, protobuf",
    saysPassAlone: true,
    record: (event) => payload(event, PROTOBUF, payloadBytes(event)),
  },
  {
    name: "PassKit's payload, JSON",
    saysPassAlone: true,
    record: (event) => payload(event, JSON_TYPE, payloadJson(event)),
  },
  {
    name: "PassKit's payload, protobuf in Confluent's framing",
    saysPassAlone: true,
    record: (event) => payload(event, PROTOBUF, framed(payloadBytes(event), [2, 10])),
  },
  {
    name: "PassKit's payload in a CloudEvent, binary",
    saysPassAlone: true,
    record: (event) => inBinaryMode(event, `${JSON_TYPE}; ${PAYLOAD}`, () => payloadJson(event)),
  },
];
