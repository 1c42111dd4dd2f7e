/** The built-in sample of a type, as an event of a subscription's own: for test sends and previews. */
import { type PassEvent, PassEventType, PassEventTypeSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { typesOf } from "./list-filter.ts";

/**
 * `type` is as a request has it: UNSPECIFIED is the first that the subscription gets. `field` is where it stands in the
 * request.
 * @throws CodedError `request.invalid` for a type that the subscription's format can't say.
 */
export function sampleFor(
  subscription: Subscription,
  type: PassEventType,
  field: string,
  id: string,
  nowMs: number,
): DecodedEvent {
  const chosen = sayableType(subscription, type, field);
  const event = sampleEvent(chosen);
  if (event?.pass === undefined) throw new CodedError("internal", `there is no sample of ${PassEventType[chosen]}`);
  const { tenant, entityId, protocol } = subscription;
  if (entityId !== "") event.pass.classId = entityId;
  if (protocol !== 0) event.pass.protocol = protocol;
  event.protocolEvent = protocolEventOf(subscription);
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

function sayableType(subscription: Subscription, type: PassEventType, field: string): PassEventType {
  const { types } = formatOf(subscription.format);
  if (type === PassEventType.UNSPECIFIED) return typesOf(subscription)[0] ?? types[0] ?? PassEventType.CREATED;
  if (types.includes(type)) return type;
  const nameOf = (number: PassEventType) => PassEventTypeSchema.value[number]?.name ?? String(number);
  const choice = types.map(nameOf).join(", ");
  throw invalidField(field, `FORMAT_${subscription.format} can't say ${nameOf(type)}; it can say ${choice}`);
}

/** The first that the subscription names, if it names any: it would get no others. */
function protocolEventOf({ membershipEvents, couponEvents }: Subscription): PassEvent["protocolEvent"] {
  const [membership] = membershipEvents ?? [];
  if (membership !== undefined) return { case: "membershipEvent", value: membership };
  const [coupon] = couponEvents ?? [];
  return coupon === undefined ? { case: undefined } : { case: "couponEvent", value: coupon };
}
