/** Erasures, and the steps that they are made in. A step looks for the ids of what goes, and takes those away. */
import type { Filter } from "mongodb";
import {
  type ErasureRequest,
  type ErasureRow,
  type ErasureStep,
  type ErasureStore,
  type ErasureTarget,
  FOUND_FROM_CHARACTERS,
} from "../../delivery/erasure.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, type DeliveryDocument, type EventDocument, idIn, idOf, tenantOf } from "./documents.ts";
import { type Stored, translated, upTo, type Wire, WRITE_CONCERN } from "./wire.ts";

interface ErasureDocument extends Stored {
  readonly sealed: string;
  readonly askedAt: number;
  readonly nextAt: number;
}

/** What is a tenant's own, and since when. Their documents have a field `tenant`. */
export const TENANT_COLLECTIONS = [
  { collection: COLLECTIONS.keys, since: "createdAt" },
  { collection: COLLECTIONS.keyCertificates, since: "boundAt" },
  { collection: COLLECTIONS.portalSessions, since: "createdAt" },
  { collection: COLLECTIONS.bins, since: "createdAt" },
  { collection: COLLECTIONS.binRequests, since: "receivedAt" },
  { collection: COLLECTIONS.deliveries, since: "createdAt" },
  { collection: COLLECTIONS.events, since: "loggedAt" },
  { collection: COLLECTIONS.deadLetters, since: "appendedAt" },
  { collection: COLLECTIONS.replays, since: "createdAt" },
  { collection: COLLECTIONS.replaySlots, since: "takenAt" },
  { collection: COLLECTIONS.deliveryStats, since: "at" },
  { collection: COLLECTIONS.auditRecords, since: "time" },
] as const;

/** Documents that a step looks at for each that it may take away, where the index doesn't find them. */
const LOOKED_AT = 1_000;

/** @param removeSubscription deletes one, with all that goes with it. */
export function erasureStore(
  wire: Wire,
  removeSubscription: (tenant: Tenant, id: string) => Promise<unknown>,
): ErasureStore {
  return {
    putErasure: ({ id, sealed, askedAtMs: askedAt, nextAtMs: nextAt }) =>
      translated(async () => {
        await wire
          .collection<ErasureDocument>(COLLECTIONS.erasures)
          .updateOne(
            { _id: id },
            { $set: { sealed, nextAt }, $max: { askedAt } },
            { upsert: true, writeConcern: WRITE_CONCERN },
          );
      }),
    async dueErasures(nowMs, limit) {
      const filter = { nextAt: { $lte: nowMs } };
      const options = { sort: { nextAt: 1, _id: 1 }, limit } as const;
      const found = await wire.find<ErasureDocument>(COLLECTIONS.erasures, filter, options);
      return found.map(
        ({ _id: id, sealed, askedAt, nextAt }): ErasureRow => ({ id, sealed, askedAtMs: askedAt, nextAtMs: nextAt }),
      );
    },
    postponeErasure: ({ id: _id, askedAtMs: askedAt }, nextAt) => change(wire, { _id, askedAt }, { nextAt }),
    resealErasure: (_id, sealed) => change(wire, { _id }, { sealed }),
    async removeErasure({ id, askedAtMs }) {
      await wire.remove(COLLECTIONS.erasures, { _id: id, askedAt: askedAtMs });
    },
    erase: (request) => new Step(wire, request, removeSubscription).take(),
    // What MongoDB keeps of documents that were deleted is up to whoever runs it (docs/erasure.md).
    settleErased: async () => {},
  };
}

function change(
  wire: Wire,
  which: Partial<ErasureDocument>,
  what: Partial<Pick<ErasureDocument, "sealed" | "nextAt">>,
): Promise<void> {
  return translated(async () => {
    const erasures = wire.collection<ErasureDocument>(COLLECTIONS.erasures);
    await erasures.updateOne(which, { $set: what }, { writeConcern: WRITE_CONCERN });
  });
}

class Step {
  readonly #wire: Wire;
  readonly #request: ErasureRequest;
  readonly #removeSubscription: (tenant: Tenant, id: string) => Promise<unknown>;
  #left: number;
  #counts = { events: 0, deliveries: 0, deadLetters: 0, others: 0 };

  constructor(
    wire: Wire,
    request: ErasureRequest,
    removeSubscription: (tenant: Tenant, id: string) => Promise<unknown>,
  ) {
    this.#wire = wire;
    this.#request = request;
    this.#removeSubscription = removeSubscription;
    this.#left = request.limit;
  }

