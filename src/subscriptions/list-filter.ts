import { OperationalEventTypeSchema } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEventType, PassEventTypeSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  EndpointCondition,
  EndpointConditionSchema,
  Format,
  FormatSchema,
  State,
  StateSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import { type ListSubscriptionsRequest, Scope, ScopeSchema } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import { formatName } from "./message.ts";
import type { SubscriptionFilter } from "./subscription-store.ts";
import { isKnown } from "./violations.ts";

/** What a list is narrowed to. */
export interface ListFilter {
  /** By what the store has indexes or columns for. */
  readonly stored: SubscriptionFilter;
  /** By what only the whole subscription says; undefined where that is nothing. */
  readonly matches?: Matches;
  /** By how its endpoint is doing. */
  readonly health?: EndpointCondition;
}

export type Matches = (subscription: Subscription) => boolean;

/** A field that is unset narrows nothing. Throws a `request.invalid`. */
export function readFilter(request: ListSubscriptionsRequest): ListFilter {
  const { entityId, state, format, scope } = request;
  const wrong: FieldViolation[] = [];
  if (!isKnown(StateSchema, state)) {
    wrong.push({ field: "state", description: `${state} is not a number of ${StateSchema.typeName}` });
  }
  const name = formatName(format);
  if (name === undefined && format !== Format.UNSPECIFIED) {
    wrong.push({ field: "format", description: `${format} is not a number of ${FormatSchema.typeName}` });
  }
  if (!isKnown(ScopeSchema, scope)) {
    wrong.push({ field: "scope", description: `${scope} is not a number of ${ScopeSchema.typeName}` });
  }
  if (scope === Scope.ORGANISATION && entityId !== "") {
    wrong.push({ field: "scope", description: "SCOPE_ORGANISATION has no subscription of an entity" });
  }
  if (!isKnown(EndpointConditionSchema, request.health)) {
    const description = `${request.health} is not a number of ${EndpointConditionSchema.typeName}`;
    wrong.push({ field: "health", description });
  }
  const tests = readTests(request, wrong);
  if (wrong.length > 0) throw invalidFields(wrong);
  return {
    stored: {
      ...(entityId === "" && scope !== Scope.ORGANISATION ? {} : { entityId }),
      ...(state === State.UNSPECIFIED ? {} : { state: state === State.ENABLED ? "enabled" : "disabled" }),
      ...(name === undefined ? {} : { format: name }),
    },
    ...(tests.length === 0 ? {} : { matches: (subscription) => tests.every((test) => test(subscription)) }),
    ...(request.health === EndpointCondition.UNSPECIFIED ? {} : { health: request.health }),
  };
}

function readTests(request: ListSubscriptionsRequest, wrong: FieldViolation[]): readonly Matches[] {
  const { labels, eventType, operationalEvent, scope, text } = request;
  const tests: Matches[] = [];
  const asked = Object.entries(labels);
  if (asked.length > LIMITS.labels) wrong.push({ field: "labels", description: `must be at most ${LIMITS.labels}` });
  if (asked.length > 0) {
    tests.push((one) => asked.every(([name, value]) => one.labels[name] === value));
  }
  if (!isKnown(PassEventTypeSchema, eventType)) {
    const description = `${eventType} is not a number of ${PassEventTypeSchema.typeName}`;
    wrong.push({ field: "event_type", description });
  } else if (eventType !== 0) {
    tests.push((subscription) => getsType(subscription, eventType));
  }
  if (!isKnown(OperationalEventTypeSchema, operationalEvent)) {
    const description = `${operationalEvent} is not a number of ${OperationalEventTypeSchema.typeName}`;
    wrong.push({ field: "operational_event", description });
  } else if (operationalEvent !== 0) {
    tests.push(({ operationalEvents = [] }) => operationalEvents.includes(operationalEvent));
  }
  if (scope === Scope.ENTITY && request.entityId === "") tests.push(({ entityId }) => entityId !== "");
  if (text.length > LIMITS.urlCharacters) {
    wrong.push({ field: "text", description: `must have at most ${LIMITS.urlCharacters} characters` });
  }
  const sought = text.toLowerCase();
  if (sought !== "") tests.push((one) => textsOf(one).some((each) => each.toLowerCase().includes(sought)));
  return tests;
}

/** Every type that a subscription gets by its type alone: those that it names, or all that its format can say. */
export function typesOf(subscription: Subscription): readonly PassEventType[] {
  const { eventTypes, format, membershipEvents = [], couponEvents = [], operationalEvents = [] } = subscription;
  const beside = membershipEvents.length + couponEvents.length + operationalEvents.length;
  if (eventTypes.length > 0 || beside > 0) return eventTypes;
  return formatOf(format).types;
}

function getsType(subscription: Subscription, type: PassEventType): boolean {
  return typesOf(subscription).includes(type);
}

function textsOf({ id, entityId, url, description, labels }: Subscription): readonly string[] {
  return [id, entityId, url, description, ...Object.entries(labels).flat()];
}

/**
 * A page of those that match, read on from the store's own pages. It looks at `LIMITS.listedSubscriptions` at most, and
 * is shorter then, or empty: so no question costs more than that, however few match.
 */
export async function matchingPage(
  list: (page: PageRequest) => Promise<Page<Subscription>>,
  asked: PageRequest,
  matches: Matches,
): Promise<Page<Subscription>> {
  const items: Subscription[] = [];
  let { after } = asked;
  let looked = 0;
  for (;;) {
    const page = await list({ size: LIMITS.pageSize, ...(after === undefined ? {} : { after }) });
    for (const item of page.items) {
      if (!matches(item)) continue;
      items.push(item);
      if (items.length < asked.size) continue;
      const isLast = page.next === undefined && item === page.items.at(-1);
      return isLast ? { items } : { items, next: { timeMs: item.createdAtMs, id: item.id } };
    }
    if (page.next === undefined) return { items };
    looked += page.items.length;
    if (looked >= LIMITS.listedSubscriptions) return { items, next: page.next };
    after = page.next;
  }
}
