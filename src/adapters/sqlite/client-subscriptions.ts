/** SubscriptionStore, SubscriptionFeed and LimitStore over the thread's calls. */
import type { Subscription } from "../../domain/subscription.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { SubscriptionFeed } from "../../matching/subscription-feed.ts";
import type { LimitStore } from "../../subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../../subscriptions/reencrypt.ts";
import type { SubscriptionStore } from "../../subscriptions/subscription-store.ts";
import type { StoreCalls, SubscriptionRow } from "./calls.ts";
import { cursorRow } from "./client-deliveries.ts";
import { tenantRow } from "./rows.ts";

type Calls = CallClient<StoreCalls>;

function subscriptionRow(subscription: Subscription): SubscriptionRow {
  return {
    tenant: tenantRow(subscription.tenant),
    id: subscription.id,
    entityId: subscription.entityId,
    urlKey: subscription.urlKey,
    state: subscription.state,
    format: subscription.format,
    version: subscription.version,
    createdAtMs: subscription.createdAtMs,
    document: JSON.stringify(subscription),
  };
}

const subscriptionOf = (document: string): Subscription => JSON.parse(document);

export function subscriptionStore(calls: Calls): SubscriptionStore & SubscriptionWalk {
  return {
    async every(after, limit) {
      const place = after === undefined ? null : { tenant: tenantRow(after.tenant), id: after.id };
      return (await calls.call("everySubscription", { after: place, limit })).map(subscriptionOf);
    },
    insert(subscription, scopeLimit) {
      return calls.call("insertSubscription", { row: subscriptionRow(subscription), scopeLimit });
    },
    async get(tenant, id) {
      const document = await calls.call("getSubscription", { tenant: tenantRow(tenant), id });
      return document === null ? undefined : subscriptionOf(document);
    },
    async list(tenant, filter, page) {
      const answer = await calls.call("listSubscriptions", {
        ...filter,
        ...cursorRow(page),
        tenant: tenantRow(tenant),
      });
      const items = answer.rows.map(subscriptionOf);
      const last = items.at(-1);
      if (!answer.more || last === undefined) return { items };
      return { items, next: { timeMs: last.createdAtMs, id: last.id } };
    },
    replace(next) {
      return calls.call("replaceSubscription", subscriptionRow(next));
    },
    remove(tenant, id) {
      return calls.call("removeSubscription", { tenant: tenantRow(tenant), id });
    },
  };
}

export function limitStore(calls: Calls): LimitStore {
  return {
    async limits(asked) {
      const [organisation, entity, event, delivery, payload, callsPerSecond, eventsPerSecond] = await calls.call(
        "limits",
        asked,
      );
      return {
        ...(organisation === null ? {} : { organisation }),
        ...(entity === null ? {} : { entity }),
        ...(event === null ? {} : { eventRetentionMs: event }),
        ...(delivery === null ? {} : { deliveryRetentionMs: delivery }),
        ...(payload === null ? {} : { payloadRetentionMs: payload }),
        ...(callsPerSecond === null ? {} : { callsPerSecond }),
        ...(eventsPerSecond === null ? {} : { eventsPerSecond }),
      };
    },
    async setLimits(organisation, limits, fields = []) {
      const { eventRetentionMs, deliveryRetentionMs, payloadRetentionMs } = limits;
      const rates = [limits.callsPerSecond ?? null, limits.eventsPerSecond ?? null] as const;
      const row = [limits.organisation, limits.entity, eventRetentionMs, deliveryRetentionMs, payloadRetentionMs];
      const [own = null, entity = null, event = null, delivery = null, payload = null] = row;
      const values = [own, entity, event, delivery, payload, ...rates] as const;
      await calls.call("setLimits", { organisation, limits: values, fields });
    },
  };
}

export function subscriptionFeed(calls: Calls): SubscriptionFeed {
  return {
    versions(tenants) {
      return calls.call("versions", tenants.map(tenantRow));
    },
    async load(tenant) {
      const [version, documents] = await calls.call("load", tenantRow(tenant));
      return { version, subscriptions: documents.map(subscriptionOf) };
    },
  };
}
