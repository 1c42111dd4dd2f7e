/**
 * What is past its time, in short steps; and whose turn it is to take them. Not by indexes that expire: those know one
 * time for a whole collection, and the server's clock alone (docs/decisions/retention.md).
 *
 * Every removal names again what made it due, so that what was made due to be sent meanwhile stays.
 */
import type { Filter } from "mongodb";
import type { PurgeRequest, PurgeStep, RetentionStore, TurnRequest } from "../../delivery/retention.ts";
import type { Attempt } from "../../domain/delivery.ts";
import type { OrganisationRetention } from "../../domain/retention.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { sameState } from "./deliveries.ts";
import { attemptDocument, COLLECTIONS, type DeliveryDocument, HELD, idIn, STATUSES, tenantOf } from "./documents.ts";
import { withAttempts } from "./merge.ts";
import type { OrganisationDocument } from "./organisations.ts";
import type { Stored, UpdateStatement, Wire } from "./wire.ts";

/** Every collection whose documents go with age. */
const RETAINED = [
  COLLECTIONS.deliveries,
  COLLECTIONS.events,
  COLLECTIONS.deadLetters,
  COLLECTIONS.replays,
  COLLECTIONS.portalSessions,
  COLLECTIONS.auditRecords,
  COLLECTIONS.bins,
  COLLECTIONS.binRequests,
  COLLECTIONS.deliveryStats,
] as const;

interface TurnDocument extends Stored {
  readonly holder: string;
  readonly heldUntil: number;
  readonly state?: string;
}

const TURN = "retention";

type Dated = Stored & Readonly<Record<string, unknown>>;

export function retentionStore(wire: Wire, nextToken: () => string): RetentionStore {
  return {
    tenants: () => retainedTenants(wire),
    purge: (request) => purge(wire, request),
    expireHeld: (tenant, ids, nowMs) => expireHeld(wire, { tenant, ids, nowMs, token: nextToken() }),
    takeTurn: (request) => takeTurn(wire, request),
    async keepState(holder, state) {
      await wire.update(COLLECTIONS.upkeep, [{ q: { _id: TURN, holder }, u: { $set: { state } } }]);
    },
  };
}

async function retainedTenants(wire: Wire) {
  const [organisations, ...keys] = await Promise.all([
    wire.find<OrganisationDocument>(COLLECTIONS.organisations, {}),
    ...RETAINED.map((collection) => wire.distinct(collection, "tenant", { tenant: { $gt: "" } } as Filter<Stored>)),
  ]);
  const given = new Map(organisations.map(({ _id, limits }) => [_id, limits]));
  return [...new Set(keys.flat())].sort().map((key) => {
    const tenant = tenantOf(key);
    return { tenant, ...retentionOf(given.get(tenant.organisation) ?? {}) };
  });
}

function retentionOf({ eventRetentionMs, deliveryRetentionMs, payloadRetentionMs }: OrganisationRetention) {
  return {
    ...(eventRetentionMs === undefined ? {} : { eventRetentionMs }),
    ...(deliveryRetentionMs === undefined ? {} : { deliveryRetentionMs }),
    ...(payloadRetentionMs === undefined ? {} : { payloadRetentionMs }),
  };
}

/** What one kind is gone over by. */
interface Walk {
  readonly collection: string;
  /** When a document's time began: a number of milliseconds, or a date. */
  readonly time: string;
  readonly isDate: boolean;
  readonly only?: Readonly<Record<string, unknown>>;
  /** Instead of their removal. Those that have the field `unless` already are looked at, and stay as they are. */
  readonly change?: { readonly set: Readonly<Record<string, unknown>>; readonly unless: string };
}

function walkOf({ kind, beforeMs, nowMs }: PurgeRequest): Walk {
  switch (kind) {
    case "deliveries":
      return { collection: COLLECTIONS.deliveries, time: "finishedAt", isDate: true };
    // Pinned ones have no such time (events.ts).
    case "events":
      return { collection: COLLECTIONS.events, time: "retainedFrom", isDate: true };
    case "payloads":
      return {
        collection: COLLECTIONS.events,
        time: "retainedFrom",
        isDate: true,
        change: { set: { value: new Uint8Array(), payloadDroppedAt: nowMs }, unless: "payloadDroppedAt" },
      };
    case "portalSessions":
      return { collection: COLLECTIONS.portalSessions, time: "expiresAt", isDate: false };
    case "auditRecords":
      return { collection: COLLECTIONS.auditRecords, time: "time", isDate: false };
    case "binRequests":
      return { collection: COLLECTIONS.binRequests, time: "expiresAt", isDate: false };
    case "bins":
      return { collection: COLLECTIONS.bins, time: "expiresAt", isDate: false };
    case "deliveryStats":
      return { collection: COLLECTIONS.deliveryStats, time: "expiresAt", isDate: false };
    // A record's own time may be long past when it comes.
    case "deadLetters":
      return {
        collection: COLLECTIONS.deadLetters,
        time: "appendedAt",
        isDate: false,
        only: { keptFrom: { $not: { $gt: beforeMs } } },
      };
    case "replays":
      return { collection: COLLECTIONS.replays, time: "finishedAt", isDate: true };
  }
}

