/** A delivery as the log shows it: without its attempts, of which there may be much. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Attempt, Delivery, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { duration, durationToMs } from "../../numbers.ts";
import type { LogRow } from "../../parts/log-rows.ts";
import { eventName } from "../../words.ts";

export interface DeliveryRow extends LogRow {
  readonly createdAt: Delivery["createdAt"];
  readonly eventId: string;
  readonly event: string;
  readonly subscriptionId: string;
  readonly passId: string;
  readonly status: DeliveryStatus;
  readonly attemptCount: number;
  readonly nextAttemptAt: Delivery["nextAttemptAt"];
  /** What the last attempt came to; empty where there was none. */
  readonly answer: string;
}

export function rowOf(delivery: Delivery): DeliveryRow {
  const { id, createdAt, eventId, subscriptionId, passId, status, attemptCount, nextAttemptAt } = delivery;
  const last = delivery.attempts.at(-1);
  return {
    id,
    atMs: createdAt === undefined ? 0 : timestampMs(createdAt),
    createdAt,
    eventId,
    event: eventName(delivery.eventType, delivery.operationalEventType),
    subscriptionId,
    passId,
    status,
    attemptCount,
    nextAttemptAt,
    answer: last === undefined ? "" : answerOf(last),
  };
}

/** "200 in 12 ms", "no response: connection.refused after 3 ms" */
export function answerOf(attempt: Attempt): string {
  const took = attempt.duration === undefined ? "" : duration(durationToMs(attempt.duration));
  if (attempt.statusCode !== 0) return `${attempt.statusCode} in ${took}`;
  return `no response: ${attempt.errorCode || "unknown"} after ${took}`;
}
