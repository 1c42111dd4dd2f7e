/** The store's ports over a connection to its thread. Usable in any thread that got the connection. */
import type { MessagePort } from "node:worker_threads";
import type { AccessStore, KeyRecord, Role } from "../../access/access-store.ts";
import type { DeliveryLog, DeliveryStore } from "../../delivery/delivery-store.ts";
import type { DeadLetterStore } from "../../intake/dead-letters.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type CallClient, callClient } from "../../kernel/thread-call.ts";
import type { SubscriptionFeed } from "../../matching/subscription-feed.ts";
import type { SubscriptionStore } from "../../subscriptions/subscription-store.ts";
import type { KeyRow, StoreCalls } from "./calls.ts";
import { deliveryLog, deliveryStore } from "./client-deliveries.ts";
import { subscriptionFeed, subscriptionStore } from "./client-subscriptions.ts";
import { tenantOf } from "./rows.ts";

export interface SqliteStore {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly subscriptions: SubscriptionStore;
  readonly feed: SubscriptionFeed;
  readonly access: AccessStore;
  readonly deadLetters: DeadLetterStore;
  /** Ends this connection; calls under way reject. */
  close(): void;
}

/** Every call rejects with `store.unavailable` once the thread is gone. */
export function sqliteStore(port: MessagePort): SqliteStore {
  const calls = callClient<StoreCalls>(port, () => new CodedError("store.unavailable", "the store's thread is gone"));
  return {
    deliveries: { ...deliveryStore(calls), ...deliveryLog(calls) },
    subscriptions: subscriptionStore(calls),
    feed: subscriptionFeed(calls),
    access: accessStore(calls),
    deadLetters: deadLetterStore(calls),
    close: () => calls.close(),
  };
}

function accessStore(calls: CallClient<StoreCalls>): AccessStore {
  return {
    async findKey(id) {
      const row = await calls.call("findKey", id);
      return row === null ? undefined : keyOf(row);
    },
    hasKeys: () => calls.call("hasKeys", null),
    async insertKey(record) {
      await calls.call("insertKey", [
        record.id,
        record.tenant.organisation,
        record.tenant.environment,
        record.role,
        record.hash,
        record.createdAtMs,
        record.expiresAtMs ?? null,
        record.revokedAtMs ?? null,
      ]);
    },
  };
}

function keyOf(row: KeyRow): KeyRecord {
  const [id, organisation, environment, role, hash, createdAtMs, expiresAtMs, revokedAtMs] = row;
  return {
    id,
    tenant: tenantOf([organisation, environment]),
    role: role as Role,
    hash,
    createdAtMs,
    ...(expiresAtMs === null ? {} : { expiresAtMs }),
    ...(revokedAtMs === null ? {} : { revokedAtMs }),
  };
}

function deadLetterStore(calls: CallClient<StoreCalls>): DeadLetterStore {
  return {
    async put(letters) {
      await calls.call(
        "putDeadLetters",
        letters.map(({ record, reason, message }) => [
          record.topic,
          record.partition,
          record.offset,
          reason,
          message,
          record.appendedAtMs,
          // Copied out of the batch that they were read with, or all of it would be cloned with each.
          record.key === null ? null : new Uint8Array(record.key),
          record.value === null ? null : new Uint8Array(record.value),
          JSON.stringify(record.headers),
        ]),
      );
    },
  };
}
