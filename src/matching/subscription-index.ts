/**
 * Which subscriptions want an event. Subscriptions are held per tenant, on demand, as long as the tenant is among the
 * ones used last; `refresh` makes them as new as the store is.
 */
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import type { PassEvent, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../domain/event.ts";
import { type FormatName, type Subscription, sameEndpoint } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { FilteredEvent } from "./filter.ts";
import { sharingParts } from "./lean.ts";
import type { SubscriptionFeed, TenantSubscriptions } from "./subscription-feed.ts";
import { type FilterFailed, type PlannedFilters, SubscriptionFilters } from "./subscription-filters.ts";

/** What becomes of an event at a subscription that wants it. */
export interface Match {
  readonly subscription: Subscription;
  /** "hold": the subscription is disabled, and the event is kept for when it is enabled again. */
  readonly disposition: "send" | "hold";
}

/** How much younger than an event a subscription may be, by clocks that differ, and still get it. */
export const CLOCK_SKEW_MS = 1_000;

/** Tenants that one refresh loads at the same time. */
const LOADS_AT_ONCE = 16;

export interface SubscriptionIndexDeps {
  readonly feed: SubscriptionFeed;
  /** The types that a format can say. */
  readonly typesOf: (format: FormatName) => readonly PassEventType[];
  /** Tenants held at the same time. */
  readonly maxTenants?: number;
  /** `CLOCK_SKEW_MS`, if left out. */
  readonly skewMs?: number;
  /** The worker's. Without it a creation that is yet to come is taken as it stands. */
  readonly clock?: Pick<Clock, "now">;
  /** Told of filters that fail; their events go on (filter-failures.ts writes it to the log). */
  readonly filterFailed?: FilterFailed;
}

interface Entry {
  readonly version: number;
  readonly filters: PlannedFilters;
  readonly byId: ReadonlyMap<string, Subscription>;
  /** By event type; what a subscription does not list by type is listed under each that its format can say. */
  readonly byType: ReadonlyMap<PassEventType, readonly Subscription[]>;
  /** By the protocol events that they name. */
  readonly byProtocolEvent: ReadonlyMap<string, readonly Subscription[]>;
  /** By the events of passbus itself that they name. */
  readonly byOperationalEvent: ReadonlyMap<OperationalEventType, readonly Subscription[]>;
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
  readonly #clock: Pick<Clock, "now"> | undefined;
  readonly #filters: SubscriptionFilters;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();

  constructor(deps: SubscriptionIndexDeps) {
    this.#feed = deps.feed;
    this.#typesOf = deps.typesOf;
    this.#maxTenants = deps.maxTenants ?? 1_000;
    this.#skewMs = deps.skewMs ?? CLOCK_SKEW_MS;
    this.#clock = deps.clock;
    this.#filters = new SubscriptionFilters(deps.filterFailed ?? (() => {}));
  }

  /**
   * The tenants as new as the store is. Called after events were fetched, so that they meet what was there before them.
   * What is answered stays whole, even where the index lets go of a tenant meanwhile.
   */
  async refresh(tenants: readonly Tenant[]): Promise<SubscriptionView> {
    const view = new Map<string, Entry>();
    if (tenants.length > 0) {
      const versions = await this.#feed.versions(tenants);
      const stale: Tenant[] = [];
      tenants.forEach((tenant, at) => {
        const key = tenantKey(tenant);
        const held = this.#entries.get(key);
        if (held === undefined || held.version < (versions[at] ?? 0)) stale.push(tenant);
        else this.#take(view, key, held);
      });
      for (let from = 0; from < stale.length; from += LOADS_AT_ONCE) {
        await Promise.all(stale.slice(from, from + LOADS_AT_ONCE).map((tenant) => this.#load(view, tenant)));
      }
      this.#evict();
    }
    return {
      find: (tenant, subscriptionId) => asked(view, tenant).byId.get(subscriptionId),
      match: (event) => this.#match(asked(view, event.stored.tenant), event),
    };
  }

  /** The tenants' versions in the store, in the order asked: what was found at a version holds while it is that one. */
  versions(tenants: readonly Tenant[]): Promise<readonly number[]> {
    return this.#feed.versions(tenants);
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

  /** As `SubscriptionView.match`, as of the last refresh; undefined where the tenant is not held. */
  matchHeld(event: DecodedEvent): readonly Match[] | undefined {
    const entry = this.#entries.get(tenantKey(event.stored.tenant));
    return entry === undefined ? undefined : this.#match(entry, event);
  }

  #match(entry: Entry, event: DecodedEvent): readonly Match[] {
    const matches: Match[] = [];
    const about = entry.byId.get(event.event.operationalEvent?.subscriptionId ?? "");
    const nowMs = this.#clock?.now();
    let readable: FilteredEvent | undefined;
    for (const subscription of candidates(entry, event)) {
      const disposition = judge(subscription, event, this.#skewMs, about, nowMs);
      if (disposition !== "send" && disposition !== "hold") continue;
      if (subscription.filter !== undefined) {
        readable ??= this.#filters.read(event);
        if (!this.#filters.lets(entry.filters, subscription, event, readable)) continue;
      }
      matches.push({ subscription, disposition });
    }
    return matches;
  }

  async #load(view: Map<string, Entry>, tenant: Tenant): Promise<void> {
    const key = tenantKey(tenant);
    const loaded = await this.#feed.load(tenant);
    this.#take(view, key, this.#entryOf(loaded, this.#entries.get(key)?.filters));
  }

  #take(view: Map<string, Entry>, key: string, entry: Entry): void {
    view.set(key, entry);
    this.#hold(key, entry);
  }

  #entryOf(loaded: TenantSubscriptions, heldFilters: PlannedFilters | undefined): Entry {
    const byType = new Map<PassEventType, Subscription[]>();
    const byProtocolEvent = new Map<string, Subscription[]>();
    const byOperationalEvent = new Map<OperationalEventType, Subscription[]>();
    const subscriptions = sharingParts(loaded.subscriptions);
    for (const subscription of subscriptions) {
      const { types, protocolEvents, operationalEvents } = wantedBy(subscription, this.#typesOf);
      for (const type of operationalEvents) addTo(byOperationalEvent, type, subscription);
      for (const key of protocolEvents) addTo(byProtocolEvent, key, subscription);
      for (const type of types) addTo(byType, type, subscription);
    }
    const byId = new Map(subscriptions.map((subscription) => [subscription.id, subscription]));
    const filters = this.#filters.plan(subscriptions, heldFilters);
    return { version: loaded.version, filters, byId, byType, byProtocolEvent, byOperationalEvent };
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

function addTo<Key>(map: Map<Key, Subscription[]>, key: Key, subscription: Subscription): void {
  const there = map.get(key);
  if (there === undefined) map.set(key, [subscription]);
  else there.push(subscription);
}

/** Those that its type or its protocol event concerns, each once. */
function candidates(entry: Entry, { stored, event }: DecodedEvent): Iterable<Subscription> {
  if (stored.operationalType !== undefined) return entry.byOperationalEvent.get(stored.operationalType) ?? [];
  const byType = entry.byType.get(stored.type) ?? [];
  const key = protocolEventKey(event.protocolEvent);
  const byName = key === undefined ? undefined : entry.byProtocolEvent.get(key);
  return byName === undefined ? byType : new Set([...byType, ...byName]);
}

/** What a subscription asks for, whatever the rest of it says. */
export interface Wanted {
  readonly types: readonly PassEventType[];
  /** As `protocolEventKey` writes an event's. */
  readonly protocolEvents: readonly string[];
  readonly operationalEvents: readonly OperationalEventType[];
}

export function wantedBy(subscription: Subscription, typesOf: SubscriptionIndexDeps["typesOf"]): Wanted {
  const protocolEvents = protocolEventKeys(subscription);
  const { eventTypes, operationalEvents = [], format } = subscription;
  const isPicky = eventTypes.length + protocolEvents.length + operationalEvents.length > 0;
  return { types: isPicky ? eventTypes : typesOf(format), protocolEvents, operationalEvents };
}

/** What becomes of an event that a subscription asks for, before its filter is asked; the last five: nothing. */
export type Judgement = "send" | "hold" | "ownEndpoint" | "otherEntity" | "otherProtocol" | "younger" | "drop";

/** @param about the subscription that one of passbus's own events is about, where it is still there. */
export function judge(
  subscription: Subscription,
  { stored, event }: DecodedEvent,
  skewMs: number,
  about?: Subscription,
  nowMs = Number.POSITIVE_INFINITY,
): Judgement {
  const isOperational = event.operationalEvent !== undefined;
  if (isOperational && about !== undefined && sameEndpoint(subscription, about)) return "ownEndpoint";
  if (subscription.entityId !== "" && subscription.entityId !== stored.entityId) return "otherEntity";
  // Passes have a protocol; what passbus says of an endpoint is of none.
  const protocol = isOperational ? 0 : subscription.protocol;
  if (protocol !== 0 && protocol !== event.pass?.protocol) return "otherProtocol";
  // A creation that is yet to come says that a clock was set back: it can't tell who was first, so the event is sent.
  const { createdAtMs } = subscription;
  if (createdAtMs > stored.loggedAtMs + skewMs && createdAtMs <= nowMs + skewMs) return "younger";
  return dispositionOf(subscription, stored.loggedAtMs);
}

export function protocolEventKey({ case: kind, value }: PassEvent["protocolEvent"]): string | undefined {
  return kind === undefined ? undefined : `${kind}/${value}`;
}

function protocolEventKeys({ membershipEvents = [], couponEvents = [] }: Subscription): readonly string[] {
  return [...membershipEvents.map((id) => `membershipEvent/${id}`), ...couponEvents.map((id) => `couponEvent/${id}`)];
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
