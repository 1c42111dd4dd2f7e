import type { OrganisationRates } from "../domain/rates.ts";
import type { OrganisationRetention } from "../domain/retention.ts";

/** What an organisation was given, for each of its environments. What is absent is as LIMITS has it. */
export interface SubscriptionLimits extends OrganisationRetention, OrganisationRates {
  /** Subscriptions of the organisation itself. */
  readonly organisation?: number;
  /** Subscriptions of each of its entities. */
  readonly entity?: number;
}

export type LimitField = keyof SubscriptionLimits;

/** Where the limits of organisations live. */
export interface LimitStore {
  /** Empty where none were set. */
  limits(organisation: string): Promise<SubscriptionLimits>;
  /**
   * Writes the named fields as `limits` has them, and takes away those that it has not. What isn't named stays as it is
   * stored then, whatever the caller read before: an organisation and its operator write at the same time. As in an update
   * mask, none is all. Durable when it resolves, and seen by whoever reads afterwards.
   */
  setLimits(organisation: string, limits: SubscriptionLimits, fields?: readonly LimitField[]): Promise<void>;
}
