/** The store's ports over a connection to its thread. Usable in any thread that got the connection. */
import type { MessagePort } from "node:worker_threads";
import type { AccessStore } from "../../access/access-store.ts";
import type { ChangeFeed } from "../../delivery/change-feed.ts";
import type { DeliveryLog, DeliveryStore } from "../../delivery/delivery-store.ts";
import type { EndpointStore, RateStore } from "../../delivery/endpoint-store.ts";
import type { ErasureStore } from "../../delivery/erasure.ts";
import type { SwitchStore } from "../../delivery/kill-switch.ts";
import type { KindFeed } from "../../delivery/kind-feed.ts";
import type { ReplayJobs, ReplayStore } from "../../delivery/replay-store.ts";
import type { RetentionStore } from "../../delivery/retention.ts";
import type { StatsStore } from "../../delivery/stats-store.ts";
import type { BinStore } from "../../inspector/bin-store.ts";
import type { DeadLetterStore } from "../../intake/dead-letters.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type CallClient, callClient } from "../../kernel/thread-call.ts";
import type { SubscriptionFeed } from "../../matching/subscription-feed.ts";
import type { LimitStore } from "../../subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../../subscriptions/reencrypt.ts";
import type { SubscriptionStore } from "../../subscriptions/subscription-store.ts";
import type { StoreCalls } from "./calls.ts";
import { accessStore } from "./client-access.ts";
import { binStore } from "./client-bins.ts";
import { chainStore } from "./client-chains.ts";
import { changeFeed } from "./client-changes.ts";
import { deadLetterStore } from "./client-dead-letters.ts";
import { deliveryLog, deliveryStore } from "./client-deliveries.ts";
import { endpointStore } from "./client-endpoints.ts";
import { erasureStore } from "./client-erasures.ts";
import { kindFeed } from "./client-kinds.ts";
import { replayStore } from "./client-replays.ts";
import { statsStore } from "./client-stats.ts";
import { limitStore, subscriptionFeed, subscriptionStore } from "./client-subscriptions.ts";
import { retentionStore, switchStore } from "./client-upkeep.ts";

export interface SqliteStore {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly changes: ChangeFeed;
  readonly kinds: KindFeed;
  readonly subscriptions: SubscriptionStore & SubscriptionWalk;
  readonly feed: SubscriptionFeed;
  readonly limits: LimitStore;
  readonly endpoints: EndpointStore & RateStore;
  readonly replays: ReplayStore & ReplayJobs;
  readonly switches: SwitchStore;
  readonly retention: RetentionStore;
  readonly erasures: ErasureStore;
  readonly access: AccessStore;
  readonly deadLetters: DeadLetterStore;
  readonly bins: BinStore;
  readonly stats: StatsStore;
  /** Ends this connection; calls under way reject. */
  close(): void;
}

/** Every call rejects with `store.unavailable` once the thread is gone. */
export function sqliteStore(port: MessagePort): SqliteStore {
  return storeOver(
    callClient<StoreCalls>(port, () => new CodedError("store.unavailable", "the store's thread is gone")),
  );
}

/** The ports over calls, wherever these are answered. */
export function storeOver(calls: CallClient<StoreCalls>): SqliteStore {
  return {
    deliveries: { ...deliveryStore(calls), ...chainStore(calls), ...deliveryLog(calls) },
    changes: changeFeed(calls),
    kinds: kindFeed(calls),
    subscriptions: subscriptionStore(calls),
    feed: subscriptionFeed(calls),
    limits: limitStore(calls),
    endpoints: endpointStore(calls),
    replays: replayStore(calls),
    switches: switchStore(calls),
    retention: retentionStore(calls),
    erasures: erasureStore(calls),
    access: accessStore(calls),
    deadLetters: deadLetterStore(calls),
    bins: binStore(calls),
    stats: statsStore(calls),
    close: () => calls.close(),
  };
}
