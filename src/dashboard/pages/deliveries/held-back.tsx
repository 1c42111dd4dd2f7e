/** Why one that is due doesn't leave: its endpoint's breaker, as the subscription's health tells of it. */

import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@connectrpc/connect-query";
import { type Delivery, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { BreakerState, type EndpointHealth } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { useNowMs } from "../../clock.ts";
import { Exact } from "../../parts/time.tsx";

/** While no stream tells. */
const READ_EVERY_MS = 3_000;

/** Of the endpoint that a waiting delivery goes to, while its breaker lets none through; else undefined. */
export function useOpenBreaker({ subscriptionId, status }: Delivery): EndpointHealth | undefined {
  const waits = status === DeliveryStatus.WAITING;
  const { getSubscription } = SubscriptionService.method;
  const kinds = waits ? [ChangeKind.SUBSCRIPTIONS, ChangeKind.HEALTH] : [];
  const refetchInterval = useChanges(kinds, [getSubscription], { everyMs: READ_EVERY_MS });
  const { data } = useQuery(
    getSubscription,
    { id: subscriptionId },
    { enabled: waits, retry: false, refetchInterval: ({ state }) => (state.error === null ? refetchInterval : false) },
  );
  const health = data?.subscription?.health;
  const isOpen = health?.breaker === BreakerState.OPEN || health?.breaker === BreakerState.HALF_OPEN;
  return waits && isOpen ? health : undefined;
}

/** Sentences of the breaker, and of when it lets one through to see. */
export function BreakerNote({ health }: { readonly health: EndpointHealth }) {
  const { breaker, nextProbeAt } = health;
  const isToCome = useNowMs() < (nextProbeAt === undefined ? 0 : timestampMs(nextProbeAt));
  return (
    <>
      The endpoint’s breaker is open: it failed too often in a row.{" "}
      {breaker === BreakerState.HALF_OPEN ? (
        "One of its deliveries is being tried now"
      ) : isToCome ? (
        <>
          One of its deliveries is tried next at <Exact at={nextProbeAt} />
        </>
      ) : (
        "One of its deliveries is to be tried now"
      )}
      ; the others follow once one is answered.
    </>
  );
}
