/** Request bins, and what arrived in them. */
import type { Filter } from "mongodb";
import { type Bin, type BinStore, type KeptAtMost, type KeptRequest, keptOf } from "../../inspector/bin-store.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, idIn, tenantOf } from "./documents.ts";
import { page } from "./pages.ts";
import { type Stored, translated, type Wire } from "./wire.ts";

/** `_id` is the tenant's key and the bin. */
interface BinDocument extends Stored {
  readonly tenant: string;
  readonly organisation: string;
  readonly bin: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly statusCode: number;
  readonly description: string;
}

/** `_id` is the tenant's key, the bin and the request. */
interface RequestDocument extends Stored {
  readonly tenant: string;
  readonly bin: string;
  readonly request: string;
  readonly receivedAt: number;
  readonly expiresAt: number;
  readonly characters: number;
  readonly sealed: string;
}

/** Arrivals of one look. */
const LOOKED_AT = 1_000;

export function binStore(wire: Wire): BinStore {
  return {
    insertBin: (bin, limit, nowMs) => insertBin(wire, bin, limit, nowMs),
    async findBin(id) {
      const found = await wire.findOne<BinDocument>(COLLECTIONS.bins, { bin: id });
      return found === undefined ? undefined : binOf(found);
    },
    listBins: (tenant, nowMs, request) =>
      page<BinDocument, Bin>(wire, COLLECTIONS.bins, {
        filter: { tenant: tenantKey(tenant), expiresAt: { $gt: nowMs } },
        timeField: "createdAt",
        request,
        read: binOf,
        bytesOf: () => 0,
        timeOf: ({ createdAtMs }) => createdAtMs,
        keyOf: (id) => idIn(tenant, id),
      }),
    async removeBin(tenant, id) {
      const removed = await wire.remove(COLLECTIONS.bins, { _id: idIn(tenant, id) });
      await wire.remove(COLLECTIONS.binRequests, { tenant: tenantKey(tenant), bin: id });
      return removed === 1;
    },
    putRequest: (bin, request, keep) => putRequest(wire, bin, request, keep),
    listRequests: (tenant, id, request) =>
      page<RequestDocument, KeptRequest>(wire, COLLECTIONS.binRequests, {
        filter: { tenant: tenantKey(tenant), bin: id },
        timeField: "receivedAt",
        request,
        read: requestOf,
        bytesOf: ({ characters }) => characters,
        timeOf: ({ receivedAtMs }) => receivedAtMs,
        keyOf: (request) => requestId(tenant, id, request),
      }),
    async arrivals(tenant, id, fromMs) {
      const filter = { tenant: tenantKey(tenant), bin: id, receivedAt: { $gte: fromMs } };
      const options = { sort: { receivedAt: 1, _id: 1 }, limit: LOOKED_AT, projection: { request: 1 } } as const;
      const found = await wire.find<RequestDocument>(COLLECTIONS.binRequests, filter, options);
      return found.map(({ request }) => request);
    },
    async readRequests(tenant, id, ids) {
      const filter = { _id: { $in: ids.map((each) => requestId(tenant, id, each)) } };
      const options = { sort: { receivedAt: 1, _id: 1 } } as const;
      return (await wire.find<RequestDocument>(COLLECTIONS.binRequests, filter, options)).map(requestOf);
    },
  };
}

/** Counted again with the new one among them: of two that come at once, none or one goes. */
async function insertBin(wire: Wire, bin: Bin, limit: number, nowMs: number): Promise<"inserted" | "limitReached"> {
  const { tenant, id, createdAtMs, expiresAtMs, statusCode, description } = bin;
  const _id = idIn(tenant, id);
  const { organisation } = tenant;
  const times = { createdAt: createdAtMs, expiresAt: expiresAtMs };
  const document = { _id, tenant: tenantKey(tenant), organisation, bin: id, ...times, statusCode, description };
  await wire.insert<BinDocument>(COLLECTIONS.bins, [document], () => 0);
  const live = { organisation, expiresAt: { $gt: nowMs } };
  const bins = wire.collection<BinDocument>(COLLECTIONS.bins);
  const count = await translated(() => bins.countDocuments(live, { limit: limit + 1 }));
  if (count <= limit) return "inserted";
  await wire.remove(COLLECTIONS.bins, { _id });
  return "limitReached";
}

async function putRequest(
  wire: Wire,
  { tenant, id, expiresAtMs }: Bin,
  request: KeptRequest,
  keep: KeptAtMost,
): Promise<void> {
  const key = { tenant: tenantKey(tenant), bin: id };
  // Gone meanwhile: nobody could read it.
  if ((await wire.findOne<BinDocument>(COLLECTIONS.bins, { _id: idIn(tenant, id) })) === undefined) return;
  const { sealed, receivedAtMs } = request;
  const times = { receivedAt: receivedAtMs, expiresAt: expiresAtMs };
  const document = {
    _id: requestId(tenant, id, request.id),
    ...key,
    request: request.id,
    ...times,
    characters: sealed.length,
    sealed,
  };
  await wire.insert<RequestDocument>(COLLECTIONS.binRequests, [document], () => sealed.length);
  const rows = await wire.find<RequestDocument>(COLLECTIONS.binRequests, key as Filter<RequestDocument>, {
    sort: { receivedAt: -1, _id: -1 },
    projection: { characters: 1 },
    batchSize: keep.requests + 2,
  });
  const kept = keptOf(
    rows.map(({ characters }) => characters),
    keep,
  );
  if (kept === rows.length) return;
  await wire.remove(COLLECTIONS.binRequests, { _id: { $in: rows.slice(kept).map(({ _id }) => _id) } });
}

function requestId(tenant: Tenant, bin: string, request: string): string {
  return idIn(tenant, `${bin}/${request}`);
}

function binOf({ tenant, bin, createdAt, expiresAt, statusCode, description }: BinDocument): Bin {
  return {
    tenant: tenantOf(tenant),
    id: bin,
    createdAtMs: createdAt,
    expiresAtMs: expiresAt,
    statusCode,
    description,
  };
}

function requestOf({ request, receivedAt, sealed }: RequestDocument): KeptRequest {
  return { id: request, receivedAtMs: receivedAt, sealed };
}
