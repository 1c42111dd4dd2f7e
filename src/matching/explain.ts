/**
 * Why a subscription gets an event, or why not: the rules by which the index matches, asked one by one and put into
 * words. Judges the subscription as it is now, which may not be as it was when the event came.
 */
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../domain/event.ts";
import { passProtocolName } from "../domain/pass-protocol.ts";
import type { Subscription } from "../domain/subscription.ts";
import { unreachable } from "../kernel/errors.ts";
import { type Filter, Filters, type FilterVerdict } from "./filter.ts";
import { FilterFlaw } from "./filter-check.ts";
import { CLOCK_SKEW_MS, judge, protocolEventKey, type SubscriptionIndexDeps, wantedBy } from "./subscription-index.ts";

/** Why a subscription does not get an event. docs/delivery.md has the list. */
export type RefusalReason =
  | "match.type"
  | "match.format"
  | "match.own_endpoint"
  | "match.scope"
  | "match.protocol"
  | "match.younger"
  | "match.disabled"
  | "match.filter";

export interface Refusal {
  readonly reason: RefusalReason;
  /** For people. */
  readonly message: string;
}

/** `about`: the subscription that one of passbus's own events is about, where it is still there. */
export type Explain = (subscription: Subscription, event: DecodedEvent, about?: Subscription) => Refusal | undefined;

/** Compiled filters that an explainer keeps: subscriptions are asked about one after another, and many have the same. */
const KEPT_FILTERS = 64;

/** The answer is undefined where the subscription, as it is now, gets the event. */
export function matchExplainer({ typesOf }: Pick<SubscriptionIndexDeps, "typesOf">): Explain {
  const filters = new CompiledFilters();
  return (subscription, event, about) =>
    askedFor(subscription, event, typesOf) ??
    ruledOut(subscription, event, about) ??
    filteredOut(subscription, event, filters);
}

function askedFor(
  subscription: Subscription,
  { stored, event }: DecodedEvent,
  typesOf: SubscriptionIndexDeps["typesOf"],
): Refusal | undefined {
  const { types, protocolEvents, operationalEvents } = wantedBy(subscription, typesOf);
  if (stored.operationalType !== undefined) {
    if (operationalEvents.includes(stored.operationalType)) return undefined;
    const name = OperationalEventType[stored.operationalType] ?? stored.operationalType;
    return { reason: "match.type", message: `its operational_events do not have OPERATIONAL_EVENT_TYPE_${name}` };
  }
  const carried = protocolEventKey(event.protocolEvent);
  if (types.includes(stored.type) || (carried !== undefined && protocolEvents.includes(carried))) return undefined;
  const type = `PASS_EVENT_TYPE_${PassEventType[stored.type] ?? stored.type}`;
  if (subscription.eventTypes.length > 0) {
    return { reason: "match.type", message: `its event_types do not have ${type}` };
  }
  if (protocolEvents.length > 0) {
    return { reason: "match.type", message: "it asks for events of the protocol that this one does not carry" };
  }
  if (operationalEvents.length > 0) {
    return { reason: "match.type", message: "it asks for events of passbus itself alone: its event_types are empty" };
  }
  return { reason: "match.format", message: `its format ${subscription.format} has no words for ${type}` };
}

function ruledOut(subscription: Subscription, event: DecodedEvent, about?: Subscription): Refusal | undefined {
  const { stored } = event;
  const judgement = judge(subscription, event, CLOCK_SKEW_MS, about);
  switch (judgement) {
    case "send":
    case "hold":
      return undefined;
    case "ownEndpoint":
      return { reason: "match.own_endpoint", message: "the event is about its own endpoint" };
    case "otherEntity": {
      const of = stored.entityId === "" ? "of no entity" : `of ${quoted(stored.entityId)}`;
      return {
        reason: "match.scope",
        message: `its scope is the entity ${quoted(subscription.entityId)}, the event is ${of}`,
      };
    }
    case "otherProtocol": {
      const [asked, got] = [subscription.protocol, event.event.pass?.protocol ?? 0].map((protocol) =>
        passProtocolName(protocol),
      );
      return { reason: "match.protocol", message: `it is for passes of the protocol ${asked}, this one is of ${got}` };
    }
    case "younger": {
      const [made, taken] = [momentOf(subscription.createdAtMs), momentOf(stored.loggedAtMs)];
      return { reason: "match.younger", message: `it was made at ${made}, after the event was accepted at ${taken}` };
    }
    case "drop":
      return {
        reason: "match.disabled",
        message: `a person had it disabled when the event was accepted, at ${momentOf(stored.loggedAtMs)}, and its while_disabled is DROP`,
      };
    default:
      return unreachable(judgement);
  }
}

/** One that fails lets everything through. */
function filteredOut(
  { filter: text }: Subscription,
  event: DecodedEvent,
  filters: CompiledFilters,
): Refusal | undefined {
  if (text === undefined) return undefined;
  const verdict = filters.judge(text, event);
  if (verdict?.kind !== "stopped") return undefined;
  return { reason: "match.filter", message: `its filter is false for this event: ${text}` };
}

class CompiledFilters {
  /** Made for the first filter there is: it has the whole language in it. */
  #filters: Filters | undefined;
  readonly #compiled = new Map<string, Filter | undefined>();

  /** undefined for a text that another version of passbus took, and this one doesn't: it fails on every event. */
  judge(text: string, { stored, event }: DecodedEvent): FilterVerdict | undefined {
    this.#filters ??= new Filters();
    const filters = this.#filters;
    if (!this.#compiled.has(text)) {
      if (this.#compiled.size >= KEPT_FILTERS) this.#compiled.clear();
      this.#compiled.set(text, compiled(filters, text));
    }
    return this.#compiled.get(text)?.judge(filters.read(event, stored.value.byteLength));
  }
}

function compiled(filters: Filters, text: string): Filter | undefined {
  try {
    return filters.compile(text);
  } catch (error) {
    if (error instanceof FilterFlaw) return undefined;
    throw error;
  }
}

const quoted = (text: string): string => JSON.stringify(text);

const momentOf = (ms: number): string => new Date(ms).toISOString();
