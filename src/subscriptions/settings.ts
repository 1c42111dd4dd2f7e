/**
 * What a person may choose of a subscription, read from the API's message. Every field is judged, and everything that
 * is wrong is found in one go, each under its path in the request (`subscription.policy.retry_schedule[2]`).
 *
 * A field of a feature that this version lacks is refused by name: a subscription that quietly did something else than
 * it says would lose events.
 */
import { ActionMethodSchema } from "../../gen/io/integrations_pb.js";
import { type PassEventType, PassEventTypeSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  CloudEventsModeSchema,
  Format,
  FormatSchema,
  PassKitUninstalledEventName,
  PassKitUninstalledEventNameSchema,
  State,
  StateSchema,
  type Subscription as SubscriptionMessage,
} from "../../gen/passbus/v1/subscription_pb.js";
import { EVENT_TYPES } from "../domain/event.ts";
import { isPassProtocol } from "../domain/pass-protocol.ts";
import type { FormatName, FormatOptions, Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { LIMITS } from "../kernel/limits.ts";
import { readEventFilter } from "./filter.ts";
import { HEADER_VALUE, readHeaders } from "./headers.ts";
import { formatName } from "./message.ts";
import { readOperationalEvents } from "./operational-events.ts";
import { readPolicy } from "./policy.ts";
import { readFieldMapping, readProtocolEvents } from "./protocol-events.ts";
import { isKnown, type Violations } from "./violations.ts";

/** What may be changed after creation. */
export type SubscriptionSettings = Pick<
  Subscription,
  | "url"
  | "eventTypes"
  | "format"
  | "formatOptions"
  | "state"
  | "description"
  | "labels"
  | "headers"
  | "policy"
  | "protocol"
  | "membershipEvents"
  | "couponEvents"
  | "operationalEvents"
  | "filter"
  | "ed25519Signature"
>;

/**
 * Where violations are, the answer is not to be used. The write-only authorization is judged here, but not in the
 * answer: ethpass-authorization.ts seals it.
 *
 * @param before what is stored, where the message is a change of it: a filter that was accepted then is judged anew only
 * where the change touches what it is judged by, for another version of passbus may think otherwise of it.
 */
export function readSettings(
  message: SubscriptionMessage,
  wrong: Violations,
  before?: SubscriptionMessage,
): SubscriptionSettings {
  if (message.url === "") wrong.add("url", "is required");
  if (message.description.length > LIMITS.descriptionCharacters) {
    wrong.add("description", `must have at most ${LIMITS.descriptionCharacters} characters`);
  }
  if (!isPassProtocol(message.protocol)) {
    wrong.add("protocol", `${message.protocol} is not a number of io.PassProtocol`);
  }
  const format = readFormat(message.format, wrong);
  return {
    url: message.url,
    eventTypes: readEventTypes(message.eventTypes, format, wrong),
    format,
    formatOptions: readFormatOptions(message, format, wrong),
    state: readState(message.state, wrong),
    description: message.description,
    labels: readLabels(message.labels, wrong),
    headers: readHeaders(message.headers, wrong),
    policy: readPolicy(message.policy, wrong),
    protocol: message.protocol,
    ...readProtocolEvents(message, format, wrong),
    ...readOperationalEvents(message, format, wrong),
    ...readEventFilter(message, format, wrong, before),
    ...(message.ed25519Signature ? { ed25519Signature: true } : {}),
  };
}

/** The scope, at creation. */
export function readEntityId(entityId: string, wrong: Violations): string {
  if (entityId.length > LIMITS.idCharacters || /\p{Cc}/u.test(entityId) || !entityId.isWellFormed()) {
    wrong.add("entity_id", `must have at most ${LIMITS.idCharacters} characters and no control characters`);
  }
  return entityId;
}

function readFormat(number: Format, wrong: Violations): FormatName {
  if (number === Format.UNSPECIFIED) return "STANDARD";
  const name = formatName(number);
  if (name === undefined) {
    wrong.add("format", `${number} is not a number of ${FormatSchema.typeName}`);
  }
  return name ?? "STANDARD";
}

function readEventTypes(
  types: readonly PassEventType[],
  format: FormatName,
  wrong: Violations,
): readonly PassEventType[] {
  const known: readonly PassEventType[] = EVENT_TYPES;
  const { types: sayable, alwaysAllTypes = false } = formatOf(format);
  for (const [at, type] of types.entries()) {
    const field = `event_types[${at}]`;
    const name = PassEventTypeSchema.value[type]?.name;
    if (name === undefined || !known.includes(type)) {
      wrong.add(field, `${name ?? type} is not an event type; use ${known.map(typeName).join(", ")}`);
    } else if (types.indexOf(type) < at) {
      wrong.add(field, `${name} stands in the list already`);
    } else if (!sayable.includes(type)) {
      wrong.add(field, `FORMAT_${format} can't say ${name}; it can say ${sayable.map(typeName).join(", ")}`);
    }
  }
  if (!alwaysAllTypes) return [...types];
  if (types.length > 0 && !sayable.every((type) => types.includes(type))) {
    wrong.add("event_types", `an endpoint of FORMAT_${format} gets all that it can say; leave the list empty`);
  }
  return [];
}

function typeName(type: PassEventType): string {
  return PassEventTypeSchema.value[type]?.name ?? String(type);
}

function readState(state: State, wrong: Violations): Subscription["state"] {
  if (!isKnown(StateSchema, state)) wrong.add("state", `${state} is not a number of ${StateSchema.typeName}`);
  return state === State.DISABLED ? "disabled" : "enabled";
}

function readFormatOptions(message: SubscriptionMessage, format: FormatName, wrong: Violations): FormatOptions {
  const {
    passkitUninstalledEventName = PassKitUninstalledEventName.UNSPECIFIED,
    passkitMethod = 0,
    cloudeventsMode = CloudEventsMode.UNSPECIFIED,
    ethpassAuthorization = "",
  } = message.formatOptions ?? {};
  if (!isKnown(PassKitUninstalledEventNameSchema, passkitUninstalledEventName)) {
    const type = PassKitUninstalledEventNameSchema.typeName;
    const field = "format_options.passkit_uninstalled_event_name";
    wrong.add(field, `${passkitUninstalledEventName} is not a number of ${type}`);
  }
  if (!isKnown(ActionMethodSchema, passkitMethod)) {
    wrong.add("format_options.passkit_method", `${passkitMethod} is not a number of io.ActionMethod`);
  }
  if (!isKnown(CloudEventsModeSchema, cloudeventsMode)) {
    const type = CloudEventsModeSchema.typeName;
    wrong.add("format_options.cloudevents_mode", `${cloudeventsMode} is not a number of ${type}`);
  }
  judgeAuthorization(ethpassAuthorization, format, wrong);
  return {
    passkitUninstalledName: passkitUninstalledEventName === PassKitUninstalledEventName.ENUM ? "enum" : "documented",
    passkitMethod,
    ...readFieldMapping(message.formatOptions?.passkitFieldMapping, wrong),
    ...(cloudeventsMode === CloudEventsMode.BINARY ? { cloudeventsMode: "binary" } : {}),
  };
}

/** Never shown in an answer, and so not in these either. */
function judgeAuthorization(text: string, format: FormatName, wrong: Violations): void {
  if (text === "") return;
  const field = "format_options.ethpass_authorization";
  if (formatOf(format).sendsAuthorization !== true) {
    wrong.add(field, `FORMAT_${format} sends no authorization; leave it empty`);
  } else if (!HEADER_VALUE.test(text) || text.length > LIMITS.authorizationCharacters) {
    wrong.add(
      field,
      `must have at most ${LIMITS.authorizationCharacters} characters of visible ASCII, with blanks and tabs inside alone`,
    );
  }
}

function readLabels(labels: Readonly<Record<string, string>>, wrong: Violations): Readonly<Record<string, string>> {
  const entries = Object.entries(labels);
  if (entries.length > LIMITS.labels) wrong.add("labels", `must be at most ${LIMITS.labels}`);
  for (const [name, value] of entries) {
    const field = `labels[${JSON.stringify(name)}]`;
    if (name === "" || name.length > LIMITS.labelCharacters || /\p{Cc}/u.test(name)) {
      wrong.add(field, `the name must have 1 to ${LIMITS.labelCharacters} characters and no control characters`);
    }
    if (value.length > LIMITS.labelCharacters || /\p{Cc}/u.test(value)) {
      wrong.add(field, `the value must have at most ${LIMITS.labelCharacters} characters and no control characters`);
    }
  }
  return Object.fromEntries(entries);
}
