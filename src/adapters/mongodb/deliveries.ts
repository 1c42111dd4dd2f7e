/**
 * Writing deliveries in bulk. A delivery that a batch names once takes the quick way: all first writes in one unordered
 * insert, all outcomes in one update of statements that match on {fence, run, attempting}. Where every one of them did
 * what it should, which the two answers tell by their counts, that is all. The rest is settled: read, merged by merge.ts
 * and written back where the row is still the one that was read.
 */
import type { Document } from "mongodb";
import type { DeliveryWrite } from "../../delivery/delivery-store.ts";
import { CodedError } from "../../kernel/errors.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { ATTEMPTING, COLLECTIONS, DELIVERED, type DeliveryDocument } from "./documents.ts";
import { merge, type PreparedWrite, prepare } from "./merge.ts";
import { Tokens } from "./tokens.ts";
import type { UpdateStatement, Wire } from "./wire.ts";

/** Rows that are read and merged at a time: each may hold 21 attempts of some ten KiB. */
const SETTLE_ROWS = 100;

/** How often rows may change under our hands before we give up. One of the contenders wins each time. */
const SETTLE_ROUNDS = 100;

/** The place of a write in its batch, so that its answer comes back there. */
interface Placed<T extends PreparedWrite = PreparedWrite> {
  readonly place: number;
  readonly write: T;
}

type First = PreparedWrite & { readonly kind: "first" };
type Outcome = PreparedWrite & { readonly kind: "outcome" };

export class DeliveryWriter {
  readonly #wire: Wire;
  readonly #tokens: Tokens;
  /** A flush that is repeated brings the same objects: so a write without an attempt has a name too. */
  readonly #names = new WeakMap<DeliveryWrite, string>();

  constructor(wire: Wire, tokens: Tokens = new Tokens()) {
    this.#wire = wire;
    this.#tokens = tokens;
  }

  /** A name that no other write or claim has. */
  nextToken(): string {
    return this.#tokens.next();
  }

  /** Whether each was applied, in the order given. */
  async write(writes: readonly DeliveryWrite[]): Promise<readonly boolean[]> {
    const applied = writes.map(() => true);
    const firsts: Placed<First>[] = [];
    const outcomes: Placed<Outcome>[] = [];
    const unsettled: Placed[] = [];
    for (const placed of this.#prepared(writes)) {
      if (placed.length > 1) unsettled.push(...placed);
      else for (const { place, write } of placed) sort(place, write, firsts, outcomes);
    }
    const inOrder = firsts.filter(({ write }) => keepsOrder(write));
    const anyhow = inOrder.length === 0 ? firsts : firsts.filter(({ write }) => !keepsOrder(write));
    const met = await Promise.all([this.#insert(anyhow), this.#insertInOrder(inOrder), this.#update(outcomes)]);
    unsettled.push(...met.flat());
    await this.#settle(unsettled, applied);
    return applied;
  }

  /** By delivery, each in the order of the batch. */
  #prepared(writes: readonly DeliveryWrite[]): Iterable<readonly Placed[]> {
    const byId = new Map<string, Placed[]>();
    writes.forEach((one, place) => {
      const write = prepare(one, (unnamed) => this.#nameOf(unnamed));
      const known = byId.get(write._id);
      if (known === undefined) byId.set(write._id, [{ place, write }]);
      else known.push({ place, write });
    });
    return byId.values();
  }

  #nameOf(write: DeliveryWrite): string {
    const known = this.#names.get(write);
    if (known !== undefined) return known;
    const name = this.nextToken();
    this.#names.set(write, name);
    return name;
  }

  /** Those that met a row. */
  async #insert(firsts: readonly Placed<First>[]): Promise<readonly Placed[]> {
    if (firsts.length === 0) return [];
    const documents = firsts.map(({ write }) => write.document);
    const taken = await this.#wire.insert(COLLECTIONS.deliveries, documents, documentBytes);
    return taken.flatMap((place) => firsts[place] ?? []);
  }

