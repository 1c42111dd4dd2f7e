/**
 * Chains: the open deliveries of one pass at one subscription, by sequence, along the partial index `deliveries_chain`.
 * The heads of many chains are read by one query sorted by pass and sequence: the first row of each pass in the answer
 * is its head. A chain that fills the answer is through with its first row, and the next query goes on behind it.
 */
import type { Filter } from "mongodb";
import type {
  Chain,
  ChainQuery,
  ChainRow,
  ChainStore,
  Fold,
  FoldRequest,
  RowAsRead,
} from "../../delivery/chains-store.ts";
import type { ClaimedDelivery } from "../../delivery/delivery-store.ts";
import { kindOf } from "../../domain/event.ts";
import type { DeliveryWriter } from "./deliveries.ts";
import {
  ATTEMPTING,
  COLLECTIONS,
  type DeliveryDocument,
  deliveryOf,
  FIRST_TERMINAL,
  HELD,
  idIn,
  idOf,
  STATUSES,
  WAITING,
} from "./documents.ts";
import type { EventTable } from "./events.ts";
import type { UpdateStatement, Wire } from "./wire.ts";

/** Of one look at the heads of many chains. */
const LOOK_ROWS = 1_000;
/** Chains in one look: what stands in an `$in`. */
const LOOK_CHAINS = 500;
/** Questions that are asked at once. */
const AT_ONCE = 16;

type Open = Pick<
  DeliveryDocument,
  "_id" | "tenant" | "type" | "pass" | "status" | "fence" | "createdAt" | "protocolEvent"
> & {
  readonly sequence: number;
};

const FIELDS = {
  tenant: 1,
  type: 1,
  pass: 1,
  status: 1,
  sequence: 1,
  fence: 1,
  createdAt: 1,
  protocolEvent: 1,
} as const;

/** Of run 1: a replay is no part of its chain. */
const IS_OPEN = { status: { $lt: FIRST_TERMINAL }, run: 1 } as const;

export class Chains implements ChainStore {
  readonly #wire: Wire;
  readonly #events: EventTable;
  readonly #writer: DeliveryWriter;

  constructor(wire: Wire, events: EventTable, writer: DeliveryWriter) {
    this.#wire = wire;
    this.#events = events;
    this.#writer = writer;
  }

  readonly openInChains: ChainStore["openInChains"] = async (chains, limit) => {
    if (limit === 1 && chains.every(({ fromSequence }) => fromSequence === undefined)) {
      const heads = await this.#heads(chains);
      return chains.map((chain) => {
        const head = heads.get(nameOf(chain));
        return head === undefined ? [] : [chainRow(head)];
      });
    }
    const answers: (readonly ChainRow[])[] = [];
    for (let from = 0; from < chains.length; from += AT_ONCE) {
      const some = chains.slice(from, from + AT_ONCE).map((chain) => this.#open(chain, limit));
      answers.push(...(await Promise.all(some)));
    }
    return answers;
  };

  async #open({ tenant, subscriptionId, passId, fromSequence = 0 }: ChainQuery, limit: number) {
    const lane = idIn(tenant, subscriptionId);
    const found = await this.#find({ lane, pass: passId, sequence: { $gte: fromSequence }, ...IS_OPEN }, limit);
    return found.map(chainRow);
  }

