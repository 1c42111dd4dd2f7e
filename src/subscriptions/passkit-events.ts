/** PassKit's numbers for what a subscription wants to hear, and ours. */
import type { DescEnum } from "@bufbuild/protobuf";
import {
  CouponEventIdSchema,
  MembershipEventIdSchema,
  PassEventId,
  PassEventIdSchema,
  type SinkSubscription,
} from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { ProtocolEvents, Subscription } from "../domain/subscription.ts";
import type { FieldViolation } from "../kernel/errors.ts";

const TYPES: ReadonlyMap<PassEventId, PassEventType> = new Map([
  [PassEventId.PASS_EVENT_RECORD_CREATED, PassEventType.CREATED],
  [PassEventId.PASS_EVENT_INSTALLED, PassEventType.INSTALLED],
  [PassEventId.PASS_EVENT_RECORD_UPDATED, PassEventType.UPDATED],
  [PassEventId.PASS_EVENT_UNINSTALLED, PassEventType.UNINSTALLED],
  [PassEventId.PASS_EVENT_INVALIDATED, PassEventType.INVALIDATED],
  [PassEventId.PASS_EVENT_RECORD_DELETED, PassEventType.DELETED],
]);

const IDS: ReadonlyMap<PassEventType, PassEventId> = new Map([...TYPES].map(([id, type]) => [type, id]));

/** What a SinkSubscription names. */
export type SinkEvents = Pick<SinkSubscription, "passEventId" | "protocolEventId">;

/** What a subscription names. */
export type NamedEvents = Pick<Subscription, "eventTypes"> & ProtocolEvents;

/** A subscription to all that the format can say names all of PassKit's events. */
export function sinkEventsOf({ eventTypes, membershipEvents = [], couponEvents = [] }: NamedEvents): SinkEvents {
  const isAll = eventTypes.length + membershipEvents.length + couponEvents.length === 0;
  const passEventId = isAll ? [...TYPES.keys()] : eventTypes.flatMap((type) => IDS.get(type) ?? []);
  return { passEventId, protocolEventId: protocolEventIdOf(membershipEvents, couponEvents) };
}

function protocolEventIdOf(
  membershipEvents: NonNullable<ProtocolEvents["membershipEvents"]>,
  couponEvents: NonNullable<ProtocolEvents["couponEvents"]>,
): SinkSubscription["protocolEventId"] {
  if (membershipEvents.length > 0) {
    return { case: "membershipEvents", value: { $typeName: "io.MembershipEventIds", ids: [...membershipEvents] } };
  }
  if (couponEvents.length > 0) {
    return { case: "couponEvents", value: { $typeName: "io.CouponEventIds", ids: [...couponEvents] } };
  }
  return { case: undefined };
}

/** An id that stands twice is taken once, as PassKit's list is a set. Finds what is wrong; then the answer is no use. */
export function namedEventsOf(sink: SinkEvents, protocol: PassProtocol, wrong: FieldViolation[]): NamedEvents {
  const { passEventId, protocolEventId } = sink;
  judgeIds("passEventId", passEventId, PassEventIdSchema, wrong);
  const eventTypes = [...new Set(passEventId)].flatMap((id) => TYPES.get(id) ?? []);
  const protocolEvents = readProtocolEventId(protocolEventId, protocol, wrong);
  if (passEventId.length === 0 && (protocolEventId.value?.ids.length ?? 0) === 0) {
    wrong.push({ field: "passEventId", description: "name at least one event, here or of the protocol" });
  }
  return { eventTypes, ...protocolEvents };
}

function readProtocolEventId(
  chosen: SinkSubscription["protocolEventId"],
  protocol: PassProtocol,
  wrong: FieldViolation[],
): ProtocolEvents {
  switch (chosen.case) {
    case "membershipEvents": {
      const { ids } = chosen.value;
      judgeIds("membershipEvents.ids", ids, MembershipEventIdSchema, wrong);
      judgeProtocol("membershipEvents", ids, protocol, PassProtocol.MEMBERSHIP, wrong);
      return { membershipEvents: [...new Set(ids)] };
    }
    case "couponEvents": {
      const { ids } = chosen.value;
      judgeIds("couponEvents.ids", ids, CouponEventIdSchema, wrong);
      judgeProtocol("couponEvents", ids, protocol, PassProtocol.SINGLE_USE_COUPON, wrong);
      return { couponEvents: [...new Set(ids)] };
    }
    default:
      return {};
  }
}

/** Passes of another protocol never have such an event: the subscription would wait for nothing. */
function judgeProtocol(
  field: string,
  ids: readonly number[],
  protocol: PassProtocol,
  right: PassProtocol,
  wrong: FieldViolation[],
): void {
  if (ids.length === 0 || protocol === right) return;
  wrong.push({ field, description: `only passes of the protocol ${PassProtocol[right]} have these events` });
}

function judgeIds(field: string, ids: readonly number[], type: DescEnum, wrong: FieldViolation[]): void {
  for (const [at, id] of ids.entries()) {
    if (id !== 0 && type.value[id] !== undefined) continue;
    wrong.push({ field: `${field}[${at}]`, description: `${wrongValue(type, id)}; each number stands for one event` });
  }
}

/** Says that the number is no value of the enum, or none that can be asked for, and which ones can. */
export function wrongValue(type: DescEnum, number: number): string {
  const name = type.value[number]?.name;
  const choice = type.values.filter((value) => value.number !== 0).map((value) => `${value.name} (${value.number})`);
  const what = name === undefined ? `${number} is not a value of ${type.typeName}` : `${name} stands for nothing`;
  return `${what}; use ${choice.join(", ")}`;
}
