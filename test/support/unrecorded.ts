/**
 * What the receiver had and the store did not, at any moment of a run: in flight, or unflushed. The receiver's account
 * and the store's rows are followed side by side, the rows read by plain queries and not by passbus's own code, so that
 * a test does not believe the code that it judges. A change of the stored form that matters fails here.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Collection, Db } from "mongodb";
import type { Sink } from "./sink.ts";
import type { Receipt } from "./sink-wire.ts";

/** The numbers of `status` in the collection `deliveries`, which are stored and so never change. */
const STATUSES = ["waiting", "attempting", "held", "failed", "cancelled", "delivered"] as const;
type StoredStatus = (typeof STATUSES)[number];
const ATTEMPTING = STATUSES.indexOf("attempting");
const DELIVERED = STATUSES.indexOf("delivered");
/** Of the bootstrap key, under which everything of these suites is stored. */
const TENANT = "default/production";

interface Row {
  readonly _id: string;
  readonly lane: string;
  readonly status: number;
  readonly fence: number;
  readonly runAttempts: number;
  readonly attemptCount: number;
}

const LOOK_EVERY_MS = 100;
/** A request that was begun at a moment may reach the receiver's record this much later, where two cores do it all. */
const UNDER_WAY_MS = 1_000;

/** What came of a subscription's deliveries, by the store. */
export interface StoredAccount {
  readonly counts: Readonly<Partial<Record<StoredStatus, number>>>;
  /** Attempts by webhook id. */
  readonly attempts: ReadonlyMap<string, number>;
}

export class UnrecordedWatch implements AsyncDisposable {
  /** Every request at the paths that are watched. */
  readonly receipts: Receipt[] = [];
  readonly #sink: Sink;
  readonly #database: Db;
  readonly #paths: ReadonlySet<string>;
  readonly #firstAtMs = new Map<string, number>();
  /** When its row was seen as delivered: at most one look later than it was durable. */
  readonly #recordedAtMs = new Map<string, number>();
  readonly #open = new Set<string>();
  readonly #stop = new AbortController();
  #read = 0;
  #looking: Promise<void> = Promise.resolve();
  readonly #following: Promise<void>;

  constructor(sink: Sink, database: Db, paths: readonly string[]) {
    this.#sink = sink;
    this.#database = database;
    this.#paths = new Set(paths);
    this.#following = this.#follow();
  }

  /** Reads both accounts as they are now. While the store is away it waits for it. */
  look(): Promise<void> {
    const looked = this.#looking.then(() => this.#look());
    this.#looking = looked.catch(() => {});
    return looked;
  }

  /** Webhooks that had come by then and whose rows weren't delivered yet, as far as the looks can tell: rather more. */
  at(atMs: number): ReadonlySet<string> {
    const unrecorded = [...this.#firstAtMs].filter(
      ([id, firstAtMs]) => firstAtMs <= atMs + UNDER_WAY_MS && (this.#recordedAtMs.get(id) ?? atMs) >= atMs,
    );
    return new Set(unrecorded.map(([id]) => id));
  }

  /** When its first request came, and when it was seen as recorded: for a message about it. */
  times(webhookId: string): { readonly firstAtMs: number | undefined; readonly recordedAtMs: number | undefined } {
    return { firstAtMs: this.#firstAtMs.get(webhookId), recordedAtMs: this.#recordedAtMs.get(webhookId) };
  }

  async stored(subscriptionId: string): Promise<StoredAccount> {
    const rows = await this.#rows()
      .find({ lane: `${TENANT}/${subscriptionId}` }, { projection: { status: 1, attemptCount: 1 } })
      .toArray();
    const counts: Partial<Record<StoredStatus, number>> = {};
    for (const { status } of rows) {
      const name = STATUSES[status];
      if (name === undefined) throw new Error(`the store has a delivery in status ${String(status)}`);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return { counts, attempts: new Map(rows.map((row) => [webhookIdOf(row._id), Number(row.attemptCount)])) };
  }

  /** Deliveries of a subscription that are being attempted under a lease: their fences, by webhook id. */
  async leased(subscriptionId: string): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#rows()
      .find({ lane: `${TENANT}/${subscriptionId}`, status: ATTEMPTING }, { projection: { fence: 1 } })
      .toArray();
    return new Map(rows.map((row) => [webhookIdOf(row._id), Number(row.fence)]));
  }

  /** How many of these have attempts that were appended and changed nothing. */
  refusedOutcomes(webhookIds: readonly string[]): Promise<number> {
    const _id = { $in: webhookIds.map((id) => `${TENANT}/${id}`) };
    return this.#rows().countDocuments({ _id, $expr: { $gt: ["$attemptCount", "$runAttempts"] } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  #rows(): Collection<Row> {
    return this.#database.collection<Row>("deliveries");
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // A look that failed, as where the store has just died, is made up for by the next.
      await this.look().catch(() => {});
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const receipts = await this.#sink.receipts(this.#read);
    this.#read += receipts.length;
    for (const receipt of receipts) {
      if (!this.#paths.has(receipt.path)) continue;
      this.receipts.push(receipt);
      const { webhookId, atMs } = receipt;
      if (this.#firstAtMs.has(webhookId)) continue;
      this.#firstAtMs.set(webhookId, atMs);
      this.#open.add(webhookId);
    }
    if (this.#open.size === 0) return;
    const ids = [...this.#open].map((id) => `${TENANT}/${id}`);
    const recorded = await this.#rows()
      .find({ _id: { $in: ids }, status: DELIVERED }, { projection: { _id: 1 } })
      .toArray();
    const nowMs = Date.now();
    for (const { _id } of recorded) {
      const id = webhookIdOf(_id);
      this.#open.delete(id);
      this.#recordedAtMs.set(id, nowMs);
    }
  }
}

function webhookIdOf(rowId: string): string {
  return rowId.slice(TENANT.length + 1);
}
