/**
 * ChangeFeed over change streams: they tell every process what every other one writes, in the order in which a majority
 * has it, and the driver takes them up again after a lost connection. They bring ids alone; documents are read when
 * they are asked for, so that several changes of one are one.
 */
import { BSON, type ChangeStream, type Document, type Filter } from "mongodb";
import type { ChangeFeed, ChangeReader } from "../../delivery/change-feed.ts";
import type { Delivery } from "../../domain/delivery.ts";
import type { StoredEvent } from "../../domain/event.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, type DeliveryDocument, deliveryOf, type EventDocument, eventOf } from "./documents.ts";
import { type Stored, translated, type Wire } from "./wire.ts";

/** How long the server keeps a read waiting for something to tell. */
const AWAIT_MS = 100;
/** One read brings no more documents once it has so many bytes of them; what is left comes with the next. */
const READ_BYTES = 8 * 1024 * 1024;
/** So many are read first, of which nobody knows how large they are. */
const READ_FIRST = 16;

export function changeFeed(wire: Wire): ChangeFeed {
  return {
    watchEvents: (tenant) =>
      DocumentReader.open<EventDocument, StoredEvent>(wire, COLLECTIONS.events, tenant, ["insert"], eventOf),
    watchDeliveries: (tenant) =>
      DocumentReader.open<DeliveryDocument, Delivery>(
        wire,
        COLLECTIONS.deliveries,
        tenant,
        ["insert", "update", "replace"],
        deliveryOf,
      ),
  };
}

class DocumentReader<D extends Stored, T> implements ChangeReader<T> {
  readonly #wire: Wire;
  readonly #collection: string;
  readonly #stream: ChangeStream<D>;
  readonly #of: (document: D) => T;
  /** Told while it was opened, or in a read that brought enough without them. */
  readonly #early: string[] = [];

  private constructor(wire: Wire, collection: string, stream: ChangeStream<D>, of: (document: D) => T) {
    this.#wire = wire;
    this.#collection = collection;
    this.#stream = stream;
    this.#of = of;
  }

  static async open<D extends Stored, T>(
    wire: Wire,
    collection: string,
    tenant: Tenant,
    operations: readonly string[],
    of: (document: D) => T,
  ): Promise<DocumentReader<D, T>> {
    // An `_id` begins with its tenant and a slash; "0" is the character behind that.
    const key = tenantKey(tenant);
    const pipeline = [
      { $match: { operationType: { $in: operations }, "documentKey._id": { $gt: `${key}/`, $lt: `${key}0` } } },
      { $project: { documentKey: 1 } },
    ];
    const stream = wire.collection<D>(collection).watch<D>(pipeline, { maxAwaitTimeMS: AWAIT_MS });
    const reader = new DocumentReader<D, T>(wire, collection, stream, of);
    try {
      // A change stream begins with its first read.
      const first = await reader.#nextId();
      if (first !== undefined) reader.#early.push(first);
      return reader;
    } catch (error) {
      // Or each try during a fail-over would leave a cursor behind.
      await stream.close().catch(() => {});
      throw error;
    }
  }

  async read(limit: number) {
    const ids = new Set(this.#early.splice(0));
    let more = true;
    while (more && ids.size < limit) {
      const id = await this.#nextId();
      if (id === undefined) more = false;
      else ids.add(id);
    }
    if (ids.size === 0) return { items: [], more: false, skipped: 0 };
    const wanted = [...ids];
    const items: T[] = [];
    let bytes = 0;
    let from = 0;
    for (let together = READ_FIRST; from < wanted.length && bytes < READ_BYTES; ) {
      const documents = await this.#documents(wanted.slice(from, from + together));
      from += together;
      for (const document of documents) bytes += BSON.calculateObjectSize(document);
      items.push(...documents.map(this.#of));
      // As many as fit if they are as large as those so far.
      together = Math.max(1, Math.floor(((READ_BYTES - bytes) * from) / Math.max(1, bytes)));
    }
    const left = wanted.slice(from);
    this.#early.push(...left);
    return { items, more: more || left.length > 0, skipped: 0 };
  }

  /** Those that are still there, in the order of their ids. */
  async #documents(ids: readonly string[]): Promise<readonly D[]> {
    const documents = await this.#wire.find<D>(this.#collection, { _id: { $in: ids } } as Filter<D>);
    const found = new Map(documents.map((document) => [document._id, document]));
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  async close(): Promise<void> {
    await this.#stream.close();
  }

  async #nextId(): Promise<string | undefined> {
    const change = (await translated(() => this.#stream.tryNext())) as Document | null;
    return change === null ? undefined : String(change.documentKey._id);
  }
}
