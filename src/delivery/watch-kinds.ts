/**
 * Watching by kind, for any number of watchers: those who watch the same kind of a tenant share one reader of the store,
 * which is looked at twice a second while there are any. A watcher holds the kinds that it has not been told of yet, and
 * never more: whoever reads slowly is told once of many changes.
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import type { ChangedIds, ChangeKind, KindFeed, KindReader } from "./kind-feed.ts";
import { Waiting } from "./waiting.ts";

const LOOK_EVERY_MS = 500;

/** Kinds whose ids are subscriptions', and so belong to an entity. */
export const KINDS_OF_ENTITIES: readonly ChangeKind[] = ["subscriptions", "health", "statistics"];

export interface WatchKindsRequest {
  readonly tenant: Tenant;
  readonly kinds: readonly ChangeKind[];
  /** Only what changes of this entity's subscriptions; the kinds are `KINDS_OF_ENTITIES` then. */
  readonly entityId?: string;
  /** Ends the watch: what it yields ends then, without an error. */
  readonly signal: AbortSignal;
}

export interface WatchKindsDeps {
  readonly kinds: KindFeed;
  /** Says whose a subscription is. */
  readonly subscriptions: Pick<SubscriptionFeed, "load">;
  readonly clock: Clock;
}

export class KindWatches {
  readonly #deps: WatchKindsDeps;
  readonly #groups = new Map<string, Group>();

  constructor(deps: WatchKindsDeps) {
    this.#deps = deps;
  }

  /**
   * The kinds that have changed since the set before. The first set is empty and says that the watch has begun; one comes
   * at least every 15 s. Throws what the store threw.
   */
  async *watch({ tenant, kinds, entityId, signal }: WatchKindsRequest): AsyncIterable<ReadonlySet<ChangeKind>> {
    const watcher = new Watcher(this.#deps.clock, signal, entityId);
    const joined: Group[] = [];
    try {
      for (const kind of new Set(kinds)) joined.push(this.#join(tenant, kind, watcher));
      await Promise.all(joined.map((group) => group.begun(entityId)));
      yield new Set();
      for (;;) {
        const told = await watcher.next();
        if (told === undefined) return;
        yield told;
      }
    } finally {
      watcher.waiting.close();
      for (const group of joined) this.#leave(group, watcher);
    }
  }

  #join(tenant: Tenant, kind: ChangeKind, watcher: Watcher): Group {
    const key = `${tenantKey(tenant)} ${kind}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new Group(this.#deps, tenant, kind, key);
      this.#groups.set(key, group);
      const begun = group;
      void group.run().catch((error: unknown) => {
        this.#forget(begun);
        for (const each of begun.watchers) each.waiting.fail(error);
      });
    }
    group.watchers.add(watcher);
    return group;
  }

  #leave(group: Group, watcher: Watcher): void {
    group.watchers.delete(watcher);
    if (group.watchers.size === 0) this.#forget(group);
  }

  /** Whoever watches next begins another. */
  #forget(group: Group): void {
    if (this.#groups.get(group.key) === group) this.#groups.delete(group.key);
    group.over.abort();
  }
}

/** Who watches one kind of one tenant, over one reader. */
class Group {
  readonly key: string;
  readonly watchers = new Set<Watcher>();
  /** Aborted when the last one has gone. */
  readonly over = new AbortController();
  readonly #deps: WatchKindsDeps;
  readonly #tenant: Tenant;
  readonly #kind: ChangeKind;
  readonly #opened: Promise<KindReader>;
  /** The entity of each subscription: of those that were there at the last load, and at the one before. */
  readonly #entities = new Map<string, string>();
  #loaded: ReadonlySet<string> = new Set();

  constructor(deps: WatchKindsDeps, tenant: Tenant, kind: ChangeKind, key: string) {
    this.#deps = deps;
    this.#tenant = tenant;
    this.#kind = kind;
    this.key = key;
    this.#opened = deps.kinds.watchKind(tenant, kind);
  }

  async begun(entityId: string | undefined): Promise<void> {
    await this.#opened;
    if (entityId !== undefined) await this.#loadEntities();
  }

  async run(): Promise<void> {
    const reader = await this.#opened;
    try {
      while (!this.over.signal.aborted) {
        const changed = await reader.read();
        if (changed.more || changed.ids.size > 0) await this.#tell(changed);
        await sleep(this.#deps.clock, LOOK_EVERY_MS, this.over.signal);
      }
    } finally {
      await reader.close();
    }
  }

  async #tell({ ids, more }: ChangedIds): Promise<void> {
    const isForSome = [...this.watchers].some(({ entityId }) => entityId !== undefined);
    const told = isForSome ? await this.#entitiesOf(ids) : new Set<string>();
    for (const watcher of this.watchers) {
      const { entityId } = watcher;
      if (more || entityId === undefined || told.has(entityId)) watcher.put(this.#kind);
    }
  }

  /** They are read anew for one that is not known: a subscription stays with its entity for life. */
  async #entitiesOf(ids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    // What is counted of the tenant as a whole has no subscription.
    const own = [...ids].filter((id) => id !== "");
    if (own.some((id) => !this.#entities.has(id))) await this.#loadEntities();
    return new Set(own.map((id) => this.#entities.get(id) ?? ""));
  }

  async #loadEntities(): Promise<void> {
    const { subscriptions } = await this.#deps.subscriptions.load(this.#tenant);
    // Those that are gone since are kept for once: their own hear of it.
    const gone = [...this.#entities].filter(([id]) => !this.#loaded.has(id));
    this.#loaded = new Set(subscriptions.map(({ id }) => id));
    for (const [id] of gone) this.#entities.delete(id);
    for (const { id, entityId } of subscriptions) this.#entities.set(id, entityId);
  }
}

/** What one watcher has not been told of yet. */
class Watcher {
  readonly entityId: string | undefined;
  readonly waiting: Waiting;
  #kinds = new Set<ChangeKind>();

  constructor(clock: Clock, signal: AbortSignal, entityId: string | undefined) {
    this.waiting = new Waiting(clock, signal);
    this.entityId = entityId;
  }

  put(kind: ChangeKind): void {
    this.#kinds.add(kind);
    this.waiting.wake();
  }

  /** Undefined once the watch is to end. */
  async next(): Promise<ReadonlySet<ChangeKind> | undefined> {
    if (this.#kinds.size === 0) await this.waiting.somethingHappens();
    if (this.waiting.isOver) return undefined;
    this.waiting.throwFailure();
    const kinds = this.#kinds;
    this.#kinds = new Set();
    return kinds;
  }
}
