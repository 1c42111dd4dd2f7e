/**
 * The commands that this adapter sends, and nothing of the domain. Bulk writes go as raw commands: `insertMany` measures
 * each document before it writes it (11.6 against 5.0 µs of our CPU a delivery, in batches of 500). The driver does not
 * repeat a raw command; whoever flushes does (protocol, rule 4).
 */
import type { ChangeStream, ChangeStreamOptions, Collection, Db, Document, Filter, FindOptions } from "mongodb";
import { batchesOf } from "../../kernel/batch.ts";
import { CodedError } from "../../kernel/errors.ts";
import { storeError } from "./errors.ts";

export const WRITE_CONCERN = { w: "majority", j: true } as const;

/** MongoDB's code for a key that a unique index has already. `keyPattern` and `keyValue` are not in every server's answer. */
export const DUPLICATE_KEY = 11_000;

/** Bytes of documents in one command; the server takes 48 MB of message. */
const COMMAND_BYTES = 16 * 1024 * 1024;

/**
 * At this millisecond or before it, where an index goes on behind the field. `$lte` says the same, but servers of the wire
 * protocol are known that leave out what equals such a range's end (the one from PyPI that the tests take).
 */
export const upTo = (ms: number) => ({ $lt: ms + 1 });

/** Anything stored here: the `_id` is ours, never an ObjectId. */
export interface Stored {
  readonly _id: string;
}

/** One statement of an update command. */
export interface UpdateStatement {
  readonly q: Document;
  readonly u: Document;
  readonly multi?: boolean;
  readonly upsert?: boolean;
}

interface WriteError {
  readonly index: number;
  readonly code: number;
  readonly errmsg: string;
}

interface WriteAnswer {
  readonly n?: number;
  readonly writeErrors?: readonly WriteError[];
}

export class Wire {
  readonly #database: Db;

  constructor(database: Db) {
    this.#database = database;
  }

  collection<T extends Stored>(name: string): Collection<T> {
    return this.#database.collection<T>(name);
  }

  /** Changes of every collection, in one stream. */
  watch(pipeline: Document[], options: ChangeStreamOptions): ChangeStream<Document> {
    return this.#database.watch(pipeline, options);
  }

  /** Inserts those that can be; the places of those whose key is taken. */
  async insert<T extends Stored>(
    collection: string,
    documents: readonly T[],
    bytesOf: (document: T) => number,
  ): Promise<readonly number[]> {
    const taken: number[] = [];
    for (const { from, to } of chunks(documents, bytesOf)) {
      const whole = from === 0 && to === documents.length;
      const part = whole ? documents : documents.slice(from, to);
      const answer = await this.#write({ insert: collection, documents: part, ordered: false });
      for (const error of answer.writeErrors ?? []) {
        if (error.code !== DUPLICATE_KEY) throw refused(error);
        taken.push(from + error.index);
      }
    }
    return taken;
  }

  /**
   * As `insert`, but one after the other: where it fails midway, those are there that come first. Those whose key is
   * taken are asked for, since a flush that comes again may meet all of them.
   */
  async insertInOrder<T extends Stored>(
    collection: string,
    documents: readonly T[],
    bytesOf: (document: T) => number,
  ): Promise<readonly number[]> {
    const taken: number[] = [];
    let left = documents.map((document, place) => ({ document, place }));
    while (left.length > 0) {
      const [span] = chunks(left, ({ document }) => bytesOf(document));
      const part = left.slice(0, span?.to);
      const answer = await this.#write({
        insert: collection,
        documents: part.map(({ document }) => document),
        ordered: true,
      });
      const [error] = answer.writeErrors ?? [];
      if (error === undefined) {
        left = left.slice(part.length);
        continue;
      }
      if (error.code !== DUPLICATE_KEY) throw refused(error);
      left = left.slice(error.index);
      const there = await this.#existing(
        collection,
        left.map(({ document }) => document._id),
      );
      // Another key than the id, or one that expired just now: then the flush that comes again finds it free.
      if (left[0] === undefined || !there.has(left[0].document._id)) throw refused(error);
      for (const { document, place } of left) if (there.has(document._id)) taken.push(place);
      left = left.filter(({ document }) => !there.has(document._id));
    }
    return taken;
  }

  async #existing(collection: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    const found = await this.find<Stored>(collection, { _id: { $in: ids } }, { projection: { _id: 1 } });
    return new Set(found.map(({ _id }) => _id));
  }

  /** How many documents the statements matched, over all. Each statement is atomic for itself. */
  async update<T extends UpdateStatement>(
    collection: string,
    updates: readonly T[],
    bytesOf: (statement: T) => number = () => 0,
  ): Promise<number> {
    let matched = 0;
    for (const { from, to } of chunks(updates, bytesOf)) {
      const part = updates.slice(from, to);
      const answer = await this.#write({ update: collection, updates: part, ordered: false });
      const [error] = answer.writeErrors ?? [];
      if (error !== undefined) throw refused(error);
      matched += answer.n ?? 0;
    }
    return matched;
  }

  /** How many documents are gone. */
  async remove(collection: string, q: Document): Promise<number> {
    const answer = await this.#write({ delete: collection, deletes: [{ q, limit: 0 }] });
    const [error] = answer.writeErrors ?? [];
    if (error !== undefined) throw refused(error);
    return answer.n ?? 0;
  }

  find<T extends Stored>(collection: string, filter: Filter<T>, options: FindOptions = {}): Promise<T[]> {
    return translated(async () => {
      const cursor = this.collection<T>(collection).find(filter, options);
      return (await cursor.toArray()) as T[];
    });
  }

  /** Reads until `take` has had enough (false); whether there was more to read then. */
  async read<T extends Stored>(
    collection: string,
    filter: Filter<T>,
    options: FindOptions,
    take: (document: T) => boolean,
  ): Promise<boolean> {
    return translated(async () => {
      const cursor = this.collection<T>(collection).find(filter, options);
      try {
        for await (const document of cursor) if (!take(document as T)) return true;
        return false;
      } finally {
        await cursor.close();
      }
    });
  }

  findOne<T extends Stored>(collection: string, filter: Filter<T>): Promise<T | undefined> {
    return translated(async () => ((await this.collection<T>(collection).findOne(filter)) as T | null) ?? undefined);
  }

  /** The different values of a field, among the documents that match. */
  distinct(collection: string, field: string, filter: Filter<Stored>): Promise<readonly string[]> {
    return translated(async () => (await this.collection(collection).distinct(field, filter)).map(String));
  }

  #write(command: Document): Promise<WriteAnswer> {
    return translated(() => this.#database.command({ ...command, writeConcern: WRITE_CONCERN }));
  }
}

/** What the driver throws, as the coded error that the rooms know. */
export async function translated<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw storeError(error);
  }
}

function refused(error: WriteError): CodedError {
  return new CodedError("store.unavailable", `MongoDB refused a write (code ${error.code}): ${error.errmsg}`);
}

/** Spans of the list that are small enough for one command. */
function* chunks<T>(items: readonly T[], bytesOf: (item: T) => number): Generator<{ from: number; to: number }> {
  let from = 0;
  for (const { length } of batchesOf(items, { maxItems: items.length, maxBytes: COMMAND_BYTES, bytesOf })) {
    yield { from, to: from + length };
    from += length;
  }
}
