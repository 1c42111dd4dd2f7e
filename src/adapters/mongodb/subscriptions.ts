/**
 * Subscriptions: the whole one as JSON, and beside it the fields that are searched or must be unique. Every write is a
 * transaction that begins by counting up the tenant's version. Two writes of one tenant meet there, and the server has
 * one of them begin anew: so nobody comes between the count of a scope and the insert.
 */
import type { ClientSession, Filter, MongoClient } from "mongodb";
import type { Subscription } from "../../domain/subscription.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import type { SubscriptionFeed, TenantSubscriptions } from "../../matching/subscription-feed.ts";
import type { SubscriptionWalk } from "../../subscriptions/reencrypt.ts";
import type {
  InsertResult,
  ReplaceResult,
  SubscriptionFilter,
  SubscriptionStore,
} from "../../subscriptions/subscription-store.ts";
import { COLLECTIONS, idIn } from "./documents.ts";
import { page } from "./pages.ts";
import { type Stored, translated, type Wire } from "./wire.ts";

interface SubscriptionDocument extends Stored {
  readonly tenant: string;
  readonly entity: string;
  readonly urlKey: string;
  readonly state: string;
  readonly format: string;
  readonly version: number;
  readonly createdAt: number;
  readonly json: string;
}

/** `_id` is the tenant's key. */
interface TenantDocument extends Stored {
  readonly version: number;
}

function documentOf(subscription: Subscription): SubscriptionDocument {
  return {
    _id: idIn(subscription.tenant, subscription.id),
    tenant: tenantKey(subscription.tenant),
    entity: subscription.entityId,
    urlKey: subscription.urlKey,
    state: subscription.state,
    format: subscription.format,
    version: subscription.version,
    createdAt: subscription.createdAtMs,
    json: JSON.stringify(subscription),
  };
}

const subscriptionOf = (document: SubscriptionDocument): Subscription => JSON.parse(document.json);

/** A write that meets others of its tenant again and again gives up after this time. */
const GIVE_UP_MS = 15_000;

/** Ends a transaction that has found that it may not write. Not a failure. */
class Undone<T> extends Error {
  readonly result: T;

  constructor(result: T) {
    super("undone");
    this.result = result;
  }
}

export class MongoSubscriptions implements SubscriptionStore, SubscriptionWalk, SubscriptionFeed {
  readonly #client: MongoClient;
  readonly #wire: Wire;
  readonly #onRemoved: (id: string) => Promise<void>;
  /** The last write of each tenant that has one under way: ours wait here for each other, and not in conflicts. */
  readonly #queues = new Map<string, Promise<unknown>>();

  /** @param onRemoved called with the `_id` of a subscription that was deleted. What it rejects with is let go. */
  constructor(client: MongoClient, wire: Wire, onRemoved: (id: string) => Promise<void>) {
    this.#client = client;
    this.#wire = wire;
    this.#onRemoved = onRemoved;
  }

