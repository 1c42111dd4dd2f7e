import type { Subscription } from "../domain/subscription.ts";
import type { Tenant } from "../kernel/tenant.ts";

/** All subscriptions of one tenant, as of one version. */
export interface TenantSubscriptions {
  /** Counts up with every change of any of the tenant's subscriptions; 0 where there never was one. */
  readonly version: number;
  readonly subscriptions: readonly Subscription[];
}

/** How the index learns what is subscribed. Reads what was durable when it was called (read your writes). */
export interface SubscriptionFeed {
  /** The versions of the tenants, in the order asked. */
  versions(tenants: readonly Tenant[]): Promise<readonly number[]>;
  load(tenant: Tenant): Promise<TenantSubscriptions>;
}