  /** Those that met a row, of writes of which none may be there before an earlier one of its pass. */
  async #insertInOrder(firsts: readonly Placed<First>[]): Promise<readonly Placed[]> {
    if (firsts.length === 0) return [];
    const documents = firsts.map(({ write }) => write.document);
    const taken = await this.#wire.insertInOrder(COLLECTIONS.deliveries, documents, documentBytes);
    return taken.flatMap((place) => firsts[place] ?? []);
  }

  /** None where each matched its row, which the count tells; else all of them, for the count doesn't tell which. */
  async #update(outcomes: readonly Placed<Outcome>[]): Promise<readonly Placed[]> {
    if (outcomes.length === 0) return [];
    const statements = outcomes.map(({ write }) => outcomeStatement(write));
    const matched = await this.#wire.update(COLLECTIONS.deliveries, statements, pushedBytes);
    return matched === outcomes.length ? [] : outcomes;
  }

  async #settle(unsettled: readonly Placed[], applied: boolean[]): Promise<void> {
    const byId = Map.groupBy(unsettled, ({ write }) => write._id);
    const ids = [...byId.keys()];
    for (let from = 0; from < ids.length; from += SETTLE_ROWS) {
      const some = new Map(ids.slice(from, from + SETTLE_ROWS).map((id) => [id, byId.get(id) ?? []]));
      await this.#settleSome(some, applied);
    }
  }

  /**
   * A round that found some rows changed begins again with all of them: what it did write is known by its token and
   * merges into itself. Only where a batch has two writes that change one row's state, and the first round failed for
   * another row, is the earlier of the two told as refused.
   */
  async #settleSome(byId: ReadonlyMap<string, readonly Placed[]>, applied: boolean[]): Promise<void> {
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      const rows = await this.#wire.find<DeliveryDocument>(COLLECTIONS.deliveries, { _id: { $in: [...byId.keys()] } });
      const rowById = new Map(rows.map((row) => [row._id, row]));
      const inserts: DeliveryDocument[] = [];
      const updates: UpdateStatement[] = [];
      for (const [id, placed] of byId) {
        const known = rowById.get(id);
        let row = known;
        for (const { place, write } of placed) {
          const merged = merge(row, write);
          row = merged.row;
          applied[place] = merged.applied;
        }
        if (row === known || row === undefined) continue;
        if (known === undefined) inserts.push(row);
        else updates.push({ q: sameState(known), u: row });
      }
      if (await this.#wroteAll(inserts, updates)) return;
    }
    throw new CodedError("store.unavailable", "deliveries of this batch kept changing while they were merged");
  }

  async #wroteAll(inserts: readonly DeliveryDocument[], updates: readonly UpdateStatement[]): Promise<boolean> {
    const taken = inserts.length === 0 ? [] : await this.#wire.insert(COLLECTIONS.deliveries, inserts, documentBytes);
    const matched = updates.length === 0 ? 0 : await this.#wire.update(COLLECTIONS.deliveries, updates, rowBytes);
    return taken.length === 0 && matched === updates.length;
  }
}

/** What was delivered holds nobody back, so it may come late. */
function keepsOrder({ document }: First): boolean {
  return document.sequence !== undefined && document.status !== DELIVERED;
}

function sort(place: number, write: PreparedWrite, firsts: Placed<First>[], outcomes: Placed<Outcome>[]): void {
  if (write.kind === "first") firsts.push({ place, write });
  else outcomes.push({ place, write });
}

/** A row that nobody has changed since it was read: every change touches one of these. */
export function sameState(row: DeliveryDocument): Document {
  const { _id, status, fence, run, attemptCount } = row;
  return { _id, status, fence, run, attemptCount, workAt: row.workAt ?? null };
}

/**
 * Leaves alone a row whose history is full: it is settled. The attempt can't be there already: whatever appended it
 * took the row out of this fence's attempting, or found it so.
 */
function outcomeStatement({ _id, fence, run, attempts, next, token }: Outcome): UpdateStatement {
  const [attempt] = attempts;
  const q = { _id, status: ATTEMPTING, fence, run };
  const $set = { ...next, token };
  const $unset = next.workAt === undefined ? { $unset: { workAt: 1 } } : {};
  if (attempt === undefined) return { q, u: { $set, ...$unset } };
  return {
    q: { ...q, [HISTORY_FULL]: { $exists: false } },
    u: { $set, ...$unset, $push: { attempts: attempt }, $inc: { runAttempts: 1, attemptCount: 1 } },
  };
}

const HISTORY_FULL = `attempts.${LIMITS.attemptsKept - 1}`;

const rowBytes = ({ u }: UpdateStatement): number => documentBytes(u as DeliveryDocument);

const pushedBytes = ({ u }: UpdateStatement): number => u.$push?.attempts.json.length ?? 0;

const documentBytes = ({ attempts }: DeliveryDocument): number =>
  attempts.reduce((bytes, { json }) => bytes + json.length, 0);
