/** What a subscription may say in PassKit's words beside PassKit's API: protocol events, and a field's other name. */
import type { DescEnum } from "@bufbuild/protobuf";
import {
  CouponEventIdSchema,
  DataTypeSchema,
  type FieldMapping as FieldMappingMessage,
  MembershipEventIdSchema,
} from "../../gen/io/integrations_pb.js";
import type { Subscription as SubscriptionMessage } from "../../gen/passbus/v1/subscription_pb.js";
import type { FieldMapping, FormatName, ProtocolEvents } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { LIMITS } from "../kernel/limits.ts";
import { isKnown, type Violations } from "./violations.ts";

/** Lists that are empty are absent, as in what was stored before there were any. */
export function readProtocolEvents(
  { membershipEvents, couponEvents }: SubscriptionMessage,
  format: FormatName,
  wrong: Violations,
): ProtocolEvents {
  judgeIds("membership_events", membershipEvents, MembershipEventIdSchema, wrong);
  judgeIds("coupon_events", couponEvents, CouponEventIdSchema, wrong);
  const [memberships, coupons] = [membershipEvents.length > 0, couponEvents.length > 0];
  if ((memberships || coupons) && formatOf(format).saysProtocolEvents !== true) {
    const field = memberships ? "membership_events" : "coupon_events";
    wrong.add(field, `FORMAT_${format} can't say the events of a protocol`);
  }
  if (memberships && coupons && format === "PASSKIT") {
    wrong.add(
      "coupon_events",
      "a subscription of FORMAT_PASSKIT names the events of one protocol; leave one list empty",
    );
  }
  return {
    ...(memberships ? { membershipEvents: [...membershipEvents] } : {}),
    ...(coupons ? { couponEvents: [...couponEvents] } : {}),
  };
}

function judgeIds(field: string, ids: readonly number[], type: DescEnum, wrong: Violations): void {
  for (const [at, id] of ids.entries()) {
    const name = type.value[id]?.name;
    if (name === undefined || id === 0) {
      const choice = type.values.filter(({ number }) => number !== 0).map((value) => value.name);
      wrong.add(`${field}[${at}]`, `${name ?? id} is no event of ${type.typeName}; use ${choice.join(", ")}`);
    } else if (ids.indexOf(id) < at) {
      wrong.add(`${field}[${at}]`, `${name} stands in the list already`);
    }
  }
}

export function readFieldMapping(
  message: FieldMappingMessage | undefined,
  wrong: Violations,
): { readonly passkitFieldMapping?: FieldMapping } {
  if (message === undefined) return {};
  const { destinationFieldKey, destinationFieldDataType, isRequired, sourceFieldUniqueName } = message;
  const root = "format_options.passkit_field_mapping";
  for (const [field, name] of Object.entries({ destinationFieldKey, sourceFieldUniqueName })) {
    if (name === "" || name.length > LIMITS.idCharacters || /\p{Cc}/u.test(name) || !name.isWellFormed()) {
      wrong.add(`${root}.${field}`, `must have 1 to ${LIMITS.idCharacters} characters and no control characters`);
    }
  }
  if (!isKnown(DataTypeSchema, destinationFieldDataType)) {
    wrong.add(`${root}.destinationFieldDataType`, `${destinationFieldDataType} is not a number of io.DataType`);
  }
  return {
    passkitFieldMapping: { destinationFieldKey, destinationFieldDataType, isRequired, sourceFieldUniqueName },
  };
}