async function purge(wire: Wire, request: PurgeRequest): Promise<PurgeStep> {
  const { collection, time, isDate, only, change } = walkOf(request);
  const { tenant, beforeMs, after, limit } = request;
  const moment = (ms: number) => (isDate ? new Date(ms) : ms);
  const from = after === undefined ? {} : { $gte: moment(after.timeMs) };
  // As `upTo` has it (wire.ts), and of dates.
  const due = { tenant: tenantKey(tenant), [time]: { $lt: moment(beforeMs + 1), ...from }, ...only };
  const behind =
    after === undefined
      ? {}
      : { $or: [{ [time]: { $gt: moment(after.timeMs) } }, { _id: { $gt: idIn(tenant, after.id) } }] };
  const found = await wire.find<Dated>(collection, { ...due, ...behind } as Filter<Dated>, {
    sort: { [time]: 1, _id: 1 },
    limit,
    batchSize: limit,
    projection: { [time]: 1, ...(change !== undefined && { [change.unless]: 1 }) },
  });
  const last = found.at(-1);
  if (last === undefined) return { purged: 0, more: false };
  const purged = await (change === undefined
    ? wire.remove(collection, { _id: { $in: found.map(({ _id }) => _id) }, ...due })
    : changed(wire, collection, { found, due, change }));
  const at = { timeMs: Number(last[time]), id: last._id.slice(tenantKey(tenant).length + 1) };
  return { purged, at, more: found.length === limit };
}

interface Changing {
  readonly found: readonly Dated[];
  readonly due: Readonly<Record<string, unknown>>;
  readonly change: NonNullable<Walk["change"]>;
}

async function changed(wire: Wire, collection: string, { found, due, change }: Changing): Promise<number> {
  const { set, unless } = change;
  const ids = found.filter((row) => row[unless] === undefined).map(({ _id }) => _id);
  if (ids.length === 0) return 0;
  const q = { _id: { $in: ids }, ...due, [unless]: { $exists: false } };
  return wire.update(collection, [{ q, u: { $set: set }, multi: true }]);
}

interface Expiring {
  readonly tenant: Tenant;
  readonly ids: readonly string[];
  readonly nowMs: number;
  readonly token: string;
}

/** Whoever moves one of them meanwhile has it. */
async function expireHeld(wire: Wire, { tenant, ids, nowMs, token }: Expiring): Promise<number> {
  const held = await wire.find<DeliveryDocument>(COLLECTIONS.deliveries, {
    _id: { $in: ids.map((id) => idIn(tenant, id)) },
    status: HELD,
  });
  const statements = held.map((row): UpdateStatement => {
    const entry: Attempt = {
      id: `att_hold_expired_${row.fence}`,
      startedAtMs: nowMs,
      durationMs: 0,
      errorCode: "hold.expired",
      errorMessage: "the delivery was held for longer than it may be",
    };
    const status = STATUSES.indexOf("failed");
    const ended = { status, fence: row.fence + 1, finishedAt: new Date(nowMs), token };
    return { q: sameState(row), u: { ...withAttempts(row, [attemptDocument(entry)]), ...ended } };
  });
  return statements.length === 0 ? 0 : wire.update(COLLECTIONS.deliveries, statements);
}

async function takeTurn(wire: Wire, { holder, nowMs, leaseMs }: TurnRequest) {
  const heldUntil = nowMs + leaseMs;
  const [taken] = await wire.insert<TurnDocument>(COLLECTIONS.upkeep, [{ _id: TURN, holder, heldUntil }], () => 0);
  if (taken === undefined) return { state: null };
  // A lease that ends later than any may was taken by a clock that was wrong.
  const free = [{ holder }, { heldUntil: { $lte: nowMs } }, { heldUntil: { $gt: nowMs + leaseMs } }];
  const q = { _id: TURN, $or: free };
  const matched = await wire.update(COLLECTIONS.upkeep, [{ q, u: { $set: { holder, heldUntil } } }]);
  if (matched === 0) return undefined;
  const turn = await wire.findOne<TurnDocument>(COLLECTIONS.upkeep, { _id: TURN });
  return { state: turn?.state ?? null };
}
