/**
 * The distributed store: every store port of the rooms over MongoDB, a replica set or a sharded cluster, for any number
 * of processes.
 *
 *   connectMongo   connects and checks, and makes nothing: connection.ts, errors.ts
 *   indexes.ts     the table of indexes, and whether they are there; `passbus init` makes them
 *   documents.ts   the domain's objects as documents; wire.ts, the commands that are sent
 *   deliveries.ts  bulk writes: the quick way, and the settling of what met a row, by the rules in merge.ts
 *   claims.ts      due work under leases, in shares (shares.ts)
 *   clock-steps.ts what a clock that was wrong has left
 *   heartbeats.ts  who lives, and the end of a dead one's leases, found by tokens.ts
 *   changes.ts     what every process writes, for those who watch; kinds.ts: of what kind it is
 *   events.ts      events, and how they outlive their open deliveries (upkeep.ts)
 *   expiry.ts      what is past its time
 */
import { randomUUID } from "node:crypto";
import type { MongoClient } from "mongodb";
import type { AccessStore } from "../../access/access-store.ts";
import type { ChangeFeed } from "../../delivery/change-feed.ts";
import type { DeliveryLog, DeliveryStore } from "../../delivery/delivery-store.ts";
import type { EndpointStore, RateStore } from "../../delivery/endpoint-store.ts";
import type { ErasureStore } from "../../delivery/erasure.ts";
import type { HeartbeatStore } from "../../delivery/heartbeat-store.ts";
import type { SwitchStore } from "../../delivery/kill-switch.ts";
import type { KindFeed } from "../../delivery/kind-feed.ts";
import type { ReplayJobs, ReplayStore } from "../../delivery/replay-store.ts";
import type { RetentionStore } from "../../delivery/retention.ts";
import type { StatsStore } from "../../delivery/stats-store.ts";
import type { BinStore } from "../../inspector/bin-store.ts";
import type { DeadLetterStore } from "../../intake/dead-letters.ts";
import { type Clock, systemClock } from "../../kernel/clock.ts";
import { CodedError } from "../../kernel/errors.ts";
import type { Preparation } from "../../kernel/preparation.ts";
import type { SubscriptionFeed } from "../../matching/subscription-feed.ts";
import type { LimitStore } from "../../subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../../subscriptions/reencrypt.ts";
import type { SubscriptionStore } from "../../subscriptions/subscription-store.ts";
import { accessStore } from "./access.ts";
import { binStore } from "./bins.ts";
import { changeFeed } from "./changes.ts";
import { connectedClient, databaseIn, type MongoTls } from "./connection.ts";
import { deadLetterStore } from "./dead-letters.ts";
import { MongoDeliveries } from "./delivery-ports.ts";
import { MongoEndpoints } from "./endpoints.ts";
import { erasureStore } from "./erasures.ts";
import { EventTable } from "./events.ts";
import { retentionStore } from "./expiry.ts";
import { MongoHeartbeats } from "./heartbeats.ts";
import { indexPreparation } from "./indexes.ts";
import { kindFeed } from "./kinds.ts";
import { limitStore } from "./organisations.ts";
import { replayStore } from "./replays.ts";
import { statsStore } from "./stats.ts";
import { MongoSubscriptions } from "./subscriptions.ts";
import { switchStore } from "./switches.ts";
import { Tokens } from "./tokens.ts";
import { Upkeep } from "./upkeep.ts";
import { Wire } from "./wire.ts";

/** Due rows that a claim looks at in one go, before it asks subscription by subscription. */
const LOOK_ROWS = 512;

export interface MongoOptions {
  /** `mongodb://` or `mongodb+srv://`; its path names the database, `passbus` where there is none. */
  readonly uri: string;
  readonly tls?: MongoTls;
  readonly clock?: Clock;
  /** Due rows that a claim looks at in one go; 512, if left out. */
  readonly lookRows?: number;
}

export interface MongoStore {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly heartbeats: HeartbeatStore;
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
  /** The indexes: `serve` surveys them and refuses to start without, `init` makes them. */
  readonly preparation: Preparation;
  /**
   * From now on, and every ten minutes, begins the retention of events whose last delivery is done. One process that
   * does it is enough, and any number may: the workers do. Until one does, such events stay.
   */
  startUpkeep(onFailure: (error: unknown) => void): void;
  /** The wall time of the server that answers, in ms since 1970. */
  clockMs(): Promise<number>;
  /** Ends every connection; calls under way reject. */
  close(): Promise<void>;
}

/**
 * Rejects within seconds where no server can be reached (`store.unavailable`), where it is a standalone server, or
 * refuses the credentials (`config.invalid`). No error holds the URI's password.
 */
export async function connectMongo(options: MongoOptions): Promise<MongoStore> {
  return mongoStore(await connectedClient(options.uri, options.tls), options);
}

/** The ports over a client that is connected. Closing the store closes the client. */
export function mongoStore(client: MongoClient, options: MongoOptions): MongoStore {
  const { clock = systemClock } = options;
  const database = client.db(databaseIn(options.uri));
  const wire = new Wire(database);
  const events = new EventTable(wire, clock);
  const tokens = new Tokens();
  const endpoints = new MongoEndpoints(wire);
  const subscriptions = new MongoSubscriptions(client, wire, (id) => endpoints.forget(id));
  const upkeep = new Upkeep(events, clock);
  return {
    deliveries: new MongoDeliveries(wire, events, tokens, options.lookRows ?? LOOK_ROWS),
    heartbeats: new MongoHeartbeats(wire, tokens),
    changes: changeFeed(wire),
    kinds: kindFeed(wire),
    subscriptions,
    feed: subscriptions,
    limits: limitStore(wire),
    endpoints,
    replays: replayStore(wire, events, () => randomUUID()),
    switches: switchStore(wire),
    retention: retentionStore(wire, () => randomUUID()),
    erasures: erasureStore(wire, subscriptions.remove),
    access: accessStore(wire),
    deadLetters: deadLetterStore(wire, clock),
    bins: binStore(wire),
    stats: statsStore(wire),
    preparation: indexPreparation(database),
    startUpkeep: (onFailure) => upkeep.start(onFailure),
    async clockMs() {
      const { localTime } = await client.db("admin").command({ hello: 1 });
      if (localTime instanceof Date) return localTime.getTime();
      throw new CodedError("store.unavailable", "MongoDB does not say what time it is");
    },
    async close() {
      await upkeep.stop();
      await client.close();
    },
  };
}
