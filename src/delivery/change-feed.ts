/**
 * What becomes durable in the store, for those who watch it: a process that only serves the API sees what the workers
 * write nowhere else. The order is that of becoming durable, not of any time within an event: what a worker records
 * late (a stalled flush, a backlog) is told when it is recorded.
 */
import type { Delivery } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import type { Tenant } from "../kernel/tenant.ts";

/** What was taken from a reader in one go. */
export interface Changes<T> {
  /** As they are stored now, in the order in which they first changed since the last read. */
  readonly items: readonly T[];
  /** There is more to be read right away. */
  readonly more: boolean;
  /** Changes since the last read that were let go of, because nobody read them in time. */
  readonly skipped: number;
}

/** One watcher's place. What it did not read yet is bounded; beyond that the oldest is skipped. */
export interface ChangeReader<T> {
  /** What has changed since the last read, `limit` at most. Does not wait for anything to change. One call at a time. */
  read(limit: number): Promise<Changes<T>>;
  /** No read may follow. */
  close(): Promise<void>;
}

export interface ChangeFeed {
  /** Every event that becomes durable after this has resolved, once. */
  watchEvents(tenant: Tenant): Promise<ChangeReader<StoredEvent>>;
  /**
   * Every delivery that is inserted, changes its state or gets an attempt after this has resolved. Several changes
   * between two reads are one; the same state may be told twice.
   */
  watchDeliveries(tenant: Tenant): Promise<ChangeReader<Delivery>>;
}
