/**
 * The distributed store: every store port of the rooms over MongoDB, a replica set or a sharded cluster, for any number
 * of processes.
 *
 *   connectMongo   connects and checks, and makes nothing: connection.ts, errors.ts
 *   indexes.ts     the table of indexes, and whether they are there; `passbus init` makes them
 *   documents.ts   the domain's objects as documents; wire.ts, the commands that are sent
 *   deliveries.ts  bulk writes: the quick way, and the settling of what met a row, by the rules in merge.ts
 *   claims.ts      due work under leases, in shares (shares.ts)
 *   changes.ts     what every process writes, for those who watch
 *   events.ts      events, and how they outlive their open deliveries (upkeep.ts)
 */
import type { MongoClient } from "mongodb";
import type { AccessStore } from "../../access/access-store.ts";
import type { ChangeFeed } from "../../delivery/change-feed.ts";
import type { DeliveryLog, DeliveryStore } from "../../delivery/delivery-store.ts";
import type { DeadLetterStore } from "../../intake/dead-letters.ts";
import { type Clock, systemClock } from "../../kernel/clock.ts";
import type { Preparation } from "../../kernel/preparation.ts";
import type { SubscriptionFeed } from "../../matching/subscription-feed.ts";
import type { LimitStore } from "../../subscriptions/limit-store.ts";
import type { SubscriptionStore } from "../../subscriptions/subscription-store.ts";
import { accessStore } from "./access.ts";
import { changeFeed } from "./changes.ts";
import { connectedClient, databaseIn, type MongoTls } from "./connection.ts";
import { deadLetterStore } from "./dead-letters.ts";
import { MongoDeliveries } from "./delivery-ports.ts";
import { EventTable } from "./events.ts";
import { indexPreparation } from "./indexes.ts";
import { limitStore } from "./organisations.ts";
import { MongoSubscriptions } from "./subscriptions.ts";
import { Upkeep } from "./upkeep.ts";
import { Wire } from "./wire.ts";

const DAY_MS = 24 * 3_600_000;

/** Due rows that a claim looks at in one go, before it asks subscription by subscription. */
const LOOK_ROWS = 512;

export interface MongoOptions {
  /** `mongodb://` or `mongodb+srv://`; its path names the database, `passbus` where there is none. */
  readonly uri: string;
  readonly tls?: MongoTls;
  /** 30 days, if left out; from an event's record, or the end of its last delivery. A change is applied by `init`. */
  readonly eventRetentionMs?: number;
  /** 30 days, if left out; from the end of a delivery. A change is applied by `init`. */
  readonly deliveryRetentionMs?: number;
  readonly clock?: Clock;
  /** Due rows that a claim looks at in one go; 512, if left out. */
  readonly lookRows?: number;
}

export interface MongoStore {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly changes: ChangeFeed;
  readonly subscriptions: SubscriptionStore;
  readonly feed: SubscriptionFeed;
  readonly limits: LimitStore;
  readonly access: AccessStore;
  readonly deadLetters: DeadLetterStore;
  /** The indexes: `serve` surveys them and refuses to start without, `init` makes them. */
  readonly preparation: Preparation;
  /**
   * From now on, and every ten minutes, begins the retention of events whose last delivery is done. One process that
   * does it is enough, and any number may: the workers do. Until one does, such events stay.
   */
  startUpkeep(onFailure: (error: unknown) => void): void;
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
  const { eventRetentionMs = 30 * DAY_MS, deliveryRetentionMs = 30 * DAY_MS, clock = systemClock } = options;
  const database = client.db(databaseIn(options.uri));
  const wire = new Wire(database);
  const events = new EventTable(wire, clock);
  const subscriptions = new MongoSubscriptions(client, wire);
  const upkeep = new Upkeep(events, clock);
  return {
    deliveries: new MongoDeliveries(wire, events, options.lookRows ?? LOOK_ROWS),
    changes: changeFeed(wire),
    subscriptions,
    feed: subscriptions,
    limits: limitStore(wire),
    access: accessStore(wire),
    deadLetters: deadLetterStore(wire),
    preparation: indexPreparation(database, { eventRetentionMs, deliveryRetentionMs }),
    startUpkeep: (onFailure) => upkeep.start(onFailure),
    async close() {
      await upkeep.stop();
      await client.close();
    },
  };
}
