/**
 * Sends an event to a subscription now, for whoever sets up an endpoint: beside the lanes, so that no cap, rate or
 * breaker holds it up, and through the guard, which holds always. Nothing of it is stored, and the endpoint's health
 * doesn't hear of it.
 */
import type { Attempt } from "../domain/delivery.ts";
import { deliveryId } from "../domain/delivery.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type AttemptDeps, attempt } from "./attempt.ts";
import type { DirectSender, Exchange, OutboundRequest, RequestPhases, Sender } from "./sender.ts";

/** Receivers tell a test by it. */
const TEST_MARK = { "webhook-test": "true" };

export interface TestSendDeps extends Omit<AttemptDeps, "sender"> {
  readonly sender: Pick<DirectSender, "send">;
}

export interface TestSend {
  readonly attempt: Attempt;
  /** As it was sent, secrets and all. Absent where no request could be made. */
  readonly request?: OutboundRequest;
  readonly phases?: RequestPhases;
  /** As it was received. Absent where there was none. */
  readonly response?: Extract<Exchange, { readonly kind: "response" }>;
}

/** Never rejects: what goes wrong stands in the attempt. */
export async function sendTest(deps: TestSendDeps, event: DecodedEvent, subscription: Subscription): Promise<TestSend> {
  let sent: Omit<TestSend, "attempt"> = {};
  const sender: Pick<Sender, "send"> = {
    async send(request) {
      const { exchange, phases } = await deps.sender.send(request);
      sent = { request, phases, ...(exchange.kind === "response" && { response: exchange }) };
      return exchange;
    },
  };
  const inHand = { ...event, rendered: new Map(), conflicted: false };
  const webhookId = deliveryId(event.stored, subscription.id);
  const { attempt: record } = await attempt({ ...deps, sender }, inHand, subscription, webhookId, TEST_MARK);
  return { attempt: record, ...sent };
}
