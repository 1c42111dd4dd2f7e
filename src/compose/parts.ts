/** What the files of this folder share: the ends that a deployment gives, and this process's clock, randomness and ids. */
import type { MessagePort, Transferable } from "node:worker_threads";
import type { AccessStore } from "../access/access-store.ts";
import type { ChangeFeed } from "../delivery/change-feed.ts";
import type { DeliveryLog, DeliveryStore } from "../delivery/delivery-store.ts";
import type { EndpointStore, RateStore } from "../delivery/endpoint-store.ts";
import type { ErasureStore } from "../delivery/erasure.ts";
import type { HeartbeatStore } from "../delivery/heartbeat-store.ts";
import type { SwitchStore } from "../delivery/kill-switch.ts";
import type { KindFeed } from "../delivery/kind-feed.ts";
import type { ReplayJobs, ReplayStore } from "../delivery/replay-store.ts";
import type { RetentionStore } from "../delivery/retention.ts";
import type { StatsStore } from "../delivery/stats-store.ts";
import type { BinStore } from "../inspector/bin-store.ts";
import type { DeadLetterSink, DeadLetterStore } from "../intake/dead-letters.ts";
import type { LogReader, LogWriter } from "../intake/event-log.ts";
import type { TenantRule } from "../intake/tenants.ts";
import { systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { systemRandom } from "../kernel/random.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import type { LimitStore } from "../subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../subscriptions/reencrypt.ts";
import type { SubscriptionStore } from "../subscriptions/subscription-store.ts";

export const clock = systemClock;
export const random = systemRandom;
export const ids = idSource(clock, random);

/** Every port of the store. */
export interface Stores {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly changes: ChangeFeed;
  readonly kinds: KindFeed;
  readonly subscriptions: SubscriptionStore & SubscriptionWalk;
  readonly feed: SubscriptionFeed;
  readonly limits: LimitStore;
  readonly replays: ReplayStore & ReplayJobs;
  readonly endpoints: EndpointStore & RateStore;
  readonly switches: SwitchStore;
  readonly retention: RetentionStore;
  readonly erasures: ErasureStore;
  readonly access: AccessStore;
  readonly deadLetters: DeadLetterStore;
  readonly bins: BinStore;
  readonly stats: StatsStore;
}

/** What the engine's thread works with. */
export interface WorkerEnds {
  readonly stores: Stores;
  readonly reader: LogReader;
  /** Where other workers share the store. */
  readonly heartbeats?: HeartbeatStore;
  /** Where other programs read dead letters, beside the store. */
  readonly deadTopic?: DeadLetterSink;
  readonly tenants: TenantRule;
  /** Only our own API writes to this log. */
  readonly isOwnLog: boolean;
  /** Takes what it holds no more out of its files. */
  readonly scrubLog?: () => Promise<void>;
}

/** What the API's thread works with. */
export interface ApiEnds {
  readonly stores: Stores;
  readonly writer: LogWriter;
  /** Takes what the log holds no more out of its files. */
  readonly scrubLog?: () => Promise<void>;
  readonly tenants: TenantRule;
  /** What keeps it from answering calls well, for people. */
  problems(): readonly string[];
  close(): Promise<void>;
}

/** How the API's thread comes by its ends: it opens its own, or is handed connections to threads. */
export type ApiPass =
  | { readonly kind: "distributed" }
  | { readonly kind: "embedded"; readonly store: MessagePort; readonly log: MessagePort };

/** The texts that keys are made from. No log has them. */
export interface KeyTexts {
  readonly encryptionKeys: string;
  /** Absent: there are no v1a signatures. */
  readonly signingSeeds?: string | undefined;
}

/** One way to run: adapters that are open, to be closed by whoever opened them. */
export interface Deployment {
  readonly stores: Stores;
  /** Of the settings, or of the data directory. */
  readonly keyTexts: KeyTexts;
  /** Where it runs, for the log: no secrets. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Each resolves if a part dies that passbus can't go on without. */
  readonly failures: readonly Promise<Error>[];
  workerEnds(): WorkerEnds;
  apiPass(): { readonly pass: ApiPass; readonly transfer: readonly Transferable[] };
}
