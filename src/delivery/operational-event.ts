/** An event of passbus itself, made from what happened. Pure: equal occasions make one event, whoever makes it. */
import { hash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { derivedId } from "../kernel/ids.ts";

/** What is told of one subscription. */
export interface OperationalNews {
  readonly type: OperationalEventType;
  readonly about: Pick<Subscription, "id" | "tenant" | "entityId" | "url">;
  /** Beside the type and the subscription, what makes it one occasion. */
  readonly occasion: readonly string[];
  readonly says: {
    readonly deliveryId?: string;
    readonly eventId?: string;
    /** A code. */
    readonly reason?: string;
    /** For people; nothing of a payload, and no secret. */
    readonly message: string;
    readonly sinceMs?: number;
    readonly statusCode?: number;
    readonly attemptCount?: number;
  };
}

/**
 * The id is derived from the type, the subscription and the occasion, and stands for the content: two workers that tell
 * one thing in other words, or at another millisecond, tell one event, and the first one stands.
 */
export function operationalEvent({ type, about, occasion, says }: OperationalNews, nowMs: number): DecodedEvent {
  const { tenant, entityId, id: subscriptionId } = about;
  const { organisation, environment } = tenant;
  const id = derivedId("evt", ["operational", String(type), organisation, environment, subscriptionId, ...occasion]);
  const { sinceMs, ...said } = says;
  const event = create(PassEventSchema, {
    id,
    occurredAt: timestampFromMs(nowMs),
    organisationId: organisation,
    environment,
    entityId,
    operationalEvent: {
      ...said,
      type,
      subscriptionId,
      endpointHost: hostOf(about.url),
      ...(sinceMs === undefined ? {} : { since: timestampFromMs(sinceMs) }),
    },
  });
  return decodeStored(
    {
      tenant,
      id,
      type: PassEventType.UNSPECIFIED,
      operationalType: type,
      passId: "",
      entityId,
      loggedAtMs: nowMs,
      value: toBinary(PassEventSchema, event),
      contentHash: hash("sha256", id, "base64url"),
    },
    event,
  );
}

/** The path and the query of a URL may hold what only its owner should know. */
function hostOf(url: string): string {
  return URL.parse(url)?.host ?? "";
}
