/** What STANDARD and CLOUDEVENTS share: the names of the types, and the event itself as protojson. */
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../kernel/errors.ts";
import { protoJson } from "./proto-json.ts";

/** The type's name, full-stop delimited as Standard Webhooks 1.0 recommends ("Payload structure"). */
export const TYPE_NAMES: ReadonlyMap<PassEventType, string> = new Map([
  [PassEventType.CREATED, "pass.created"],
  [PassEventType.INSTALLED, "pass.installed"],
  [PassEventType.UPDATED, "pass.updated"],
  [PassEventType.UNINSTALLED, "pass.uninstalled"],
  [PassEventType.INVALIDATED, "pass.invalidated"],
  [PassEventType.DELETED, "pass.deleted"],
  [PassEventType.SCANNED, "pass.scanned"],
]);

/** Of passbus's own events. docs/operational-events.md lists them. */
export const OPERATIONAL_NAMES: ReadonlyMap<OperationalEventType, string> = new Map([
  [OperationalEventType.SUBSCRIPTION_DISABLED, "subscription.disabled"],
  [OperationalEventType.ENDPOINT_FAILING, "endpoint.failing"],
  [OperationalEventType.ENDPOINT_RECOVERED, "endpoint.recovered"],
  [OperationalEventType.DELIVERY_FAILED, "delivery.failed"],
  [OperationalEventType.DELIVERY_EXPIRED, "delivery.expired"],
  [OperationalEventType.FILTER_FAILED, "filter.failed"],
]);

/**
 * What an event is called where passbus's own events have names too.
 * @throws CodedError `format.failed` for a type without one.
 */
export function typeName({ type, operationalEvent }: PassEvent, format: string): string {
  return OPERATIONAL_NAMES.get(operationalEvent?.type ?? 0) ?? nameOf(TYPE_NAMES, type, format);
}

/**
 * What a format calls the type.
 * @throws CodedError `format.failed` for a type that `names` lacks.
 */
export function nameOf<Name>(names: ReadonlyMap<PassEventType, Name>, type: PassEventType, format: string): Name {
  const name = names.get(type);
  if (name === undefined) throw new CodedError("format.failed", `${format} cannot say ${PassEventType[type]}`);
  return name;
}

/**
 * The PassEvent as protojson text, less its type and time, which stand beside it, and whom it belongs to. protojson
 * leaves out what has its zero value, and so the four that are emptied here. docs/decisions/standard-payload.md.
 */
export function eventData(event: PassEvent): string {
  const { operationalEvent } = event;
  return protoJson(PassEventSchema, {
    ...event,
    type: PassEventType.UNSPECIFIED,
    occurredAt: undefined,
    organisationId: "",
    environment: "",
    ...(operationalEvent !== undefined && {
      operationalEvent: { ...operationalEvent, type: OperationalEventType.UNSPECIFIED },
    }),
  });
}
