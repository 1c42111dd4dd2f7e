/** What happened to a pass and what was sent of it, as one list of moments. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Attempt, type Delivery, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import type { StoredEvent } from "../../../../gen/passbus/v1/event_service_pb.js";

export type Moment = { readonly key: string; readonly atMs: number } & (
  | { readonly kind: "event"; readonly stored: StoredEvent }
  | { readonly kind: "attempt"; readonly delivery: Delivery; readonly attempt: Attempt; readonly number: number }
  /** It has had no attempt yet, or never will. */
  | { readonly kind: "delivery"; readonly delivery: Delivery }
  | { readonly kind: "end"; readonly delivery: Delivery }
);

interface Read {
  readonly events: readonly StoredEvent[];
  readonly deliveries: readonly Delivery[];
  /** There are older ones than those that were read. */
  readonly hasMoreEvents: boolean;
  readonly hasMoreDeliveries: boolean;
}

/**
 * Newest first, and only so far back as both lists were read: before that, moments of one of them would be missing. Of
 * equal times what follows from the other is the newer: the event, its delivery, its attempts, the end.
 */
export function storyOf({ events, deliveries, hasMoreEvents, hasMoreDeliveries }: Read): readonly Moment[] {
  const eventMoments = events.map(
    (stored): Moment => ({
      key: `event ${stored.event?.id}`,
      atMs: msOf(stored.acceptedAt),
      kind: "event",
      stored,
    }),
  );
  const moments = [...eventMoments, ...deliveries.flatMap(momentsOf)];
  const from = Math.max(
    hasMoreEvents ? msOf(events.at(-1)?.acceptedAt) : 0,
    hasMoreDeliveries ? msOf(deliveries.at(-1)?.createdAt) : 0,
  );
  return moments.filter(({ atMs }) => atMs >= from).sort((a, b) => b.atMs - a.atMs || RANK[b.kind] - RANK[a.kind]);
}

const RANK: Readonly<Record<Moment["kind"], number>> = { event: 0, delivery: 1, attempt: 2, end: 3 };

function momentsOf(delivery: Delivery): readonly Moment[] {
  const { id, attempts, attemptCount, status, createdAt, finishedAt } = delivery;
  const moments: Moment[] = attempts.map((attempt, at) => ({
    key: `attempt ${id} ${attempt.id}`,
    atMs: msOf(attempt.startedAt),
    kind: "attempt",
    delivery,
    attempt,
    number: at === 0 ? 1 : attemptCount - (attempts.length - 1 - at),
  }));
  if (attempts.length === 0) moments.push({ key: `delivery ${id}`, atMs: msOf(createdAt), kind: "delivery", delivery });
  // That it was delivered, its last attempt says.
  if (status === DeliveryStatus.FAILED || status === DeliveryStatus.CANCELLED) {
    moments.push({ key: `end ${id}`, atMs: msOf(finishedAt), kind: "end", delivery });
  }
  return moments;
}

function msOf(at: Delivery["createdAt"]): number {
  return at === undefined ? 0 : timestampMs(at);
}
