/** PassKit's sample event: the webhook that a subscription would get, as text in the configuration of its own message. */
import type { SinkSubscription } from "../../gen/io/integrations_pb.js";
import type { Subscription } from "../domain/subscription.ts";
import { renderOptions } from "../formats/format.ts";
import { formatOf } from "../formats/registry.ts";
import { sinkOf } from "./passkit.ts";
import { sampleFor } from "./sample.ts";

/**
 * The first event that the subscription names, of its class and protocol, exactly as it would be sent.
 * @throws CodedError `subscription.not_passkit`.
 */
export function sampleSinkOf(subscription: Subscription, nowMs: number): SinkSubscription {
  const sink = sinkOf(subscription);
  const event = sampleFor(subscription, {}, "id", "sample", nowMs);
  const { body } = formatOf(subscription.format).render(event, renderOptions(subscription));
  return { ...sink, configuration: body.toString("utf8") };
}
