/** How the endpoints of subscriptions are doing, as far as those who register them see it. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  BreakerState,
  EndpointCondition,
  type EndpointHealth,
  EndpointHealthSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import { conditionOf, type EndpointKey, type EndpointRecord } from "../domain/endpoint.ts";
import type { Subscription } from "../domain/subscription.ts";

export interface HealthStore {
  /** In the order asked; undefined where an endpoint was never tried. */
  read(keys: readonly EndpointKey[]): Promise<readonly (EndpointRecord | undefined)[]>;
  /** They start anew: as if they had never been tried. */
  remove(keys: readonly EndpointKey[]): Promise<void>;
}

export const CONDITIONS = {
  healthy: EndpointCondition.HEALTHY,
  failing: EndpointCondition.FAILING,
  open: EndpointCondition.OPEN,
} as const;

const BREAKERS = { closed: BreakerState.CLOSED, open: BreakerState.OPEN, halfOpen: BreakerState.HALF_OPEN } as const;

export const endpointKey = ({ tenant, id }: Pick<Subscription, "tenant" | "id">): EndpointKey => ({
  tenant,
  subscriptionId: id,
});

/** `record` undefined: it was never tried. */
export function healthMessage(record: EndpointRecord | undefined): EndpointHealth {
  const time = (ms: number | undefined) => (ms === undefined ? undefined : timestampFromMs(ms));
  const { breaker = "closed", failingSinceMs, probeAtMs, lastSuccessAtMs, lastFailureAtMs } = record ?? {};
  const times = {
    failingSince: time(failingSinceMs),
    nextProbeAt: time(probeAtMs),
    lastSuccessAt: time(lastSuccessAtMs),
    lastFailureAt: time(lastFailureAtMs),
  };
  return create(EndpointHealthSchema, {
    ...Object.fromEntries(Object.entries(times).filter(([, at]) => at !== undefined)),
    condition: CONDITIONS[conditionOf(record)],
    breaker: BREAKERS[breaker],
    consecutiveFailures: record?.consecutiveFailures ?? 0,
    lastError: record?.lastError ?? "",
  });
}
