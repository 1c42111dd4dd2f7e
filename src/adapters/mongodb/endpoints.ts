/**
 * How endpoints are doing, a document each, written where it is still the one that was read; and what is left of their
 * rates, a document each, moved on in the same way.
 */
import { randomUUID } from "node:crypto";
import type { EndpointStore, RateStore } from "../../delivery/endpoint-store.ts";
import { type RateGrant, type RateRequest, reserve } from "../../delivery/rate.ts";
import type { EndpointKey, EndpointRecord } from "../../domain/endpoint.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, idIn, idOf, tenantOf } from "./documents.ts";
import { type Stored, translated, type Wire, WRITE_CONCERN } from "./wire.ts";

/** By the state's number: the index of those that are not closed asks for more than 0. */
const BREAKERS = ["closed", "open", "halfOpen"] as const satisfies readonly EndpointRecord["breaker"][];

/** `_id` is the tenant's key and the subscription. */
interface EndpointDocument extends Stored {
  readonly tenant: string;
  readonly version: number;
  readonly breaker: number;
  /** Open ones are read in its order. */
  readonly openedAt?: number;
  /** The record without its key. */
  readonly json: string;
  /** The write that made it so. */
  readonly token: string;
}

interface RateDocument extends Stored {
  readonly arrivalAt: number;
}

/** A reservation that meets others' is made again on what they left; after so many it is refused, and asked for again. */
const RESERVE_TRIES = 8;
/** Reservations under way at once. */
const AT_ONCE = 16;

const endpointId = ({ tenant, subscriptionId }: EndpointKey): string => idIn(tenant, subscriptionId);

function documentOf(record: EndpointRecord, token: string): EndpointDocument {
  const { tenant, subscriptionId: _, ...rest } = record;
  const breaker = BREAKERS.indexOf(record.breaker);
  return {
    _id: endpointId(record),
    tenant: tenantKey(tenant),
    version: record.version,
    breaker,
    ...(record.openedAtMs === undefined ? {} : { openedAt: record.openedAtMs }),
    json: JSON.stringify(rest),
    token,
  };
}

function recordOf({ _id, tenant, json }: EndpointDocument): EndpointRecord {
  return { tenant: tenantOf(tenant), subscriptionId: idOf(_id, tenant), ...JSON.parse(json) };
}

export class MongoEndpoints implements EndpointStore, RateStore {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  readonly read = async (keys: readonly EndpointKey[]): Promise<readonly (EndpointRecord | undefined)[]> => {
    const ids = keys.map(endpointId);
    const found = await this.#wire.find<EndpointDocument>(COLLECTIONS.endpoints, { _id: { $in: ids } });
    const records = new Map(found.map((document) => [document._id, recordOf(document)]));
    return ids.map((id) => records.get(id));
  };

  readonly open = async (limit: number): Promise<readonly EndpointRecord[]> => {
    const found = await this.#wire.find<EndpointDocument>(
      COLLECTIONS.endpoints,
      { breaker: { $gt: 0 } },
      { sort: { openedAt: -1 }, limit, batchSize: limit },
    );
    return found.map(recordOf);
  };

  readonly write = async (records: readonly EndpointRecord[]): Promise<readonly boolean[]> => {
    if (records.length === 0) return [];
    const token = randomUUID();
    const documents = records.map((record) => documentOf(record, token));
    const firsts = await this.#ofSubscriptions(documents.filter(({ version }) => version === 1));
    const updates = documents
      .filter(({ version }) => version > 1)
      .map(({ _id, tenant: _, ...changed }) => ({
        q: { _id, version: changed.version - 1 },
        u: { $set: changed },
      }));
    if (firsts.length > 0) await this.#wire.insert(COLLECTIONS.endpoints, firsts, ({ json }) => json.length);
    if (updates.length > 0) await this.#wire.update(COLLECTIONS.endpoints, updates, ({ u }) => u.$set.json.length);
    const ours = await this.#wire.find<EndpointDocument>(
      COLLECTIONS.endpoints,
      { _id: { $in: documents.map(({ _id }) => _id) }, token },
      { projection: { _id: 1 }, batchSize: documents.length + 1 },
    );
    const written = new Set(ours.map(({ _id }) => _id));
    return documents.map(({ _id }) => written.has(_id));
  };

  readonly remove = async (keys: readonly EndpointKey[]): Promise<void> => {
    await this.#delete(COLLECTIONS.endpoints, keys.map(endpointId));
  };

  readonly reserve = async (requests: readonly RateRequest[]): Promise<readonly RateGrant[]> => {
    const grants: RateGrant[] = [];
    for (let from = 0; from < requests.length; from += AT_ONCE) {
      const part = requests.slice(from, from + AT_ONCE);
      grants.push(...(await Promise.all(part.map((request) => this.#reserve(request)))));
    }
    return grants;
  };

  /** Their subscription is deleted. */
  async forget(id: string): Promise<void> {
    await this.#delete(COLLECTIONS.endpoints, [id]);
    await this.#delete(COLLECTIONS.rates, [id]);
  }

  async #reserve(request: RateRequest): Promise<RateGrant> {
    const _id = endpointId(request);
    for (let tries = 0; tries < RESERVE_TRIES; tries++) {
      const found = await this.#wire.findOne<RateDocument>(COLLECTIONS.rates, { _id });
      const { arrivalMs, grant } = reserve(found?.arrivalAt, request);
      if (grant.granted === 0 || (await this.#moveOn(_id, found?.arrivalAt, arrivalMs))) return grant;
    }
    return reserve(undefined, { ...request, count: 0 }).grant;
  }

  /** False where somebody else did, since it was read. */
  #moveOn(_id: string, fromMs: number | undefined, toMs: number): Promise<boolean> {
    const rates = this.#wire.collection<RateDocument>(COLLECTIONS.rates);
    return translated(async () => {
      if (fromMs === undefined) {
        const taken = await this.#wire.insert<RateDocument>(COLLECTIONS.rates, [{ _id, arrivalAt: toMs }], () => 0);
        return taken.length === 0;
      }
      const options = { writeConcern: WRITE_CONCERN };
      const moved = await rates.updateOne({ _id, arrivalAt: fromMs }, { $set: { arrivalAt: toMs } }, options);
      return moved.matchedCount > 0;
    });
  }

  /** Those whose subscription is there. */
  async #ofSubscriptions(documents: readonly EndpointDocument[]): Promise<readonly EndpointDocument[]> {
    if (documents.length === 0) return [];
    const ids = documents.map(({ _id }) => _id);
    const options = { projection: { _id: 1 }, batchSize: ids.length + 1 };
    const found = await this.#wire.find<Stored>(COLLECTIONS.subscriptions, { _id: { $in: ids } }, options);
    const there = new Set(found.map(({ _id }) => _id));
    return documents.filter(({ _id }) => there.has(_id));
  }

  #delete(collection: string, ids: readonly string[]): Promise<unknown> {
    const documents = this.#wire.collection(collection);
    return translated(() => documents.deleteMany({ _id: { $in: [...ids] } }, { writeConcern: WRITE_CONCERN }));
  }
}
