/** The built-in sample of a type, as an event of a subscription's own: for test sends and previews. */
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEvent, PassEventType, PassEventTypeSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import type { DecodedEvent, EventKind } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { operationalSample } from "../formats/operational-samples.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { cannotSayOperational, isOperationalType, operationalName } from "./operational-events.ts";

/**
 * `kind` is as a request has it: a type that is asked for comes by itself; where both are unset, it is the first event that
 * the subscription names, or else gets. `field` is where it stands in the request.
 * @throws CodedError `request.invalid` for a kind that the subscription's format can't say.
 */
export function sampleFor(
  subscription: Subscription,
  kind: Partial<EventKind>,
  field: string,
  id: string,
  nowMs: number,
): DecodedEvent {
  const { type = PassEventType.UNSPECIFIED } = kind;
  const operational = operationalType(subscription, kind);
  if (operational !== undefined) return operationalFor(subscription, operational, field, id, nowMs);
  const isAsked = type !== PassEventType.UNSPECIFIED;
  const { type: chosen, protocolEvent } = isAsked
    ? { type: sayableType(subscription, type, field), protocolEvent: NO_PROTOCOL_EVENT }
    : firstNamed(subscription);
  const event = sampleEvent(chosen);
  if (event?.pass === undefined) throw new CodedError("internal", `there is no sample of ${PassEventType[chosen]}`);
  const { tenant, entityId, protocol } = subscription;
  if (entityId !== "") event.pass.classId = entityId;
  if (protocol !== 0) event.pass.protocol = protocol;
  event.protocolEvent = protocolEvent;
  const stored = {
    tenant,
    id,
    type: chosen,
    passId: event.pass.id,
    entityId: event.pass.classId,
    loggedAtMs: nowMs,
    value: new Uint8Array(),
    contentHash: "",
  };
  return decodeStored(stored, event);
}

/** As it is asked for, or, where nothing is, of one that asks for no events of passes, the first that it names. */
function operationalType(
  subscription: Subscription,
  { type = 0, operationalType: asked = 0 }: Partial<EventKind>,
): OperationalEventType | undefined {
  if (asked !== 0) return asked;
  const { eventTypes, membershipEvents = [], couponEvents = [], operationalEvents = [] } = subscription;
  const ofPasses = type + eventTypes.length + membershipEvents.length + couponEvents.length;
  return ofPasses === 0 ? operationalEvents[0] : undefined;
}

function operationalFor(
  { tenant, entityId, format }: Subscription,
  type: OperationalEventType,
  field: string,
  id: string,
  nowMs: number,
): DecodedEvent {
  if (!isOperationalType(type)) throw invalidField(field, `${type} is not an operational event`);
  if (formatOf(format).saysOperationalEvents !== true) throw invalidField(field, cannotSayOperational(format));
  const event = operationalSample(type);
  if (event === undefined) throw new CodedError("internal", `there is no sample of ${operationalName(type)}`);
  const stored = {
    tenant,
    id,
    type: PassEventType.UNSPECIFIED,
    operationalType: type,
    passId: "",
    entityId,
    loggedAtMs: nowMs,
    value: new Uint8Array(),
    contentHash: "",
  };
  return decodeStored(stored, event);
}

function sayableType(subscription: Subscription, type: PassEventType, field: string): PassEventType {
  const { types } = formatOf(subscription.format);
  if (types.includes(type)) return type;
  const nameOf = (number: PassEventType) => PassEventTypeSchema.value[number]?.name ?? String(number);
  const choice = types.map(nameOf).join(", ");
  throw invalidField(field, `FORMAT_${subscription.format} can't say ${nameOf(type)}; it can say ${choice}`);
}

const NO_PROTOCOL_EVENT: PassEvent["protocolEvent"] = { case: undefined };

function firstNamed(subscription: Subscription): Pick<PassEvent, "type" | "protocolEvent"> {
  const { eventTypes, membershipEvents = [], couponEvents = [], format } = subscription;
  const [type] = eventTypes;
  if (type !== undefined) return { type, protocolEvent: NO_PROTOCOL_EVENT };
  const [membership] = membershipEvents;
  if (membership !== undefined) {
    const isNew = membership === MembershipEventId.MEMBER_EVENT_ENROLLED;
    return {
      type: isNew ? PassEventType.CREATED : PassEventType.UPDATED,
      protocolEvent: { case: "membershipEvent", value: membership },
    };
  }
  const [coupon] = couponEvents;
  if (coupon !== undefined) return { type: typeOf(coupon), protocolEvent: { case: "couponEvent", value: coupon } };
  return { type: formatOf(format).types[0] ?? PassEventType.CREATED, protocolEvent: NO_PROTOCOL_EVENT };
}

function typeOf(coupon: CouponEventId): PassEventType {
  switch (coupon) {
    case CouponEventId.COUPON_EVENT_CREATED:
      return PassEventType.CREATED;
    case CouponEventId.COUPON_EVENT_DELETED:
      return PassEventType.DELETED;
    default:
      return PassEventType.UPDATED;
  }
}
