import type { ChangeFeed } from "../../src/delivery/change-feed.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import type { StoredEvent } from "../../src/domain/event.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";

/** A feed that tells what a test puts into it, to every reader that is open. */
export class MemoryChanges implements ChangeFeed {
  readonly tenants: Tenant[] = [];
  failure: Error | undefined;
  readonly #events = new Set<StoredEvent[]>();
  readonly #deliveries = new Set<Delivery[]>();

  get open(): number {
    return this.#events.size + this.#deliveries.size;
  }

  store(...events: readonly StoredEvent[]): void {
    for (const queue of this.#events) queue.push(...events);
  }

  change(...deliveries: readonly Delivery[]): void {
    for (const queue of this.#deliveries) queue.push(...deliveries);
  }

  readonly watchEvents = async (tenant: Tenant) => this.#reader(tenant, this.#events);
  readonly watchDeliveries = async (tenant: Tenant) => this.#reader(tenant, this.#deliveries);

  #reader<T>(tenant: Tenant, queues: Set<T[]>) {
    const queue: T[] = [];
    this.tenants.push(tenant);
    queues.add(queue);
    return {
      read: async (limit: number) => {
        if (this.failure !== undefined) throw this.failure;
        return { items: queue.splice(0, limit), more: queue.length > 0, skipped: 0 };
      },
      close: async () => {
        queues.delete(queue);
      },
    };
  }
}
