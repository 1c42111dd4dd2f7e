/** PassKit's sample event: the webhook that a subscription would get, as text in the configuration of its own message. */
import { CouponEventId, MembershipEventId, type SinkSubscription } from "../../gen/io/integrations_pb.js";
import { type PassEvent, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { renderOptions } from "../formats/format.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { CodedError } from "../kernel/errors.ts";
import { sinkOf } from "./passkit.ts";

/**
 * The first event that the subscription names, of its class and protocol, exactly as it would be sent.
 * @throws CodedError `subscription.not_passkit`.
 */
export function sampleSinkOf(subscription: Subscription, nowMs: number): SinkSubscription {
  const sink = sinkOf(subscription);
  const { body } = formatOf(subscription.format).render(sampleFor(subscription, nowMs), renderOptions(subscription));
  return { ...sink, configuration: body.toString("utf8") };
}

function sampleFor(subscription: Subscription, nowMs: number): DecodedEvent {
  const { type, protocolEvent } = firstNamed(subscription);
  const event = sampleEvent(type);
  if (event?.pass === undefined) throw new CodedError("internal", `there is no sample of ${PassEventType[type]}`);
  if (subscription.entityId !== "") event.pass.classId = subscription.entityId;
  if (subscription.protocol !== 0) event.pass.protocol = subscription.protocol;
  event.protocolEvent = protocolEvent;
  return decodeStored(
    {
      tenant: subscription.tenant,
      id: "sample",
      type,
      passId: event.pass.id,
      entityId: event.pass.classId,
      loggedAtMs: nowMs,
      value: new Uint8Array(),
      contentHash: "",
    },
    event,
  );
}

function firstNamed(subscription: Subscription): Pick<PassEvent, "type" | "protocolEvent"> {
  const { eventTypes, membershipEvents = [], couponEvents = [] } = subscription;
  const [type] = eventTypes;
  if (type !== undefined) return { type, protocolEvent: { case: undefined } };
  const [membership] = membershipEvents;
  if (membership !== undefined) {
    const isNew = membership === MembershipEventId.MEMBER_EVENT_ENROLLED;
    return {
      type: isNew ? PassEventType.CREATED : PassEventType.UPDATED,
      protocolEvent: { case: "membershipEvent", value: membership },
    };
  }
  const [coupon] = couponEvents;
  if (coupon === undefined) return { type: PassEventType.CREATED, protocolEvent: { case: undefined } };
  return { type: typeOf(coupon), protocolEvent: { case: "couponEvent", value: coupon } };
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
