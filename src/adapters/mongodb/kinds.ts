/**
 * KindFeed over one change stream of the database, which all who watch in this process share, whatever kind and tenant
 * they watch: a stream holds a connection while it waits, and there are a hundred of those for everything. It begins with
 * the first reader and ends with the last, and is read when one of them reads. It brings ids, by which whose they are
 * shows in most collections; of the others the documents say it, which are asked for.
 */
import type { ChangeStream, Document } from "mongodb";
import {
  CHANGED_IDS,
  type ChangedIds,
  type ChangeKind,
  type KindFeed,
  type KindReader,
} from "../../delivery/kind-feed.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, idOf, tenantOfLane } from "./documents.ts";
import { type Stored, translated, type Wire } from "./wire.ts";

/** How long the server keeps a read waiting for something to tell. */
const AWAIT_MS = 50;

/** Changes in one answer of the server: between two answers, others have their turn. */
const BATCH_CHANGES = 1_000;

/** After so long a read answers, though writes go on and there is always one more. */
const DRAIN_MS = 250;

interface Told {
  /** Whose it is: a tenant's key, an organisation, or "" for everybody. A slash is in the first alone. */
  readonly owner: string;
  readonly id: string;
}

interface Source {
  readonly kind: ChangeKind;
  readonly collection: string;
  readonly operations: readonly string[];
  /** Which changes, among those. */
  readonly match?: Document;
  /** What an `_id` says. Left out where it does not say whose it is. */
  readonly told?: (_id: string) => Told;
}

const MADE_OR_COUNTED = ["insert", "update", "replace"];
const ANY = [...MADE_OR_COUNTED, "delete"];

/** An `_id` begins as a lane does, with its tenant and a slash. */
function inTenant(_id: string): Told {
  const owner = tenantOfLane(_id);
  return { owner, id: idOf(_id, owner) };
}

/** Behind the span and its time. */
function statistic(_id: string): Told {
  return { owner: tenantOfLane(_id), id: _id.slice(_id.lastIndexOf("/") + 1) };
}

/** One that is gone belongs to nobody, where its document has to say whose it is. */
const SOURCES: readonly Source[] = [
  { kind: "subscriptions", collection: COLLECTIONS.subscriptions, operations: ANY, told: inTenant },
  { kind: "health", collection: COLLECTIONS.endpoints, operations: ANY, told: inTenant },
  { kind: "statistics", collection: COLLECTIONS.deliveryStats, operations: MADE_OR_COUNTED, told: statistic },
  { kind: "replays", collection: COLLECTIONS.replays, operations: ANY, told: inTenant },
  { kind: "deadLetters", collection: COLLECTIONS.deadLetters, operations: MADE_OR_COUNTED },
  { kind: "bins", collection: COLLECTIONS.bins, operations: ANY, told: inTenant },
  {
    kind: "keys",
    collection: COLLECTIONS.keys,
    operations: MADE_OR_COUNTED,
    match: { "updateDescription.updatedFields.lastUsedAt": { $exists: false } },
  },
  { kind: "keys", collection: COLLECTIONS.keyCertificates, operations: MADE_OR_COUNTED },
  { kind: "portalSessions", collection: COLLECTIONS.portalSessions, operations: ANY, told: inTenant },
  { kind: "auditRecords", collection: COLLECTIONS.auditRecords, operations: MADE_OR_COUNTED, told: inTenant },
  { kind: "limits", collection: COLLECTIONS.organisations, operations: ANY, told: (id) => ({ owner: id, id }) },
  // The service's is "", and an organisation's has a slash before its name.
  { kind: "switches", collection: COLLECTIONS.stops, operations: ANY, told: (id) => ({ owner: id.slice(1), id }) },
];

const BY_COLLECTION: ReadonlyMap<string, Source> = new Map(SOURCES.map((source) => [source.collection, source]));

const PIPELINE: Document[] = [
  {
    $match: {
      $or: SOURCES.map(({ collection, operations, match }) => ({
        "ns.coll": collection,
        operationType: { $in: operations },
        ...match,
      })),
    },
  },
  { $project: { documentKey: 1, "ns.coll": 1 } },
];

export function kindFeed(wire: Wire): KindFeed {
  let stream: KindStream | undefined;
  return {
    watchKind(tenant, kind) {
      if (stream === undefined || stream.isOver) stream = new KindStream(wire);
      return stream.watch(tenant, kind);
    },
  };
}

interface Listener {
  /** What it listens for: its kind with each owner that its tenant hears of. */
  readonly keys: readonly string[];
  ids: Set<string>;
  more: boolean;
}

