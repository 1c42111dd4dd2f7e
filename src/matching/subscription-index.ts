/**
 * Which subscriptions want an event. Subscriptions are held per tenant, on demand, as long as the tenant is among the
 * ones used last; `refresh` makes them as new as the store is.
 */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../domain/event.ts";
import type { FormatName, Subscription } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionFeed, TenantSubscriptions } from "./subscription-feed.ts";

/** What becomes of an event at a subscription that wants it. */
export interface Match {
  readonly subscription: Subscription;
  /** "hold": the subscription is disabled, and the event is kept for when it is enabled again. */
  readonly disposition: "send" | "hold";
}

export interface SubscriptionIndexDeps {
  readonly feed: SubscriptionFeed;
  /** The types that a format can say. */
  readonly typesOf: (format: FormatName) => readonly PassEventType[];
  /** Tenants held at the same time. */
  readonly maxTenants?: number;
  /** How much younger than an event a subscription may be, by clocks that differ, and still get it. */
  readonly skewMs?: number;
}

interface Entry {
  readonly version: number;
  readonly byId: ReadonlyMap<string, Subscription>;
  /** By event type; what a subscription does not list by type is listed under each that its format can say. */
  readonly byType: ReadonlyMap<PassEventType, readonly Subscription[]>;
}

/** Some tenants' subscriptions as they were at one moment, whatever the index holds by now. */
export interface SubscriptionView {
  /** Undefined where there is no such subscription; throws for a tenant that was not asked for. */
  find(tenant: Tenant, subscriptionId: string): Subscription | undefined;
  /** Who gets the event, of those that were there when the log took it (protocol, rules 9 and 10). */
  match(event: DecodedEvent): readonly Match[];
}

export class SubscriptionIndex {
  readonly #feed: SubscriptionFeed;
  readonly #typesOf: SubscriptionIndexDeps["typesOf"];
  readonly #maxTenants: number;
  readonly #skewMs: number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();

  constructor(deps: SubscriptionIndexDeps) {
    this.#feed = deps.feed;
    this.#typesOf = deps.typesOf;
    this.#maxTenants = deps.maxTenants ?? 1_000;
    this.#skewMs = deps.skewMs ?? 1_000;
  }

  /**
   * The tenants as new as the store is. Called after events were fetched, so that they meet what was there before them.
   * What is answered stays whole, even where the index lets go of a tenant meanwhile.
   */
  async refresh(tenants: readonly Tenant[]): Promise<SubscriptionView> {
    const view = new Map<string, Entry>();
    if (tenants.length > 0) {
      const versions = await this.#feed.versions(tenants);
      await Promise.all(
        tenants.map(async (tenant, at) => {
          const key = tenantKey(tenant);
          const held = this.#entries.get(key);
          const isCurrent = held !== undefined && held.version >= (versions[at] ?? 0);
          const entry = isCurrent ? held : this.#entryOf(await this.#feed.load(tenant));
          view.set(key, entry);
          this.#hold(key, entry);
        }),
      );
      this.#evict();
    }
    return {
      find: (tenant, subscriptionId) => asked(view, tenant).byId.get(subscriptionId),
      match: (event) => this.#match(asked(view, event.stored.tenant), event),
    };
  }

  /** Tenants that are held now; a change feed refreshes these. */
  tenants(): readonly Tenant[] {
    return [...this.#entries.keys()].map((key) => {
      const [organisation = "", environment = ""] = key.split("/");
      return { organisation, environment };
    });
  }

  /** Whether the tenant is held: only then what `find` does not find isn't there. */
  holds(tenant: Tenant): boolean {
    return this.#entries.has(tenantKey(tenant));
  }

  /** As of the last refresh. */
  find(tenant: Tenant, subscriptionId: string): Subscription | undefined {
    return this.#entries.get(tenantKey(tenant))?.byId.get(subscriptionId);
  }

  #match(entry: Entry, event: DecodedEvent): readonly Match[] {
    const matches: Match[] = [];
    for (const subscription of entry.byType.get(event.stored.type) ?? []) {
      if (subscription.entityId !== "" && subscription.entityId !== event.stored.entityId) continue;
      if (subscription.protocol !== 0 && subscription.protocol !== event.event.pass?.protocol) continue;
      if (subscription.createdAtMs > event.stored.loggedAtMs + this.#skewMs) continue;
      const disposition = dispositionOf(subscription, event.stored.loggedAtMs);
      if (disposition !== "drop") matches.push({ subscription, disposition });
    }
    return matches;
  }

  #entryOf(loaded: TenantSubscriptions): Entry {
    const byType = new Map<PassEventType, Subscription[]>();
    for (const subscription of loaded.subscriptions) {
      const named = subscription.eventTypes.length > 0 ? subscription.eventTypes : this.#typesOf(subscription.format);
      for (const type of named) byType.set(type, [...(byType.get(type) ?? []), subscription]);
    }
    const byId = new Map(loaded.subscriptions.map((subscription) => [subscription.id, subscription]));
    return { version: loaded.version, byId, byType };
  }

  /** As the one used last. A load that was overtaken by a newer one is not held. */
  #hold(key: string, entry: Entry): void {
    const held = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, held !== undefined && held.version > entry.version ? held : entry);
  }

  #evict(): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxTenants) return;
      this.#entries.delete(key);
    }
  }
}

function asked(view: ReadonlyMap<string, Entry>, tenant: Tenant): Entry {
  const entry = view.get(tenantKey(tenant));
  if (entry === undefined) throw new CodedError("internal", `tenant ${tenantKey(tenant)} was not asked for`);
  return entry;
}

/** What was accepted while a person had it disabled is dropped where its policy says so, else held while it is disabled. */
export function dispositionOf(subscription: Subscription, loggedAtMs: number): "send" | "hold" | "drop" {
  if (subscription.policy.whileDisabled === "drop") {
    const inSpan = subscription.disabledSpans.some(
      (span) => span.fromMs <= loggedAtMs && (span.toMs === undefined || loggedAtMs < span.toMs),
    );
    if (inSpan) return "drop";
  }
  return subscription.state === "enabled" ? "send" : "hold";
}
