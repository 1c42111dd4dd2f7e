/**
 * That something of a kind has changed in the store, whoever wrote it: for those who show lists of it and read them
 * again then. Events and deliveries, which are many, are told one by one instead (change-feed.ts).
 */
import type { Tenant } from "../kernel/tenant.ts";

/** What is watched by its kind. Of the first three an id is the subscription's. */
export const CHANGE_KINDS = [
  "subscriptions",
  /** How an endpoint is doing. */
  "health",
  /** What was counted of attempts. */
  "statistics",
  "replays",
  "deadLetters",
  "bins",
  /** Certificates that are bound to one, too. */
  "keys",
  "portalSessions",
  "auditRecords",
  /** An organisation's, in all its environments. */
  "limits",
  /** The organisation's, and the service's. */
  "switches",
] as const;

export type ChangeKind = (typeof CHANGE_KINDS)[number];

export interface ChangedIds {
  /** Of what was made, changed or removed since the last read, each once. */
  readonly ids: ReadonlySet<string>;
  /** More has changed than the ids say. */
  readonly more: boolean;
}

/** One watcher's place. What it did not read yet is bounded: beyond that there is `more`. */
export interface KindReader {
  /** Does not wait for anything to change. One call at a time. */
  read(): Promise<ChangedIds>;
  /** No read may follow. */
  close(): Promise<void>;
}

/** Ids that one read tells at most. */
export const CHANGED_IDS = 1_000;

export interface KindFeed {
  /**
   * Whatever of the tenant's becomes durable after this has resolved, at the latest the read after next tells. What went
   * because of its age alone may be left out, and so may the times at which keys were used.
   */
  watchKind(tenant: Tenant, kind: ChangeKind): Promise<KindReader>;
}
