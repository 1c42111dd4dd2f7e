/** Gathers what the judge (event-checker.ts) compares: the receiver's account and passbus's own, as it tells them by its API. */
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import type { ErrorCode } from "../../src/kernel/errors.ts";
import { deliveriesOf } from "./api-log.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Death, Logged, Received } from "./event-checker.ts";
import { type NewEvent, passIdOf } from "./paced-publisher.ts";
import type { Clients } from "./passbus.ts";
import type { Receipt } from "./sink-wire.ts";
import type { Remains } from "./store-files.ts";

const STATUSES = {
  [DeliveryStatus.WAITING]: "waiting",
  [DeliveryStatus.ATTEMPTING]: "attempting",
  [DeliveryStatus.HELD]: "held",
  [DeliveryStatus.DELIVERED]: "delivered",
  [DeliveryStatus.FAILED]: "failed",
  [DeliveryStatus.CANCELLED]: "cancelled",
} as const satisfies Partial<Record<DeliveryStatus, Logged["status"]>>;

/**
 * What an attempt is put down to whose request may have reached the receiver. Even where no connection could be made: it
 * may be the second one, after a kept one had died with the request.
 */
const MAY_HAVE_ARRIVED: ReadonlySet<string> = new Set<ErrorCode>([
  "attempt.timeout",
  "attempt.cancelled",
  "connect.failed",
  "connect.refused",
  "connect.timeout",
  "connection.closed",
  "response.invalid",
]);

/** Event ids by pass id: PASSKIT bodies carry no event id. */
export type EventOfPass = ReadonlyMap<string, string>;

export function eventsByPass(events: readonly NewEvent[]): EventOfPass {
  return new Map(events.map((event) => [passIdOf(event), event.id]));
}

/** The sink's requests at these endpoints. A pass that no event is of stands for itself: nobody asked for it. */
export function receivedOf(
  receipts: readonly Receipt[],
  endpoints: readonly Endpoint[],
  events: EventOfPass,
): readonly Received[] {
  const subscriptionOf = new Map(endpoints.map(({ path, id }) => [path, id]));
  return receipts.flatMap(({ path, passId, webhookId, atMs, status }) => {
    const subscriptionId = subscriptionOf.get(path);
    const eventId = events.get(passId) ?? passId;
    return subscriptionId === undefined ? [] : [{ subscriptionId, eventId, webhookId, atMs, status }];
  });
}

/** All deliveries of these endpoints, by the API. */
export async function loggedOf(
  api: Pick<Clients, "deliveries">,
  endpoints: readonly Endpoint[],
): Promise<readonly Logged[]> {
  const logged: Logged[] = [];
  for (const { id } of endpoints) {
    for (const delivery of await deliveriesOf(api, id)) {
      const { subscriptionId, eventId, id: webhookId, status, attemptCount, attempts } = delivery;
      if (!isStatus(status)) throw new Error(`delivery ${webhookId} is in status ${status}`);
      const statuses = attempts.map(({ statusCode }) => statusCode);
      const unanswered = attempts.filter(({ errorCode }) => MAY_HAVE_ARRIVED.has(errorCode)).length;
      logged.push({ subscriptionId, eventId, webhookId, status: STATUSES[status], attemptCount, statuses, unanswered });
    }
  }
  return logged;
}

function isStatus(status: DeliveryStatus): status is keyof typeof STATUSES {
  return Object.hasOwn(STATUSES, status);
}

/**
 * An embedded passbus that died: what had come by then more often than its files know of was in flight, or unflushed.
 * `atMs` is a moment between its death and the next one's start.
 */
export function deathOf(atMs: number, left: Remains, receipts: readonly Receipt[]): Death {
  const recorded = new Map(left.deliveries.map(({ id, attemptCount }) => [id, attemptCount]));
  const came = Map.groupBy(
    receipts.filter((receipt) => receipt.atMs <= atMs),
    ({ webhookId }) => webhookId,
  );
  const unrecorded = [...came].filter(([id, requests]) => requests.length > (recorded.get(id) ?? 0));
  return { atMs, unrecorded: new Set(unrecorded.map(([id]) => id)) };
}
