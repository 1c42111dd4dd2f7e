/** Why there is a webhook, or why there is none: what is stored of an event, put into words for people. */
import { type Delivery, deliveryId } from "../domain/delivery.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { unreachable } from "../kernel/errors.ts";
import type { Explain, RefusalReason } from "../matching/explain.ts";

/** Why there is a delivery, and where it stands; or why there is none. docs/delivery.md has the list. */
export type ExplanationReason =
  | RefusalReason
  | `delivery.${Delivery["status"]}`
  /** It gets the event by what it is now; when the event came it was another. */
  | "match.changed"
  /** It gets the event, and nothing is stored yet. */
  | "match.pending"
  | "match.unknown_subscription"
  /** There is no delivery, and why can't be told any more. */
  | "event.payload_dropped";

export interface Explanation {
  readonly subscriptionId: string;
  /** Absent where there is no delivery. */
  readonly deliveryId?: string;
  readonly reason: ExplanationReason;
  readonly message: string;
}

/** What is stored of an event and those who may have wanted it. */
export interface Evidence {
  readonly event: DecodedEvent;
  readonly deliveries: readonly Delivery[];
  /** As they are now. */
  readonly subscriptions: readonly Subscription[];
  /** Whom one of passbus's own events is about, where it isn't among the subscriptions. */
  readonly about?: Subscription;
}

/**
 * One for each delivery, then one for each subscription that has none. Each is worked out when it is asked for: a filter
 * costs its compilation.
 */
export function* explainEvent(
  { event, deliveries, subscriptions, about }: Evidence,
  explain: Explain,
): Generator<Explanation, void> {
  const byId = new Map(subscriptions.map((subscription) => [subscription.id, subscription]));
  const told = event.event.operationalEvent;
  const subject = about ?? (told === undefined ? undefined : byId.get(told.subscriptionId));
  const delivered = new Set(deliveries.map(({ subscriptionId }) => subscriptionId));
  for (const delivery of deliveries) yield explainDelivery(delivery, byId.get(delivery.subscriptionId));
  for (const subscription of subscriptions) {
    if (delivered.has(subscription.id)) continue;
    yield explainNone(subscription, event, (one, of) => explain(one, of, subject));
  }
}

/** For a subscription that is asked about by its id, and neither it nor a delivery of it is there. */
export function unknownSubscription(subscriptionId: string): Explanation {
  return {
    subscriptionId,
    reason: "match.unknown_subscription",
    message: "there is no such subscription in this organisation and environment: deleted since, or never there",
  };
}

function explainDelivery(delivery: Delivery, subscription: Subscription | undefined): Explanation {
  const gone = subscription === undefined ? "; the subscription was deleted since" : "";
  return {
    subscriptionId: delivery.subscriptionId,
    deliveryId: delivery.id,
    reason: `delivery.${delivery.status}`,
    message: `${standing(delivery, subscription)}${gone}`,
  };
}

function standing(delivery: Delivery, subscription: Subscription | undefined): string {
  const { status, attemptCount, dueAtMs, finishedAtMs } = delivery;
  const attempts = attemptCount === 1 ? "1 attempt" : `${attemptCount} attempts`;
  switch (status) {
    case "delivered":
      return `delivered${at(finishedAtMs)}, after ${attempts}`;
    case "failed":
      return `failed${at(finishedAtMs)}, after ${attempts}${lastError(delivery)}`;
    case "cancelled":
      return `cancelled${at(finishedAtMs)}, after ${attempts}${folded(delivery)}`;
    case "waiting":
      return `waits for its next attempt${at(dueAtMs)}, after ${attempts}${lastError(delivery)}`;
    case "attempting":
      return `is being attempted, after ${attempts}${lastError(delivery)}`;
    case "held": {
      if (subscription?.state === "enabled") return "is held until an earlier event of its pass is through";
      const why = subscription?.disabledReason === undefined ? "" : ` (${subscription.disabledReason})`;
      return `is held until its subscription, which is disabled${why}, is enabled again`;
    }
    default:
      return unreachable(status);
  }
}

function folded({ foldedInto }: Delivery): string {
  return foldedInto === undefined ? "" : `; a newer update of its pass goes in its place: ${foldedInto}`;
}

function at(ms: number | undefined): string {
  return ms === undefined ? "" : ` at ${momentOf(ms)}`;
}

function lastError({ attempts }: Delivery): string {
  const last = attempts.at(-1);
  if (last?.errorCode === undefined) return "";
  return `; the last: ${last.errorCode}${last.statusCode === undefined ? "" : ` ${last.statusCode}`}`;
}

function explainNone(subscription: Subscription, event: DecodedEvent, explain: Explain): Explanation {
  const { id: subscriptionId, updatedAtMs } = subscription;
  const isChanged = updatedAtMs > event.stored.loggedAtMs && updatedAtMs > subscription.createdAtMs;
  if (event.stored.payloadDroppedAtMs !== undefined) {
    return {
      subscriptionId,
      reason: "event.payload_dropped",
      message: `the event's payload was dropped at ${momentOf(event.stored.payloadDroppedAtMs)}: what was asked of it can't be looked at any more`,
    };
  }
  const changed = `it was changed at ${momentOf(updatedAtMs)}, after the event was accepted at ${momentOf(event.stored.loggedAtMs)}`;
  const refusal = explain(subscription, event);
  if (refusal !== undefined) {
    const { reason, message } = refusal;
    return { subscriptionId, reason, message: isChanged ? `${message} (as it is now; ${changed})` : message };
  }
  if (isChanged) {
    return { subscriptionId, reason: "match.changed", message: `as it is now it would get the event; ${changed}` };
  }
  return {
    subscriptionId,
    reason: "match.pending",
    message: `it gets the event; its delivery ${deliveryId(event.stored, subscriptionId)} is in a worker's hands and not stored yet, or its record has expired`,
  };
}

const momentOf = (ms: number): string => new Date(ms).toISOString();
