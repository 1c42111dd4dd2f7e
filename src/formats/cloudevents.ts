/**
 * CloudEvents 1.0 over HTTP, structured (the JSON event format) or binary (attributes as `ce-` headers), by the
 * subscription's choice. `data` is what STANDARD has there. docs/decisions/cloudevents.md.
 */
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { eventData, TYPE_NAMES, typeName } from "./event-data.ts";
import type { Format } from "./format.ts";
import { rfc3339 } from "./proto-json.ts";
import { jsonBody } from "./rendered.ts";

const JSON_TYPE = "application/json";

export const cloudevents: Format = {
  name: "CLOUDEVENTS",
  types: [...TYPE_NAMES.keys()],
  saysProtocolEvents: true,
  saysOperationalEvents: true,
  renderKey: (options) => options.cloudeventsMode ?? "structured",
  render({ event }, options) {
    const attributes = attributesOf(event);
    const data = eventData(event);
    if (options.cloudeventsMode === "binary") {
      return jsonBody("POST", data, { ...ceHeaders(attributes), "content-type": JSON_TYPE });
    }
    const members = { ...attributes, datacontenttype: JSON_TYPE };
    const json = `${JSON.stringify(members).slice(0, -1)},"data":${data}}`;
    return jsonBody("POST", json, { "content-type": "application/cloudevents+json" });
  },
};

type Attributes = Readonly<Record<string, string>>;

/** The context attributes less `datacontenttype`, which binary mode has for its `content-type`. */
function attributesOf(event: PassEvent): Attributes {
  const subject = event.operationalEvent?.subscriptionId ?? event.pass?.id ?? "";
  return {
    specversion: "1.0",
    id: event.id,
    source: sourceOf(event),
    type: typeName(event, "CLOUDEVENTS"),
    // CloudEvents 1.0, "subject": must not be empty where it is there.
    ...(subject === "" ? {} : { subject }),
    time: rfc3339(event.occurredAt ?? create(TimestampSchema)),
  };
}

/** Event ids are unique in an organisation and environment; source and id together must be unique (CloudEvents, "id"). */
function sourceOf({ organisationId, environment }: PassEvent): string {
  return `urn:passbus:${urnPart(organisationId)}:${urnPart(environment)}`;
}

/** `encodeURIComponent` leaves nothing that RFC 8141 doesn't allow, and throws for half a surrogate pair. */
function urnPart(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function ceHeaders(attributes: Attributes): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name in attributes) headers[`ce-${name}`] = headerValue(attributes[name] ?? "");
  return headers;
}

/**
 * HTTP Protocol Binding 1.0, §3.1.3.2: the blank, `"`, `%` and all that is not visible ASCII as `%` and the UTF-8 bytes
 * in hex.
 */
function headerValue(text: string): string {
  return /^[\x21\x23\x24\x26-\x7e]*$/.test(text) ? text : text.replace(/[^\x21\x23\x24\x26-\x7e]/gu, percentEncoded);
}

function percentEncoded(character: string): string {
  return [...Buffer.from(character, "utf8")]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}
