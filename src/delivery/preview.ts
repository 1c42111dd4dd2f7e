/** A webhook as it would leave now, signature and all, without sending it. */
import { deliveryId } from "../domain/delivery.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type AttemptDeps, prepare } from "./attempt.ts";
import type { OutboundRequest } from "./sender.ts";

/** @throws CodedError `format.failed`, or as the signer does. */
export function previewOf(
  deps: Pick<AttemptDeps, "signer" | "userAgent">,
  event: DecodedEvent,
  subscription: Subscription,
  nowMs: number,
): OutboundRequest {
  const inHand = { ...event, rendered: new Map(), conflicted: false };
  return prepare(deps, inHand, subscription, deliveryId(event.stored, subscription.id), nowMs).request;
}