const listenedFor = (kind: ChangeKind, owner: string): string => `${kind} ${owner}`;

/**
 * What it fails with, every reader of it fails with: none of them knows what it missed. A lost connection is no failure
 * while the driver can take the stream up where it was.
 */
class KindStream {
  readonly #wire: Wire;
  readonly #stream: ChangeStream<Document>;
  readonly #opened: Promise<void>;
  readonly #listeners = new Set<Listener>();
  readonly #byKey = new Map<string, Set<Listener>>();
  /** Told while it was opened. */
  readonly #early: Document[] = [];
  #draining: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.#stream = wire.watch(PIPELINE, { maxAwaitTimeMS: AWAIT_MS, batchSize: BATCH_CHANGES });
    this.#opened = this.#open();
  }

  /** It failed, or its last reader has gone: nobody may begin to read it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  async watch(tenant: Tenant, kind: ChangeKind): Promise<KindReader> {
    const owners = [tenantKey(tenant), tenant.organisation, ""];
    const listener = { keys: owners.map((owner) => listenedFor(kind, owner)), ids: new Set<string>(), more: false };
    this.#add(listener);
    try {
      await this.#opened;
    } catch (error) {
      await this.#remove(listener);
      throw error;
    }
    return { read: () => this.#read(listener), close: () => this.#remove(listener) };
  }

  /** A change stream begins with its first read. */
  async #open(): Promise<void> {
    await this.#orFail(async () => {
      const first = await this.#next();
      if (first !== undefined) this.#early.push(first);
    });
  }

  /** Those who read at once wait for the same; one that came late to it is told by its next. */
  async #read(listener: Listener): Promise<ChangedIds> {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#draining ??= this.#orFail(() => this.#drain()).finally(() => {
      this.#draining = undefined;
    });
    await this.#draining;
    const { ids, more } = listener;
    listener.ids = new Set();
    listener.more = false;
    return { ids, more };
  }

  /** What is left when the time is over comes with the next. */
  async #drain(): Promise<void> {
    const asked = new Map<Source, Set<string>>();
    const endMs = performance.now() + DRAIN_MS;
    do {
      const change = this.#early.shift() ?? (await this.#next());
      if (change === undefined) break;
      const source = BY_COLLECTION.get(change.ns.coll);
      if (source === undefined) continue;
      const _id = String(change.documentKey._id);
      if (source.told !== undefined) this.#tell(source.kind, source.told(_id));
      else asked.set(source, (asked.get(source) ?? new Set()).add(_id));
    } while (performance.now() < endMs);
    for (const [source, ids] of asked) await this.#tellOwners(source, [...ids]);
  }

  async #tellOwners({ kind, collection }: Source, ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += CHANGED_IDS) {
      const filter = { _id: { $in: ids.slice(at, at + CHANGED_IDS) } };
      const found = await this.#wire.find<Owned>(collection, filter, { projection: { tenant: 1 } });
      for (const { _id, tenant } of found) this.#tell(kind, { owner: tenant, id: _id });
    }
  }

  #tell(kind: ChangeKind, { owner, id }: Told): void {
    for (const listener of this.#byKey.get(listenedFor(kind, owner)) ?? []) {
      if (listener.ids.size < CHANGED_IDS) listener.ids.add(id);
      else if (!listener.ids.has(id)) listener.more = true;
    }
  }

  async #next(): Promise<Document | undefined> {
    const change = (await translated(() => this.#stream.tryNext())) as Document | null;
    // The server ends it where the database is dropped; the driver would find nothing in it for ever.
    if (change === null && this.#stream.closed)
      throw new CodedError("store.unavailable", "MongoDB ended the stream of changes");
    return change ?? undefined;
  }

  async #orFail(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#failure = { error };
      this.#isOver = true;
      // Or each try during a fail-over would leave a cursor behind.
      await this.#stream.close().catch(() => {});
      throw error;
    }
  }

  #add(listener: Listener): void {
    this.#listeners.add(listener);
    for (const key of listener.keys) this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(listener));
  }

  async #remove(listener: Listener): Promise<void> {
    this.#listeners.delete(listener);
    for (const key of listener.keys) {
      const left = this.#byKey.get(key);
      left?.delete(listener);
      if (left?.size === 0) this.#byKey.delete(key);
    }
    if (this.#listeners.size > 0) return;
    this.#isOver = true;
    await this.#stream.close();
  }
}

interface Owned extends Stored {
  readonly tenant: string;
}
