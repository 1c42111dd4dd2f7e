/**
 * What fits a replay's filter, the oldest first. The order is by time, sequence and id, and the indexes of lists have no
 * sequence: so whole milliseconds are read along them, and sorted here.
 */
import type { Filter, FindOptions } from "mongodb";
import type { ReplayCursor, ReplayFilter } from "../../delivery/replay.ts";
import type { ReplayCandidate, ReplayCandidates, ReplayStore } from "../../delivery/replay-store.ts";
import { kindOf } from "../../domain/event.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import {
  COLLECTIONS,
  DELIVERED,
  type DeliveryDocument,
  type EventDocument,
  idIn,
  idOf,
  STATUSES,
} from "./documents.ts";
import { span } from "./pages.ts";
import type { Stored, Wire } from "./wire.ts";

/** Rows looked at in one call. */
const LOOK_ROWS = 5_000;

/** A row that was looked at, and whether it fits. */
interface Looked {
  readonly candidate: ReplayCandidate;
  readonly fits: boolean;
}

interface Look<Row extends Stored> {
  readonly collection: string;
  readonly timeField: "createdAt" | "loggedAt";
  readonly filter: Filter<Row>;
  readonly options: FindOptions;
  readonly read: (row: Row) => Looked;
}

export function candidateList(wire: Wire): ReplayStore["candidates"] {
  return (tenant, { kind, filter }, after, limit) =>
    kind === "deliveries"
      ? walk(wire, deliveryLook(tenant, filter), filter, after, limit)
      : walk(wire, eventLook(tenant, filter), filter, after, limit);
}

async function walk<Row extends Stored>(
  wire: Wire,
  look: Look<Row>,
  filter: ReplayFilter,
  after: ReplayCursor | undefined,
  limit: number,
): Promise<ReplayCandidates> {
  // Where some don't fit, more are looked at than are wanted.
  const rows = Math.min(LOOK_ROWS, 2 * limit + 100);
  const inMoment = (timeMs: number) => find(wire, look, timeMs, timeMs + 1, undefined);
  const rest = after === undefined ? [] : await inMoment(after.timeMs);
  const looked = after === undefined ? [] : sorted(rest).filter(({ candidate }) => isBehind(candidate.place, after));
  const fromMs = after === undefined ? filter.fromMs : after.timeMs + 1;
  const found = await find(wire, look, fromMs, filter.toMs, rows + 1);
  looked.push(...sorted(await wholeMoments(found, rows, inMoment)));
  return cut(looked, found.length > rows, limit);
}

/** Less the last millisecond, of which some may be missing; where there is no other, all of it. */
async function wholeMoments(
  found: readonly Looked[],
  rows: number,
  inMoment: (timeMs: number) => Promise<readonly Looked[]>,
): Promise<readonly Looked[]> {
  const lastMs = found.at(-1)?.candidate.place.timeMs;
  if (found.length <= rows || lastMs === undefined) return found;
  const before = found.filter(({ candidate }) => candidate.place.timeMs < lastMs);
  return before.length > 0 ? before : inMoment(lastMs);
}

function cut(looked: readonly Looked[], isMore: boolean, limit: number): ReplayCandidates {
  const items: ReplayCandidate[] = [];
  let last: ReplayCursor | undefined;
  for (const { candidate, fits } of looked) {
    if (items.length === limit && last !== undefined) return { items, next: last };
    if (fits) items.push(candidate);
    last = candidate.place;
  }
  return isMore && last !== undefined ? { items, next: last } : { items };
}

async function find<Row extends Stored>(
  wire: Wire,
  { collection, timeField, filter, options, read }: Look<Row>,
  fromMs: number | undefined,
  toMs: number,
  limit: number | undefined,
): Promise<readonly Looked[]> {
  const bounded = limit === undefined ? {} : { sort: { [timeField]: 1, _id: 1 } as const, limit, batchSize: limit };
  const rows = await wire.find<Row>(
    collection,
    { ...filter, ...span(timeField, fromMs, toMs) },
    { ...options, ...bounded },
  );
  return rows.map(read);
}

function sorted(looked: readonly Looked[]): Looked[] {
  return looked.toSorted((left, right) => compare(left.candidate.place, right.candidate.place));
}

function compare(left: ReplayCursor, right: ReplayCursor): number {
  const byText = left.id < right.id ? -1 : Number(left.id > right.id);
  return left.timeMs - right.timeMs || left.sequence - right.sequence || byText;
}

const isBehind = (place: ReplayCursor, after: ReplayCursor): boolean => compare(place, after) > 0;

function deliveryLook(tenant: Tenant, filter: ReplayFilter): Look<DeliveryDocument> {
  const { passId, subscriptionId, status, eventTypes } = filter;
  const lane = subscriptionId === undefined ? undefined : idIn(tenant, subscriptionId);
  const number = status === undefined ? undefined : STATUSES.indexOf(status);
  const types = new Set<number>(eventTypes);
  return {
    collection: COLLECTIONS.deliveries,
    timeField: "createdAt",
    filter: { tenant: tenantKey(tenant), ...indexed(passId, lane, number) },
    options: {
      projection: { tenant: 1, lane: 1, event: 1, type: 1, pass: 1, status: 1, sequence: 1, replay: 1, createdAt: 1 },
    },
    read: (row) => ({
      candidate: deliveryCandidate(row),
      fits:
        (types.size === 0 || types.has(row.type)) &&
        (lane === undefined || row.lane === lane) &&
        (number === undefined || row.status === number),
    }),
  };
}

/** What an index answers: the rest is asked of each row, so that a call looks at no more rows than it may. */
function indexed(
  passId: string | undefined,
  lane: string | undefined,
  status: number | undefined,
): Filter<DeliveryDocument> {
  if (passId !== undefined) return { pass: passId };
  const unsent = status !== undefined && status < DELIVERED ? { status } : {};
  return lane === undefined ? unsent : { lane, ...unsent };
}

function deliveryCandidate(row: DeliveryDocument): ReplayCandidate {
  const { tenant, sequence = -1, replay } = row;
  const id = idOf(row._id, tenant);
  return {
    place: { timeMs: row.createdAt, sequence, id },
    eventId: row.event,
    kind: kindOf(row.type),
    passId: row.pass,
    delivery: {
      id,
      subscriptionId: idOf(row.lane, tenant),
      status: STATUSES[row.status] ?? "failed",
      ...(replay === undefined ? {} : { replayId: replay }),
    },
  };
}

function eventLook(tenant: Tenant, { passId, eventTypes }: ReplayFilter): Look<EventDocument> {
  const types = new Set<number>(eventTypes);
  return {
    collection: COLLECTIONS.events,
    timeField: "loggedAt",
    filter: { tenant: tenantKey(tenant), ...(passId === undefined ? {} : { pass: passId }) },
    options: { projection: { tenant: 1, type: 1, pass: 1, loggedAt: 1 } },
    read(row) {
      const id = idOf(row._id, row.tenant);
      const place = { timeMs: row.loggedAt, sequence: -1, id };
      const candidate = { place, eventId: id, kind: kindOf(row.type), passId: row.pass };
      return { candidate, fits: types.size === 0 || types.has(row.type) };
    },
  };
}