  #find(filter: Filter<DeliveryDocument>, limit: number): Promise<readonly Open[]> {
    const sort = { pass: 1, sequence: 1 } as const;
    return this.#wire.find<DeliveryDocument>(COLLECTIONS.deliveries, filter, {
      sort,
      limit,
      batchSize: limit,
      projection: FIELDS,
    }) as Promise<readonly Open[]>;
  }

  /** By the name of the chain. */
  async #heads(chains: readonly Chain[]): Promise<ReadonlyMap<string, Open>> {
    const heads = new Map<string, Open>();
    const byLane = Map.groupBy(chains, ({ tenant, subscriptionId }) => idIn(tenant, subscriptionId));
    for (const [lane, those] of byLane) {
      const passes = [...new Set(those.map(({ passId }) => passId))];
      for (let from = 0; from < passes.length; from += LOOK_CHAINS) {
        const found = await this.#headsOf(lane, passes.slice(from, from + LOOK_CHAINS));
        for (const head of found) heads.set(`${lane}/${head.pass}`, head);
      }
    }
    return heads;
  }

  async #headsOf(lane: string, passes: readonly string[]): Promise<readonly Open[]> {
    const heads: Open[] = [];
    let after: string | undefined;
    for (;;) {
      const pass = after === undefined ? { $in: passes } : { $in: passes, $gt: after };
      const found = await this.#find({ lane, pass, sequence: { $gte: 0 }, ...IS_OPEN }, LOOK_ROWS);
      heads.push(...firstOfEach(found));
      if (found.length < LOOK_ROWS) return heads;
      after = found.at(-1)?.pass;
    }
  }

  readonly promote: ChainStore["promote"] = async (chains, nowMs) =>
    this.#promote([...(await this.#heads(chains)).values()], nowMs);

  readonly promoteNext: ChainStore["promoteNext"] = async (request) => {
    const { tenant, subscriptionId, afterPassId, limit, nowMs } = request;
    const lane = idIn(tenant, subscriptionId);
    const pass = { $gt: afterPassId };
    const found = await this.#find({ lane, pass, sequence: { $gte: 0 }, ...IS_OPEN }, limit);
    const promoted = await this.#promote(firstOfEach(found), nowMs);
    const last = found.length < limit ? undefined : found.at(-1);
    return last === undefined ? { promoted } : { promoted, lastPassId: last.pass };
  };

  /** One goes by its age, and never later than now, whatever the clock of who made it said. */
  async #promote(heads: readonly Open[], nowMs: number): Promise<number> {
    const held = heads.filter(({ status }) => status === HELD);
    if (held.length === 0) return 0;
    const statements = held.map(
      ({ _id, fence, createdAt }): UpdateStatement => ({
        q: { _id, fence, status: HELD },
        u: { $set: { status: WAITING, workAt: Math.min(createdAt, nowMs) }, $inc: { fence: 1 } },
      }),
    );
    return this.#wire.update(COLLECTIONS.deliveries, statements);
  }

  readonly fold: ChainStore["fold"] = async (request) => {
    const cancels = request.folds.flatMap((fold) => cancelling(fold, request.nowMs));
    if (cancels.length > 0) await this.#wire.update(COLLECTIONS.deliveries, cancels);
    return this.#claim(request);
  };

  async #claim({ folds, nowMs, leaseMs }: FoldRequest): Promise<readonly ClaimedDelivery[]> {
    const wanted = folds.filter(({ claim }) => claim);
    if (wanted.length === 0) return [];
    const token = this.#writer.nextToken();
    const $set = { status: ATTEMPTING, workAt: nowMs + leaseMs, token };
    const statements = wanted.map(
      ({ tenant, into }): UpdateStatement => ({
        q: { ...asRead(idIn(tenant, into.id), into), status: { $in: [WAITING, HELD] } },
        u: { $set, $inc: { fence: 1 } },
      }),
    );
    await this.#wire.update(COLLECTIONS.deliveries, statements);
    const ids = wanted.map(({ tenant, into }) => idIn(tenant, into.id));
    const taken = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { _id: { $in: ids }, token },
      { projection: { attempts: 0 }, batchSize: ids.length + 1 },
    );
    const { events } = await this.#events.forClaim([...new Set(taken.map(eventKeyOf))]);
    return taken.flatMap((document) => {
      const event = events.get(eventKeyOf(document));
      // What an answer has no room for is due again when its lease ends.
      return event === undefined ? [] : [{ delivery: deliveryOf({ ...document, attempts: [] }), event }];
    });
  }
}

const nameOf = ({ tenant, subscriptionId, passId }: Chain): string => `${idIn(tenant, subscriptionId)}/${passId}`;

const eventKeyOf = ({ tenant, event }: DeliveryDocument): string => `${tenant}/${event}`;

function firstOfEach(rows: readonly Open[]): readonly Open[] {
  return rows.filter((row, at) => rows[at - 1]?.pass !== row.pass);
}

const asRead = (_id: string, { fence }: RowAsRead) => ({ _id, fence, run: 1 });

function cancelling({ tenant, folded, into }: Fold, nowMs: number): readonly UpdateStatement[] {
  const $set = { status: STATUSES.indexOf("cancelled"), finishedAt: new Date(nowMs), foldedInto: into.id };
  return folded.map((row) => ({
    q: { ...asRead(idIn(tenant, row.id), row), status: { $lt: FIRST_TERMINAL } },
    u: { $set, $inc: { fence: 1 }, $unset: { workAt: 1 } },
  }));
}

function chainRow({ _id, tenant, type, status, sequence, fence, protocolEvent }: Open): ChainRow {
  const name = STATUSES[status];
  const open = name === "waiting" || name === "attempting" ? name : "held";
  const row = { id: idOf(_id, tenant), eventType: kindOf(type).type, status: open, sequence, fence } as const;
  return protocolEvent === undefined ? row : { ...row, protocolEvent };
}
