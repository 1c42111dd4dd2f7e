/** What goes between the store's thread and its callers of endpoints: how they are doing, and their rates. */
import type { RateGrant } from "../../delivery/rate.ts";
import type { Rate } from "../../domain/subscription.ts";
import type { TenantId } from "./calls.ts";

/** `id` is the subscription's, `document` the endpoint's record without its key, as JSON. */
export interface EndpointWriteRow extends TenantId {
  readonly version: number;
  readonly breaker: string;
  readonly document: string;
}

export interface RateRow extends TenantId, Rate {
  readonly count: number;
  readonly nowMs: number;
}

export type OpenEndpointRow = readonly [
  organisation: string,
  environment: string,
  subscriptionId: string,
  document: string,
];

export interface EndpointCalls {
  readEndpoints(keys: readonly TenantId[]): readonly (string | null)[];
  openEndpoints(limit: number): readonly OpenEndpointRow[];
  /** Whether each was written. */
  writeEndpoints(rows: readonly EndpointWriteRow[]): readonly boolean[];
  removeEndpoints(keys: readonly TenantId[]): null;
  reserveRates(requests: readonly RateRow[]): readonly RateGrant[];
}
