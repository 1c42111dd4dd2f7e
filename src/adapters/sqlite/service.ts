/** The store's calls over one database: reads at once, writes through the group commit. */
import type { DatabaseSync } from "node:sqlite";
import type { CallHandlers } from "../../kernel/thread-call.ts";
import { KeyTable } from "./access.ts";
import type { StoreCalls } from "./calls.ts";
import { ChangeTable } from "./changes.ts";
import { Claims } from "./claims.ts";
import { DeadLetterTable } from "./dead-letters.ts";
import { DeliveryTable } from "./deliveries.ts";
import { DeliveryList } from "./delivery-list.ts";
import { EventTable } from "./events.ts";
import { flushWith } from "./flush.ts";
import { OrganisationTable } from "./organisations.ts";
import { SubscriptionTable } from "./subscriptions.ts";
import { Tenants } from "./tenants.ts";
import { storeError, WriteQueue } from "./write-queue.ts";

export interface StoreService {
  readonly handlers: CallHandlers<StoreCalls>;
  /** All leases are of a dead process: their work is due at `nowMs`. */
  releaseLeases(nowMs: number): void;
  close(): void;
}

export function storeService(database: DatabaseSync): StoreService {
  const tenants = new Tenants(database);
  const queue = new WriteQueue(database, () => tenants.forget());
  const events = new EventTable(database, tenants);
  const deliveries = new DeliveryTable(database, tenants);
  const claims = new Claims(database, tenants, events, deliveries);
  const list = new DeliveryList(database, tenants);
  const changes = new ChangeTable(database, events, deliveries);
  const subscriptions = new SubscriptionTable(database, tenants);
  const organisations = new OrganisationTable(database);
  const keys = new KeyTable(database);
  const deadLetters = new DeadLetterTable(database, tenants);
  const flush = flushWith(tenants, events, deliveries);
  const handlers: CallHandlers<StoreCalls> = {
    flush: (batch) => queue.add(batch.events.length + batch.deliveries.length, () => flush(batch)),
    claim: (request) => queue.add(request.limit, () => claims.claim(request)),
    moveOpen: (request) => queue.add(request.limit, () => claims.moveOpen(request)),
    retry: (request) => queue.add(1, () => deliveries.retry(request)),
    insertSubscription: (asked) => queue.add(1, () => subscriptions.insertSubscription(asked)),
    replaceSubscription: (row) => queue.add(1, () => subscriptions.replaceSubscription(row)),
    removeSubscription: (key) => queue.add(1, () => subscriptions.removeSubscription(key)),
    setLimits: (asked) => queue.add(1, () => organisations.setLimits(asked)),
    insertKey: (row) => queue.add(1, () => keys.insertKey(row)),
    putDeadLetters: (rows) => queue.add(rows.length, () => deadLetters.putDeadLetters(rows)),
    noteRedriven: (asked) => queue.add(asked.ids.length, () => deadLetters.noteRedriven(asked)),
    watch: async ({ tenant, rows }) => changes.open(await queue.add(1, () => tenants.ensure(tenant)), rows),
    unwatch: reading(changes.unwatch),
    changedEvents: reading(changes.changedEvents),
    changedDeliveries: reading(changes.changedDeliveries),
    knownEvents: reading(events.knownEvents),
    knownDeliveries: reading(deliveries.knownDeliveries),
    openSubscriptions: reading(claims.openSubscriptions),
    getEvent: reading(events.getEvent),
    listEvents: reading(events.listEvents),
    getDelivery: reading(deliveries.getDelivery),
    listDeliveries: reading(list.listDeliveries),
    getSubscription: reading(subscriptions.getSubscription),
    listSubscriptions: reading(subscriptions.listSubscriptions),
    versions: reading(subscriptions.versions),
    load: reading(subscriptions.load),
    limits: reading(organisations.limits),
    findKey: reading(keys.findKey),
    hasKeys: reading(keys.hasKeys),
    listDeadLetters: reading(deadLetters.listDeadLetters),
    findDeadLetters: reading(deadLetters.findDeadLetters),
  };
  return {
    handlers,
    releaseLeases: (nowMs) => deliveries.releaseLeases(nowMs),
    close() {
      queue.drain();
      database.close();
    },
  };
}

/** A read, whose failure is told as the store's. */
function reading<A, R>(read: (argument: A) => R): (argument: A) => R {
  return (argument) => {
    try {
      return read(argument);
    } catch (error) {
      throw storeError(error);
    }
  };
}
