import { isDeepStrictEqual } from "node:util";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Subscription as SubscriptionMessage } from "../../gen/passbus/v1/subscription_pb.js";
import { EVENT_TYPES } from "../domain/event.ts";
import type { FormatName } from "../domain/subscription.ts";
import { operationalSample } from "../formats/operational-samples.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { filterFlaw } from "../matching/filter.ts";
import type { Violations } from "./violations.ts";

/**
 * The filter as it stands, tried on the sample of each type that it may meet; one that is empty is absent. One that
 * `before` has too, and meets the same events there, is taken as it is.
 */
export function readEventFilter(
  message: SubscriptionMessage,
  format: FormatName,
  wrong: Violations,
  before?: SubscriptionMessage,
): { readonly filter?: string } {
  if (message.filter === "") return {};
  if (before !== undefined && isDeepStrictEqual(judgedBy(message), judgedBy(before))) return { filter: message.filter };
  const flaw = filterFlaw(message.filter, samplesFor(message, format));
  if (flaw !== undefined) wrong.add("filter", flaw);
  return { filter: message.filter };
}

function judgedBy(message: SubscriptionMessage) {
  const { filter, format, protocol, eventTypes, membershipEvents, couponEvents, operationalEvents } = message;
  return { filter, format, protocol, eventTypes, membershipEvents, couponEvents, operationalEvents };
}

function samplesFor(message: SubscriptionMessage, format: FormatName): readonly PassEvent[] {
  // An event of a protocol comes with a type of any sort.
  const { eventTypes, operationalEvents } = message;
  const named = message.membershipEvents.length + message.couponEvents.length > 0;
  const all = named ? EVENT_TYPES : formatOf(format).types;
  const picked = operationalEvents.length > 0 ? eventTypes : all;
  const types = named ? EVENT_TYPES : eventTypes.length > 0 ? eventTypes : picked;
  // One of each, whatever a request says how often.
  const samples = [...[...new Set(types)].map(sampleEvent), ...[...new Set(operationalEvents)].map(operationalSample)];
  return samples.flatMap((sample) => (sample === undefined ? [] : [asMatched(sample, message.entityId)]));
}

/** With what passbus fills in before an event is matched. */
function asMatched(sample: PassEvent, entityId: string): PassEvent {
  return {
    ...sample,
    id: "evt_sample",
    organisationId: "organisation",
    environment: "production",
    entityId: entityId === "" ? (sample.pass?.classId ?? "") : entityId,
  };
}
