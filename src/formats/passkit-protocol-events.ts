/**
 * PASSKIT's names for the events of a protocol, sent instead of the type's where the subscription names them. PassKit
 * documents no methods for these: seed 003's rule is gone on with (created POST, deleted DELETE, the rest PUT).
 */
import {
  CouponEventId,
  CouponEventIdSchema,
  MembershipEventId,
  MembershipEventIdSchema,
} from "../../gen/io/integrations_pb.js";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import type { ProtocolEvents } from "../domain/subscription.ts";
import type { Rendered } from "./format.ts";

interface ProtocolRow {
  readonly event: string;
  readonly method: Rendered["method"];
}

/** Undefined where the event carries none, or one that the subscription doesn't name. */
export function protocolRow(
  { protocolEvent }: Pick<PassEvent, "protocolEvent">,
  { membershipEvents = [], couponEvents = [] }: ProtocolEvents,
): ProtocolRow | undefined {
  switch (protocolEvent.case) {
    case "membershipEvent": {
      const id = protocolEvent.value;
      if (!membershipEvents.includes(id)) return undefined;
      const name = MembershipEventIdSchema.value[id]?.name ?? "";
      return { event: name, method: id === MembershipEventId.MEMBER_EVENT_ENROLLED ? "POST" : "PUT" };
    }
    case "couponEvent": {
      const id = protocolEvent.value;
      if (!couponEvents.includes(id)) return undefined;
      return { event: CouponEventIdSchema.value[id]?.name ?? "", method: couponMethod(id) };
    }
    default:
      return undefined;
  }
}

function couponMethod(id: CouponEventId): Rendered["method"] {
  if (id === CouponEventId.COUPON_EVENT_CREATED) return "POST";
  return id === CouponEventId.COUPON_EVENT_DELETED ? "DELETE" : "PUT";
}

/** Equal keys name the same protocol events. */
export function protocolKey({ membershipEvents = [], couponEvents = [] }: ProtocolEvents): string {
  return membershipEvents.length + couponEvents.length === 0 ? "" : `m${membershipEvents} c${couponEvents}`;
}
