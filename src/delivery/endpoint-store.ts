/** What all workers know of endpoints together: how they have been doing, and the rate that is left of each. */
import type { EndpointKey, EndpointRecord } from "../domain/endpoint.ts";
import type { RateGrant, RateRequest } from "./rate.ts";

export interface EndpointStore {
  /** In the order asked; undefined where there is no row. */
  read(keys: readonly EndpointKey[]): Promise<readonly (EndpointRecord | undefined)[]>;
  /** Those whose breaker isn't closed, the one that was opened last first; `limit` at most. */
  open(limit: number): Promise<readonly EndpointRecord[]>;
  /**
   * Writes each record over the row of the version before, or where it is version 1 makes its row; no endpoint twice in
   * one call. For each, in the order given, whether it was written: not where somebody else wrote first, or the
   * subscription is gone.
   */
  write(records: readonly EndpointRecord[]): Promise<readonly boolean[]>;
  /** They start anew: as if they had never been tried. */
  remove(keys: readonly EndpointKey[]): Promise<void>;
}

export interface RateStore {
  /** Reserves of the rate that all workers share (`reserve` of rate.ts), each endpoint for itself and in one step. */
  reserve(requests: readonly RateRequest[]): Promise<readonly RateGrant[]>;
}
