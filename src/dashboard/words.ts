/** What the values of the API's enums are called on the pages. */
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { EndpointCondition, Format } from "../../gen/passbus/v1/subscription_pb.js";

/** How a state is coloured; the colour only adds to the word. */
export type Tone = "good" | "bad" | "warn" | "busy" | "calm";

type Named = readonly [name: string, tone: Tone];

export const STATUS: Readonly<Record<DeliveryStatus, Named>> = {
  [DeliveryStatus.UNSPECIFIED]: ["unknown", "calm"],
  [DeliveryStatus.WAITING]: ["waiting", "warn"],
  [DeliveryStatus.ATTEMPTING]: ["attempting", "busy"],
  [DeliveryStatus.HELD]: ["held", "calm"],
  [DeliveryStatus.DELIVERED]: ["delivered", "good"],
  [DeliveryStatus.FAILED]: ["failed", "bad"],
  [DeliveryStatus.CANCELLED]: ["cancelled", "calm"],
};

export const EVENT_TYPE: Readonly<Record<PassEventType, string>> = {
  [PassEventType.UNSPECIFIED]: "of passbus",
  [PassEventType.CREATED]: "created",
  [PassEventType.INSTALLED]: "installed",
  [PassEventType.UPDATED]: "updated",
  [PassEventType.UNINSTALLED]: "uninstalled",
  [PassEventType.INVALIDATED]: "invalidated",
  [PassEventType.DELETED]: "deleted",
  [PassEventType.SCANNED]: "scanned",
};

/** In the order of a pass's life. */
export const EVENT_TYPES: readonly PassEventType[] = [
  PassEventType.CREATED,
  PassEventType.INSTALLED,
  PassEventType.UPDATED,
  PassEventType.SCANNED,
  PassEventType.UNINSTALLED,
  PassEventType.INVALIDATED,
  PassEventType.DELETED,
];

export const OPERATIONAL: Readonly<Record<OperationalEventType, string>> = {
  [OperationalEventType.UNSPECIFIED]: "none",
  [OperationalEventType.SUBSCRIPTION_DISABLED]: "subscription disabled",
  [OperationalEventType.ENDPOINT_FAILING]: "endpoint failing",
  [OperationalEventType.ENDPOINT_RECOVERED]: "endpoint recovered",
  [OperationalEventType.DELIVERY_FAILED]: "delivery failed",
  [OperationalEventType.DELIVERY_EXPIRED]: "delivery expired",
  [OperationalEventType.FILTER_FAILED]: "filter failed",
};

export const OPERATIONAL_TYPES: readonly OperationalEventType[] = [
  OperationalEventType.SUBSCRIPTION_DISABLED,
  OperationalEventType.ENDPOINT_FAILING,
  OperationalEventType.ENDPOINT_RECOVERED,
  OperationalEventType.DELIVERY_FAILED,
  OperationalEventType.DELIVERY_EXPIRED,
  OperationalEventType.FILTER_FAILED,
];

/** Events that only passes of one protocol have: PassKit's format says them. */
export const MEMBERSHIP_EVENT: ReadonlyMap<MembershipEventId, string> = new Map([
  [MembershipEventId.MEMBER_EVENT_ENROLLED, "member enrolled"],
  [MembershipEventId.MEMBER_EVENT_UPDATED, "member updated"],
]);

export const COUPON_EVENT: ReadonlyMap<CouponEventId, string> = new Map([
  [CouponEventId.COUPON_EVENT_CREATED, "coupon created"],
  [CouponEventId.COUPON_EVENT_REDEEMED, "coupon redeemed"],
  [CouponEventId.COUPON_EVENT_UPDATED, "coupon updated"],
  [CouponEventId.COUPON_EVENT_DELETED, "coupon deleted"],
]);

const PROTOCOLS: ReadonlyMap<PassProtocol, string> = new Map([
  [PassProtocol.PASS_PROTOCOL_DO_NOT_USE, "any"],
  [PassProtocol.MEMBERSHIP, "memberships"],
  [PassProtocol.SINGLE_USE_COUPON, "single-use coupons"],
  [PassProtocol.EVENT_TICKETING, "event tickets"],
  [PassProtocol.FLIGHT_PROTOCOL, "flights"],
  [PassProtocol.RAW_PROTOCOL, "raw"],
  [PassProtocol.V1_PROTOCOL, "version 1"],
]);

/** Proprietary ones are numbers from 1000 on, without a name. */
export function protocolName(protocol: PassProtocol): string {
  return PROTOCOLS.get(protocol) ?? `protocol ${protocol}`;
}

/** To choose from; the one that is set stands among them in any case. */
export function protocolOptions(set: PassProtocol): readonly (readonly [PassProtocol, string])[] {
  const all = [...PROTOCOLS.keys()];
  return (all.includes(set) ? all : [...all, set]).map((each) => [each, protocolName(each)] as const);
}

/** What happened, of an event or a delivery: of a pass, or of passbus itself. */
export function eventName(type: PassEventType, operational: OperationalEventType): string {
  return operational === OperationalEventType.UNSPECIFIED ? EVENT_TYPE[type] : OPERATIONAL[operational];
}

export const FORMAT: Readonly<Record<Format, string>> = {
  [Format.UNSPECIFIED]: "Standard Webhooks",
  [Format.STANDARD]: "Standard Webhooks",
  [Format.PASSKIT]: "PassKit",
  [Format.PASSENTRY]: "PassEntry",
  [Format.ETHPASS]: "ethpass",
  [Format.CLOUDEVENTS]: "CloudEvents",
};

/** What each format can say (docs/delivery.md); a test holds it against what passbus takes. */
export const SAYABLE: Readonly<Record<Format, readonly PassEventType[]>> = {
  [Format.UNSPECIFIED]: EVENT_TYPES,
  [Format.STANDARD]: EVENT_TYPES,
  [Format.CLOUDEVENTS]: EVENT_TYPES,
  [Format.PASSKIT]: EVENT_TYPES.filter((type) => type !== PassEventType.SCANNED),
  [Format.PASSENTRY]: [
    PassEventType.CREATED,
    PassEventType.INSTALLED,
    PassEventType.SCANNED,
    PassEventType.UNINSTALLED,
  ],
  [Format.ETHPASS]: [
    PassEventType.CREATED,
    PassEventType.INSTALLED,
    PassEventType.SCANNED,
    PassEventType.UNINSTALLED,
    PassEventType.INVALIDATED,
  ],
};

export const CONDITION: Readonly<Record<EndpointCondition, Named>> = {
  [EndpointCondition.UNSPECIFIED]: ["no attempts yet", "calm"],
  [EndpointCondition.HEALTHY]: ["healthy", "good"],
  [EndpointCondition.FAILING]: ["failing", "warn"],
  [EndpointCondition.OPEN]: ["stopped: breaker open", "bad"],
};