  async take(): Promise<ErasureStep> {
    const { target } = this.#request;
    switch (target.kind) {
      case "pass":
        await this.#erasePass(target);
        break;
      case "subscription":
        await this.#eraseSubscription(target);
        break;
      case "organisation":
        await this.#eraseOrganisation(target.organisation);
    }
    return { ...this.#counts, more: this.#left <= 0 };
  }

  async #erasePass({ tenant: owner, passId }: ErasureTarget & { kind: "pass" }): Promise<void> {
    const tenant = tenantKey(owner);
    const { beforeMs, limit } = this.#request;
    const events = await this.#wire.find<EventDocument>(
      COLLECTIONS.events,
      { tenant, pass: passId, loggedAt: upTo(beforeMs) },
      { projection: { _id: 1 }, limit, batchSize: limit },
    );
    const ids = events.map(({ _id }) => _id);
    const ofEvents = { tenant, event: { $in: ids.map((id) => idOf(id, tenant)) } };
    if (ids.length > 0) await this.#remove(COLLECTIONS.deliveries, ofEvents);
    // An event goes after the last of its deliveries.
    if (this.#left > 0 && ids.length > 0) await this.#remove(COLLECTIONS.events, { _id: { $in: ids } });
    await this.#remove(COLLECTIONS.deliveries, { tenant, pass: passId, createdAt: upTo(beforeMs) });
    await this.#removeOrphans({ tenant, pass: passId });
    await this.#removeLetters(tenant, passId);
    const { letterIds = [] } = this.#request;
    if (letterIds.length > 0) await this.#remove(COLLECTIONS.deadLetters, { tenant, _id: { $in: [...letterIds] } });
    await this.#removeReplays(tenant, ({ filter }) => filter?.passId === passId);
    await this.#remove(COLLECTIONS.binRequests, { tenant, receivedAt: upTo(this.#request.madeAtMs) });
  }

  async #eraseSubscription({ tenant: owner, subscriptionId }: ErasureTarget & { kind: "subscription" }): Promise<void> {
    const tenant = tenantKey(owner);
    const _id = idIn(owner, subscriptionId);
    if ((await this.#wire.findOne<Stored>(COLLECTIONS.subscriptions, { _id })) !== undefined) return;
    await this.#remove(COLLECTIONS.deliveries, { lane: _id });
    await this.#removeReplays(
      tenant,
      ({ filter, targetSubscriptionId }) =>
        filter?.subscriptionId === subscriptionId || targetSubscriptionId === subscriptionId,
    );
    await this.#remove(COLLECTIONS.deliveryStats, { tenant, subscription: subscriptionId });
    await this.#remove(COLLECTIONS.endpoints, { _id });
    await this.#remove(COLLECTIONS.rates, { _id });
  }

