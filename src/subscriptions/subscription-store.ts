import type { FormatName, Subscription } from "../domain/subscription.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";

export interface SubscriptionFilter {
  readonly entityId?: string;
  readonly state?: Subscription["state"];
  readonly format?: FormatName;
}

export type InsertResult = "inserted" | "duplicateUrl" | "limitReached";
export type ReplaceResult = "replaced" | "changed" | "missing" | "duplicateUrl";

/** Where subscriptions live. Each write is durable when it resolves, and counts up the tenant's version with it. */
export interface SubscriptionStore {
  /** Uniqueness of the URL key in the scope and the scope's limit hold under any race. */
  insert(subscription: Subscription, scopeLimit: number): Promise<InsertResult>;
  get(tenant: Tenant, id: string): Promise<Subscription | undefined>;
  /** Newest first, by time of creation, then id. */
  list(tenant: Tenant, filter: SubscriptionFilter, page: PageRequest): Promise<Page<Subscription>>;
  /** Writes `next` where the stored version is `next.version - 1`. */
  replace(next: Subscription): Promise<ReplaceResult>;
  /** False where there was none. */
  remove(tenant: Tenant, id: string): Promise<boolean>;
}
