import type { OrganisationRates } from "../domain/rates.ts";
import type { OrganisationRetention } from "../domain/retention.ts";

/** What an organisation was given, for each of its environments. What is absent is as LIMITS has it. */
export interface SubscriptionLimits extends OrganisationRetention, OrganisationRates {
  /** Subscriptions of the organisation itself. */
  readonly organisation?: number;
  /** Subscriptions of each of its entities. */
  readonly entity?: number;
}

/** Where the limits of organisations live. */
export interface LimitStore {
  /** Empty where none were set. */
  limits(organisation: string): Promise<SubscriptionLimits>;
  /** Replaces what was set. Durable when it resolves, and seen by whoever reads afterwards. */
  setLimits(organisation: string, limits: SubscriptionLimits): Promise<void>;
}
