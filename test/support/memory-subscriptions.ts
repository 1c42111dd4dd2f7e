import type { Subscription } from "../../src/domain/subscription.ts";
import { type Page, type PageRequest, pageOf } from "../../src/kernel/page.ts";
import { sameTenant, type Tenant } from "../../src/kernel/tenant.ts";
import type { LimitField, LimitStore, SubscriptionLimits } from "../../src/subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../../src/subscriptions/reencrypt.ts";
import type {
  InsertResult,
  ReplaceResult,
  SubscriptionFilter,
  SubscriptionStore,
} from "../../src/subscriptions/subscription-store.ts";

/** What organisations were given, in memory. */
export class MemoryLimits implements LimitStore {
  readonly #given = new Map<string, SubscriptionLimits>();
  /** Runs before each write: a test lets somebody else's write come between. */
  beforeSet: () => Promise<unknown> = async () => undefined;

  async limits(organisation: string): Promise<SubscriptionLimits> {
    return this.#given.get(organisation) ?? {};
  }

  async setLimits(organisation: string, limits: SubscriptionLimits, fields: readonly LimitField[] = []): Promise<void> {
    await this.beforeSet();
    const stays = ([field]: [string, number]) => fields.length > 0 && !fields.includes(field as LimitField);
    const kept = Object.entries(this.#given.get(organisation) ?? {}).filter(stays);
    const written = Object.entries(limits).filter((entry) => !stays(entry));
    this.#given.set(organisation, Object.fromEntries([...kept, ...written]));
  }
}

/** Subscriptions in memory, for tests of what stands above the store. */
export class MemorySubscriptions implements SubscriptionStore, SubscriptionWalk {
  readonly #rows = new Map<string, Subscription>();
  /** Runs before each replacement: a test lets somebody else's write come between. */
  beforeReplace: () => Promise<unknown> = async () => undefined;
  replacements = 0;

  async insert(row: Subscription, scopeLimit: number): Promise<InsertResult> {
    const scope = this.#scopeOf(row);
    if (scope.some((other) => other.urlKey === row.urlKey)) return "duplicateUrl";
    if (scope.length >= scopeLimit) return "limitReached";
    this.#rows.set(row.id, row);
    return "inserted";
  }

  async get(tenant: Tenant, id: string): Promise<Subscription | undefined> {
    const row = this.#rows.get(id);
    return row !== undefined && sameTenant(row.tenant, tenant) ? row : undefined;
  }

  async list(tenant: Tenant, filter: SubscriptionFilter, page: PageRequest): Promise<Page<Subscription>> {
    const rows = [...this.#rows.values()]
      .filter((row) => sameTenant(row.tenant, tenant))
      .filter((row) => filter.entityId === undefined || row.entityId === filter.entityId)
      .filter((row) => filter.state === undefined || row.state === filter.state)
      .filter((row) => filter.format === undefined || row.format === filter.format)
      .reverse();
    const first = page.after === undefined ? 0 : rows.findIndex((row) => row.id === page.after?.id) + 1;
    return pageOf(rows.slice(first, first + page.size + 1), page.size, (row) => ({
      timeMs: row.createdAtMs,
      id: row.id,
    }));
  }

  async every(after: Pick<Subscription, "tenant" | "id"> | undefined, limit: number): Promise<readonly Subscription[]> {
    const rows = [...this.#rows.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
    return rows.filter(({ id }) => after === undefined || id > after.id).slice(0, limit);
  }

  async replace(next: Subscription): Promise<ReplaceResult> {
    await this.beforeReplace();
    this.replacements++;
    const row = await this.get(next.tenant, next.id);
    if (row === undefined) return "missing";
    if (row.version !== next.version - 1) return "changed";
    if (this.#scopeOf(next).some((other) => other.urlKey === next.urlKey)) return "duplicateUrl";
    this.#rows.set(next.id, next);
    return "replaced";
  }

  async remove(tenant: Tenant, id: string): Promise<boolean> {
    return (await this.get(tenant, id)) !== undefined && this.#rows.delete(id);
  }

  /** Others of the same tenant and entity. */
  #scopeOf(row: Subscription): readonly Subscription[] {
    return [...this.#rows.values()].filter(
      (other) => other.id !== row.id && sameTenant(other.tenant, row.tenant) && other.entityId === row.entityId,
    );
  }
}