  readonly insert = (subscription: Subscription, scopeLimit: number): Promise<InsertResult> => {
    const document = documentOf(subscription);
    const { _id, tenant, entity, urlKey } = document;
    return this.#change<InsertResult>(tenant, "inserted", async (session, refuse) => {
      const documents = this.#documents();
      const owner = await documents.findOne({ tenant, entity, urlKey }, { session, projection: { _id: 1 } });
      if (owner !== null) refuse("duplicateUrl");
      if ((await documents.countDocuments({ tenant, entity }, { session })) >= scopeLimit) refuse("limitReached");
      if ((await documents.findOne({ _id }, { session, projection: { _id: 1 } })) !== null) {
        throw new CodedError("internal", `subscription id ${subscription.id} was given twice`);
      }
      await documents.insertOne(document, { session });
    });
  };

  readonly replace = (next: Subscription): Promise<ReplaceResult> => {
    const document = documentOf(next);
    const { _id, tenant, entity, urlKey } = document;
    return this.#change<ReplaceResult>(tenant, "replaced", async (session, refuse) => {
      const documents = this.#documents();
      const known = await documents.findOne({ _id }, { session, projection: { version: 1 } });
      if (known === null) return refuse("missing");
      if (known.version !== next.version - 1) refuse("changed");
      const owner = await documents.findOne({ tenant, entity, urlKey }, { session, projection: { _id: 1 } });
      if (owner !== null && owner._id !== _id) refuse("duplicateUrl");
      // Not as a replacement: the server that our tests run on keeps the old URL in its unique index after one.
      await documents.deleteOne({ _id }, { session });
      await documents.insertOne(document, { session });
    });
  };

  readonly remove = async (tenant: Tenant, id: string): Promise<boolean> => {
    const _id = idIn(tenant, id);
    const isRemoved = await this.#change<boolean>(tenantKey(tenant), true, async (session, refuse) => {
      const removed = await this.#documents().deleteOne({ _id }, { session });
      if (removed.deletedCount === 0) refuse(false);
    });
    // Left behind, it is a small document that nobody asks for: not worth failing what is done.
    if (isRemoved) await this.#onRemoved(_id).catch(() => {});
    return isRemoved;
  };

  readonly get = async (tenant: Tenant, id: string): Promise<Subscription | undefined> => {
    const found = await this.#wire.findOne<SubscriptionDocument>(COLLECTIONS.subscriptions, { _id: idIn(tenant, id) });
    return found === undefined ? undefined : subscriptionOf(found);
  };

  readonly list: SubscriptionStore["list"] = (tenant, filter, request) =>
    page<SubscriptionDocument, Subscription>(this.#wire, COLLECTIONS.subscriptions, {
      filter: listFilter(tenantKey(tenant), filter),
      keyOf: (id) => idIn(tenant, id),
      timeField: "createdAt",
      request,
      read: subscriptionOf,
      bytesOf: ({ json }) => json.length,
      timeOf: (subscription) => subscription.createdAtMs,
    });

  /** In the order of `_id`. */
  readonly every: SubscriptionWalk["every"] = async (after, limit) => {
    const filter = after === undefined ? {} : { _id: { $gt: idIn(after.tenant, after.id) } };
    const options = { sort: { _id: 1 }, limit, batchSize: limit } as const;
    const found = await this.#wire.find<SubscriptionDocument>(COLLECTIONS.subscriptions, filter, options);
    return found.map(subscriptionOf);
  };

  readonly versions = async (tenants: readonly Tenant[]): Promise<readonly number[]> => {
    if (tenants.length === 0) return [];
    const ids = tenants.map(tenantKey);
    const found = await this.#wire.find<TenantDocument>(COLLECTIONS.tenants, { _id: { $in: ids } });
    const versions = new Map(found.map(({ _id, version }) => [_id, version]));
    return ids.map((id) => versions.get(id) ?? 0);
  };

  /** One snapshot: the subscriptions are those of the version. */
  readonly load = (tenant: Tenant): Promise<TenantSubscriptions> => {
    const key = tenantKey(tenant);
    return this.#inTransaction(async (session) => {
      const row = await this.#tenants().findOne({ _id: key }, { session });
      const documents = await this.#documents().find({ tenant: key }, { session }).toArray();
      return { version: row?.version ?? 0, subscriptions: documents.map(subscriptionOf) };
    });
  };

  #documents() {
    return this.#wire.collection<SubscriptionDocument>(COLLECTIONS.subscriptions);
  }

  #tenants() {
    return this.#wire.collection<TenantDocument>(COLLECTIONS.tenants);
  }

  /** Runs a write with the counting up of its tenant's version: both, or neither where it is refused. */
  #change<T>(
    tenant: string,
    done: T,
    write: (session: ClientSession, refuse: (result: T) => never) => Promise<void>,
  ): Promise<T> {
    const refuse = (result: T): never => {
      throw new Undone(result);
    };
    return this.#oneByOne(tenant, async () => {
      try {
        return await this.#inTransaction(async (session) => {
          await this.#countUp(tenant, session);
          await write(session, refuse);
          return done;
        });
      } catch (error) {
        if (error instanceof Undone) return error.result as T;
        throw error;
      }
    });
  }

  /** The row is made outside the transaction: two that make it at once would not conflict but fail. */
  async #countUp(tenant: string, session: ClientSession): Promise<void> {
    const counted = await this.#tenants().updateOne({ _id: tenant }, { $inc: { version: 1 } }, { session });
    if (counted.matchedCount === 0) throw new TenantMissing(tenant);
  }

  async #inTransaction<T>(run: (session: ClientSession) => Promise<T>): Promise<T> {
    const endMs = performance.now() + GIVE_UP_MS;
    for (;;) {
      try {
        return await translated(() =>
          this.#client.withSession((session) =>
            session.withTransaction(() => inTime(endMs, () => run(session)), {
              readConcern: { level: "snapshot" },
              writeConcern: { w: "majority", journal: true },
              readPreference: "primary",
            }),
          ),
        );
      } catch (error) {
        if (!(error instanceof TenantMissing)) throw error;
        await this.#wire.insert<TenantDocument>(COLLECTIONS.tenants, [{ _id: error.tenant, version: 0 }], () => 0);
      }
    }
  }

  async #oneByOne<T>(tenant: string, run: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(tenant) ?? Promise.resolve();
    const mine = before.then(run, run);
    this.#queues.set(tenant, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(tenant) === mine) this.#queues.delete(tenant);
    }
  }
}

/** The driver would begin a transaction anew for two minutes. */
function inTime<T>(endMs: number, run: () => Promise<T>): Promise<T> {
  if (performance.now() <= endMs) return run();
  throw new CodedError("store.unavailable", `other writes were in this one's way for ${GIVE_UP_MS / 1_000} s`);
}

class TenantMissing extends Error {
  readonly tenant: string;

  constructor(tenant: string) {
    super(`no row of ${tenant}`);
    this.tenant = tenant;
  }
}

function listFilter(tenant: string, { entityId, state, format }: SubscriptionFilter): Filter<SubscriptionDocument> {
  return {
    tenant,
    ...(entityId === undefined ? {} : { entity: entityId }),
    ...(state === undefined ? {} : { state }),
    ...(format === undefined ? {} : { format }),
  };
}
