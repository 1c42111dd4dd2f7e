import type { EndpointStore, RateStore } from "../../src/delivery/endpoint-store.ts";
import { type RateGrant, type RateRequest, reserve } from "../../src/delivery/rate.ts";
import type { EndpointKey, EndpointRecord } from "../../src/domain/endpoint.ts";
import { tenantKey } from "../../src/kernel/tenant.ts";

/** The rules of the endpoints' ports in memory; every subscription is there. */
export class MemoryEndpoints implements EndpointStore, RateStore {
  readonly records = new Map<string, EndpointRecord>();
  readonly #arrivals = new Map<string, number>();
  /** Set, every call rejects with it. */
  error: Error | undefined;
  writes = 0;

  async read(keys: readonly EndpointKey[]): Promise<readonly (EndpointRecord | undefined)[]> {
    this.#answer();
    return keys.map((key) => this.records.get(nameOf(key)));
  }

  async open(limit: number): Promise<readonly EndpointRecord[]> {
    this.#answer();
    const open = [...this.records.values()].filter(({ breaker }) => breaker !== "closed");
    return open.sort((left, right) => (right.openedAtMs ?? 0) - (left.openedAtMs ?? 0)).slice(0, limit);
  }

  async write(records: readonly EndpointRecord[]): Promise<readonly boolean[]> {
    this.#answer();
    this.writes += 1;
    return records.map((record) => {
      const name = nameOf(record);
      if ((this.records.get(name)?.version ?? 0) !== record.version - 1) return false;
      this.records.set(name, record);
      return true;
    });
  }

  async remove(keys: readonly EndpointKey[]): Promise<void> {
    this.#answer();
    for (const key of keys) this.records.delete(nameOf(key));
  }

  async reserve(requests: readonly RateRequest[]): Promise<readonly RateGrant[]> {
    this.#answer();
    return requests.map((request) => {
      const { arrivalMs, grant } = reserve(this.#arrivals.get(nameOf(request)), request);
      this.#arrivals.set(nameOf(request), arrivalMs);
      return grant;
    });
  }

  /** The row of a subscription, whosever it is. */
  of(subscriptionId: string): EndpointRecord | undefined {
    return this.records.values().find((record) => record.subscriptionId === subscriptionId);
  }

  #answer(): void {
    if (this.error !== undefined) throw this.error;
  }
}

function nameOf({ tenant, subscriptionId }: EndpointKey): string {
  return `${tenantKey(tenant)}/${subscriptionId}`;
}
