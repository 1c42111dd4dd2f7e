/**
 * KindFeed over change streams of the collections that hold a kind. They bring ids, by which whose they are shows in most
 * collections; of the others the documents say it, which are asked for.
 */
import type { ChangeStream, Document } from "mongodb";
import { CHANGED_IDS, type ChangeKind, type KindFeed, type KindReader } from "../../delivery/kind-feed.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, idOf } from "./documents.ts";
import { type Stored, translated, type Wire } from "./wire.ts";

/** How long the server keeps a read waiting for something to tell. */
const AWAIT_MS = 50;

interface Source {
  readonly collection: string;
  /** Which changes. */
  readonly match: Document;
  /** What is told of an `_id`. */
  readonly idOf: (_id: string) => string;
  /** The `_id` does not say whose it is. */
  readonly isAsked?: true;
}

const MADE_OR_COUNTED = ["insert", "update", "replace"];

/** An `_id` begins with its tenant and a slash; "0" is the character behind that. */
function within(
  collection: string,
  tenant: Tenant,
  operations: readonly string[] = [...MADE_OR_COUNTED, "delete"],
  ofId = (id: string) => id,
): Source {
  const key = tenantKey(tenant);
  return {
    collection,
    match: { operationType: { $in: operations }, "documentKey._id": { $gt: `${key}/`, $lt: `${key}0` } },
    idOf: (_id) => ofId(idOf(_id, key)),
  };
}

/** Those of every tenant come, and each is looked for among this one's. One that is gone belongs to nobody. */
function asked(collection: string, match: Document = {}): Source {
  const operationType = { $in: MADE_OR_COUNTED };
  return { collection, match: { operationType, ...match }, idOf: (_id) => _id, isAsked: true };
}

function named(collection: string, ...ids: readonly string[]): Source {
  return { collection, match: { "documentKey._id": { $in: ids } }, idOf: (_id) => _id };
}

function sourcesOf(tenant: Tenant, kind: ChangeKind): readonly Source[] {
  switch (kind) {
    case "subscriptions":
      return [within(COLLECTIONS.subscriptions, tenant)];
    case "health":
      return [within(COLLECTIONS.endpoints, tenant)];
    case "statistics":
      // Behind the span and its time.
      return [within(COLLECTIONS.deliveryStats, tenant, MADE_OR_COUNTED, (id) => id.slice(id.lastIndexOf("/") + 1))];
    case "replays":
      return [within(COLLECTIONS.replays, tenant)];
    case "deadLetters":
      return [asked(COLLECTIONS.deadLetters)];
    case "bins":
      return [within(COLLECTIONS.bins, tenant)];
    case "keys":
      return [
        asked(COLLECTIONS.keys, { "updateDescription.updatedFields.lastUsedAt": { $exists: false } }),
        asked(COLLECTIONS.keyCertificates),
      ];
    case "portalSessions":
      return [within(COLLECTIONS.portalSessions, tenant)];
    case "auditRecords":
      return [within(COLLECTIONS.auditRecords, tenant, MADE_OR_COUNTED)];
    case "limits":
      return [named(COLLECTIONS.organisations, tenant.organisation)];
    case "switches":
      return [named(COLLECTIONS.stops, "", `/${tenant.organisation}`)];
  }
}

export function kindFeed(wire: Wire): KindFeed {
  return {
    async watchKind(tenant, kind) {
      const readers: SourceReader[] = [];
      const close = async () => {
        await Promise.all(readers.map((reader) => reader.close()));
      };
      try {
        for (const source of sourcesOf(tenant, kind)) readers.push(await SourceReader.open(wire, tenant, source));
      } catch (error) {
        await close().catch(() => {});
        throw error;
      }
      return {
        async read() {
          const told = await Promise.all(readers.map((reader) => reader.read()));
          return { ids: new Set(told.flatMap(({ ids }) => [...ids])), more: told.some(({ more }) => more) };
        },
        close,
      };
    },
  };
}

class SourceReader implements KindReader {
  readonly #wire: Wire;
  readonly #tenant: string;
  readonly #source: Source;
  readonly #stream: ChangeStream<Document>;
  /** Told while it was opened. */
  readonly #early: string[] = [];

  private constructor(wire: Wire, tenant: Tenant, source: Source) {
    this.#wire = wire;
    this.#tenant = tenantKey(tenant);
    this.#source = source;
    const pipeline = [{ $match: source.match }, { $project: { documentKey: 1 } }];
    this.#stream = wire.collection(source.collection).watch(pipeline, { maxAwaitTimeMS: AWAIT_MS });
  }

  static async open(wire: Wire, tenant: Tenant, source: Source): Promise<SourceReader> {
    const reader = new SourceReader(wire, tenant, source);
    try {
      // A change stream begins with its first read.
      const first = await reader.#nextId();
      if (first !== undefined) reader.#early.push(first);
      return reader;
    } catch (error) {
      // Or each try during a fail-over would leave a cursor behind.
      await reader.close().catch(() => {});
      throw error;
    }
  }

  /** What is left beyond the limit comes with the next read. */
  async read() {
    const ids = new Set(this.#early.splice(0));
    while (ids.size < CHANGED_IDS) {
      const id = await this.#nextId();
      if (id === undefined) break;
      ids.add(id);
    }
    const own = this.#source.isAsked === true ? await this.#own(ids) : ids;
    return { ids: new Set([...own].map((_id) => this.#source.idOf(_id))), more: false };
  }

  async close(): Promise<void> {
    await this.#stream.close();
  }

  async #own(ids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    if (ids.size === 0) return ids;
    const filter = { _id: { $in: [...ids] }, tenant: this.#tenant };
    const found = await this.#wire.find<Stored>(this.#source.collection, filter, { projection: { _id: 1 } });
    return new Set(found.map(({ _id }) => _id));
  }

  async #nextId(): Promise<string | undefined> {
    const change = (await translated(() => this.#stream.tryNext())) as Document | null;
    return change === null ? undefined : String(change.documentKey._id);
  }
}