  async #eraseOrganisation(organisation: string): Promise<void> {
    const { beforeMs } = this.#request;
    // Every tenant's key that begins with the name and a slash, which no name holds; "0" comes behind the slash.
    const within = { $gt: `${organisation}/`, $lt: `${organisation}0` };
    await this.#removeSubscriptions(within);
    for (const { collection, since } of TENANT_COLLECTIONS) {
      await this.#remove(collection, { tenant: within, [since]: upTo(beforeMs) });
    }
    await this.#removeOrphans({ tenant: within });
    for (const collection of [COLLECTIONS.endpoints, COLLECTIONS.rates]) await this.#removeLeft(collection, within);
    // Who has been given keys since is another organisation of the same name.
    const keys = await this.#wire.find<Stored>(COLLECTIONS.keys, { tenant: within } as Filter<Stored>, { limit: 1 });
    if (keys.length > 0) return;
    await this.#remove(COLLECTIONS.organisations, { _id: organisation });
    await this.#remove(COLLECTIONS.stops, { _id: `/${organisation}` });
  }

  async #removeSubscriptions(within: object): Promise<void> {
    if (this.#left <= 0) return;
    const filter = { tenant: within, createdAt: upTo(this.#request.beforeMs) } as Filter<Stored>;
    const options = { projection: { tenant: 1 }, limit: this.#left };
    const found = await this.#wire.find<Stored & { readonly tenant: string }>(
      COLLECTIONS.subscriptions,
      filter,
      options,
    );
    for (const { _id, tenant } of found) await this.#removeSubscription(tenantOf(tenant), idOf(_id, tenant));
    this.#count(COLLECTIONS.subscriptions, found.length);
  }

  /** Deliveries whose event is not stored. */
  async #removeOrphans(filter: object): Promise<void> {
    if (this.#left <= 0) return;
    const found = await this.#wire.find<DeliveryDocument>(COLLECTIONS.deliveries, filter as Filter<DeliveryDocument>, {
      projection: { tenant: 1, event: 1 },
      limit: LOOKED_AT,
    });
    const eventOf = ({ tenant, event }: DeliveryDocument) => `${tenant}/${event}`;
    const stored = await this.#existing(COLLECTIONS.events, found.map(eventOf));
    const orphans = found.filter((delivery) => !stored.has(eventOf(delivery)));
    if (orphans.length > 0) await this.#remove(COLLECTIONS.deliveries, { _id: { $in: orphans.map(({ _id }) => _id) } });
  }

  /** What was known of endpoints whose subscription is gone. */
  async #removeLeft(collection: string, within: object): Promise<void> {
    if (this.#left <= 0) return;
    const options = { projection: { _id: 1 }, limit: LOOKED_AT };
    const found = await this.#wire.find<Stored>(collection, { _id: within } as Filter<Stored>, options);
    const ids = found.map(({ _id }) => _id);
    const there = await this.#existing(COLLECTIONS.subscriptions, ids);
    const left = ids.filter((id) => !there.has(id));
    if (left.length > 0) await this.#remove(collection, { _id: { $in: left } });
  }

  async #existing(collection: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set();
    const options = { projection: { _id: 1 } };
    const found = await this.#wire.find<Stored>(collection, { _id: { $in: [...ids] } }, options);
    return new Set(found.map(({ _id }) => _id));
  }

  /** All of a tenant's are looked at, one after the other: they are few, and nothing else can be found in their bytes. */
  async #removeLetters(tenant: string, passId: string): Promise<void> {
    if (this.#left <= 0) return;
    const wanted = Buffer.from(passId);
    const isLong = passId.length >= FOUND_FROM_CHARACTERS;
    const ids: string[] = [];
    await this.#wire.read<Letter>(
      COLLECTIONS.deadLetters,
      { tenant, appendedAt: upTo(this.#request.beforeMs) } as Filter<Letter>,
      { projection: { key: 1, value: 1, headers: 1 }, batchSize: 100 },
      ({ _id, key, value, headers }) => {
        const isKey = key !== null && wanted.equals(key);
        const isWithin =
          isLong && (headers.includes(passId) || (value !== null && Buffer.from(value).includes(wanted)));
        if (isKey || isWithin) ids.push(_id);
        return ids.length < this.#left;
      },
    );
    if (ids.length > 0) await this.#remove(COLLECTIONS.deadLetters, { _id: { $in: ids } });
  }

  async #removeReplays(tenant: string, isTheirs: (replay: KnownReplay) => boolean): Promise<void> {
    if (this.#left <= 0) return;
    const found = await this.#wire.find<ReplayJson>(COLLECTIONS.replays, { tenant } as Filter<ReplayJson>);
    const ids = found.filter(({ json }) => isTheirs(JSON.parse(json))).map(({ _id }) => _id);
    if (ids.length > 0) await this.#remove(COLLECTIONS.replays, { _id: { $in: ids } });
  }

  async #remove(collection: string, filter: object): Promise<void> {
    if (this.#left <= 0) return;
    const options = { projection: { _id: 1 }, limit: this.#left, batchSize: this.#left };
    const found = await this.#wire.find<Stored>(collection, filter as Filter<Stored>, options);
    if (found.length === 0) return;
    const removed = await this.#wire.remove(collection, { _id: { $in: found.map(({ _id }) => _id) } });
    this.#count(collection, removed);
  }

  #count(collection: string, removed: number): void {
    this.#left -= removed;
    if (collection === COLLECTIONS.events) this.#counts.events += removed;
    else if (collection === COLLECTIONS.deliveries) this.#counts.deliveries += removed;
    else if (collection === COLLECTIONS.deadLetters) this.#counts.deadLetters += removed;
    else this.#counts.others += removed;
  }
}

interface Letter extends Stored {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: string;
}

interface ReplayJson extends Stored {
  readonly json: string;
}

interface KnownReplay {
  readonly filter?: { readonly passId?: string; readonly subscriptionId?: string };
  readonly targetSubscriptionId?: string;
}
