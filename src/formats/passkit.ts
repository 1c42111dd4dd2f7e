/**
 * PassKit's webhooks (seed 003): what its Go server's `encoding/json` makes of `io.SinkSubscriptionPayload`. Keys stand
 * in the order of the field numbers, as in the vendor's samples. Written by hand because neither protojson nor
 * JSON.stringify writes this, and it is the hot path: docs/decisions/passkit-json.md.
 */
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import type { Metadata, MetaLocation, Pass, Person, UTM } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { FieldMapping, FormatOptions } from "../domain/subscription.ts";
import { nameOf } from "./event-data.ts";
import type { Format, Rendered } from "./format.ts";
import {
  goObject,
  mapMember,
  messageMember,
  numberMember,
  numbersMember,
  stringMember,
  stringsMember,
  timestampMember,
} from "./go-json.ts";
import { protocolKey, protocolRow } from "./passkit-protocol-events.ts";
import { jsonBody } from "./rendered.ts";

interface Row {
  readonly event: string;
  readonly method: Rendered["method"];
}

/** PassKit has no event for a scan. */
const ROWS: ReadonlyMap<PassEventType, Row> = new Map([
  [PassEventType.CREATED, { event: "PASS_EVENT_RECORD_CREATED", method: "POST" }],
  [PassEventType.INSTALLED, { event: "PASS_EVENT_INSTALLED", method: "PUT" }],
  [PassEventType.UPDATED, { event: "PASS_EVENT_RECORD_UPDATED", method: "PUT" }],
  // As seed 003's sample says; `passkitUninstalledName` "enum" gives the name that PassKit's enum has.
  [PassEventType.UNINSTALLED, { event: "PASS_EVENT_RECORD_UPDATED", method: "PUT" }],
  [PassEventType.INVALIDATED, { event: "PASS_EVENT_INVALIDATED", method: "PUT" }],
  [PassEventType.DELETED, { event: "PASS_EVENT_RECORD_DELETED", method: "DELETE" }],
]);

export const passkit: Format = {
  name: "PASSKIT",
  types: [...ROWS.keys()],
  bodySignatureHeader: "x-passkit-signature",
  saysProtocolEvents: true,
  renderKey(options) {
    const { passkitUninstalledName, passkitMethod, passkitFieldMapping: mapping } = options;
    const mapped = mapping === undefined ? "" : JSON.stringify(mapping);
    return `${passkitUninstalledName} ${passkitMethod} ${protocolKey(options)} ${mapped}`;
  },
  render({ event }, options) {
    const row = protocolRow(event, options) ?? typeRow(event.type, options);
    const { passkitMethod, passkitFieldMapping: mapping } = options;
    const pass = messageMember("pass", event.pass, (each) => passMembers(each, mapping));
    return jsonBody(methodOf(passkitMethod) ?? row.method, goObject(stringMember("event", row.event) + pass));
  },
};

function typeRow(type: PassEventType, { passkitUninstalledName }: FormatOptions): Row {
  const row = nameOf(ROWS, type, "PASSKIT");
  const byEnum = type === PassEventType.UNINSTALLED && passkitUninstalledName === "enum";
  return byEnum ? { ...row, event: "PASS_EVENT_UNINSTALLED" } : row;
}

/** METHOD_NONE, and a number that this version does not know: the event's own. */
function methodOf(method: ActionMethod): Rendered["method"] | undefined {
  switch (method) {
    case ActionMethod.METHOD_POST:
      return "POST";
    case ActionMethod.METHOD_PUT:
      return "PUT";
    case ActionMethod.METHOD_DELETE:
      return "DELETE";
    default:
      return undefined;
  }
}

/** The entry that the mapping names, under the name that it gives. Own entries alone: `constructor` is a name like any. */
function mapped(data: Pass["recordData"], mapping: FieldMapping | undefined): Pass["recordData"] {
  if (mapping === undefined) return data;
  const { sourceFieldUniqueName: source, destinationFieldKey: destination, isRequired } = mapping;
  if (!Object.hasOwn(data, source)) {
    return isRequired && !Object.hasOwn(data, destination) ? { ...data, [destination]: "" } : data;
  }
  const others = Object.entries(data).filter(([name]) => name !== source);
  return Object.fromEntries([...others, [destination, data[source] ?? ""]]);
}

function passMembers(pass: Pass, mapping: FieldMapping | undefined): string {
  return (
    stringMember("id", pass.id) +
    stringMember("classId", pass.classId) +
    numberMember("protocol", pass.protocol) +
    messageMember("personDetails", pass.personDetails, personMembers) +
    messageMember("metadata", pass.metadata, metadataMembers) +
    mapMember("recordData", mapped(pass.recordData, mapping)) +
    stringMember("externalId", pass.externalId)
  );
}

function personMembers(person: Person): string {
  return (
    stringMember("surname", person.surname) +
    stringMember("forename", person.forename) +
    stringsMember("otherNames", person.otherNames) +
    stringMember("salutation", person.salutation) +
    stringMember("suffix", person.suffix) +
    stringMember("displayName", person.displayName) +
    numberMember("gender", person.gender) +
    messageMember(
      "dateOfBirth",
      person.dateOfBirth,
      (date) => numberMember("year", date.year) + numberMember("month", date.month) + numberMember("day", date.day),
    ) +
    stringMember("emailAddress", person.emailAddress) +
    stringMember("mobileNumber", person.mobileNumber) +
    stringMember("externalId", person.externalId) +
    mapMember("externalIds", person.externalIds)
  );
}

function metadataMembers(metadata: Metadata): string {
  return (
    numberMember("status", metadata.status) +
    numbersMember("lifecycleEvents", metadata.lifecycleEvents) +
    messageMember("utm", metadata.utm, utmMembers) +
    stringMember("altId", metadata.altId) +
    stringMember("issueIpAddress", metadata.issueIpAddress) +
    stringMember("installIpAddress", metadata.installIpAddress) +
    messageMember("renderLocation", metadata.renderLocation, locationMembers) +
    stringMember("renderIpAddress", metadata.renderIpAddress) +
    stringMember("installUserAgent", metadata.installUserAgent) +
    stringMember("renderUserAgent", metadata.renderUserAgent) +
    numbersMember("installDeviceAttributes", metadata.installDeviceAttributes) +
    numbersMember("renderDeviceAttributes", metadata.renderDeviceAttributes) +
    timestampMember("issueAt", metadata.issueAt) +
    timestampMember("renderedAt", metadata.renderedAt) +
    timestampMember("firstInstalledAt", metadata.firstInstalledAt) +
    timestampMember("lastInstalledAt", metadata.lastInstalledAt) +
    timestampMember("firstUninstalledAt", metadata.firstUninstalledAt) +
    timestampMember("lastUninstalledAt", metadata.lastUninstalledAt) +
    timestampMember("invalidatedAt", metadata.invalidatedAt) +
    timestampMember("lastUpdatedAt", metadata.lastUpdatedAt)
  );
}

function utmMembers(utm: UTM): string {
  return (
    stringMember("source", utm.source) +
    stringMember("medium", utm.medium) +
    stringMember("name", utm.name) +
    stringMember("term", utm.term) +
    stringMember("content", utm.content)
  );
}

function locationMembers(location: MetaLocation): string {
  return (
    stringMember("country", location.country) +
    stringMember("city", location.city) +
    stringMember("state", location.state) +
    numberMember("latitude", location.latitude) +
    numberMember("longitude", location.longitude)
  );
}
