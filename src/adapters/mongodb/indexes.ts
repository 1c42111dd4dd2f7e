/**
 * Every index, by name, and the look at whether they are there. Made by `passbus init` alone: on a large collection an
 * index takes minutes and much memory, which is for people to begin.
 *
 * A delivery that is sent at the first attempt is in those that list (time, lane, event, pass) and in the one that its
 * retention goes by (expiry.ts); the partial ones hold only what is open or went wrong.
 */
import type { Db, Document, IndexDescriptionInfo } from "mongodb";
import type { Preparation, PreparationStep } from "../../kernel/preparation.ts";
import { COLLECTIONS, DELIVERED, FIRST_TERMINAL } from "./documents.ts";
import { translated } from "./wire.ts";

export interface IndexRow {
  readonly name: string;
  readonly collection: string;
  readonly key: Readonly<Record<string, 1 | -1>>;
  readonly unique?: true;
  readonly partialFilterExpression?: Document;
}

const { events, deliveries, subscriptions, endpoints, deadLetters, replays, replaySlots } = COLLECTIONS;
const { keys, keyCertificates, portalSessions, auditRecords } = COLLECTIONS;
const { bins, binRequests, deliveryStats } = COLLECTIONS;

/** Waiting or attempting: only those have a time. */
const hasWork = { workAt: { $gt: 0 } };
const notDelivered = { status: { $lt: DELIVERED } };

export const INDEXES: readonly IndexRow[] = [
  { name: "events_time", collection: events, key: { tenant: 1, loggedAt: 1, _id: 1, type: 1 } },
  { name: "events_pass", collection: events, key: { tenant: 1, pass: 1, loggedAt: 1, _id: 1 } },
  {
    name: "events_pinned",
    collection: events,
    key: { pinned: 1 },
    partialFilterExpression: { pinned: { $gt: 0 } },
  },
  { name: "events_retained", collection: events, key: { tenant: 1, retainedFrom: 1, _id: 1 } },

  { name: "deliveries_time", collection: deliveries, key: { tenant: 1, createdAt: 1, _id: 1, type: 1 } },
  { name: "deliveries_lane", collection: deliveries, key: { lane: 1, createdAt: 1, _id: 1, type: 1 } },
  { name: "deliveries_event", collection: deliveries, key: { tenant: 1, event: 1 } },
  { name: "deliveries_pass", collection: deliveries, key: { tenant: 1, pass: 1, createdAt: 1, _id: 1 } },
  { name: "deliveries_due", collection: deliveries, key: { workAt: 1 }, partialFilterExpression: hasWork },
  {
    name: "deliveries_work",
    collection: deliveries,
    key: { lane: 1, class: 1, workAt: 1 },
    partialFilterExpression: hasWork,
  },
  {
    name: "deliveries_unsent",
    collection: deliveries,
    key: { status: 1, lane: 1, createdAt: 1, _id: 1 },
    partialFilterExpression: notDelivered,
  },
  {
    name: "deliveries_status",
    collection: deliveries,
    key: { status: 1, tenant: 1, createdAt: 1, _id: 1 },
    partialFilterExpression: notDelivered,
  },
  {
    name: "deliveries_chain",
    collection: deliveries,
    key: { lane: 1, pass: 1, sequence: 1, status: 1 },
    partialFilterExpression: { sequence: { $gte: 0 }, status: { $lt: FIRST_TERMINAL } },
  },
  {
    name: "deliveries_replay",
    collection: deliveries,
    key: { replay: 1, status: 1, runAttempts: 1 },
    partialFilterExpression: { replay: { $gt: "" } },
  },
  {
    name: "deliveries_replayed",
    collection: deliveries,
    key: { lane: 1, pass: 1, status: 1 },
    partialFilterExpression: { replay: { $gt: "" } },
  },
  { name: "deliveries_finished", collection: deliveries, key: { tenant: 1, finishedAt: 1, _id: 1 } },

  { name: "subscriptions_url", collection: subscriptions, key: { tenant: 1, entity: 1, urlKey: 1 }, unique: true },
  { name: "subscriptions_time", collection: subscriptions, key: { tenant: 1, createdAt: 1, _id: 1 } },

  { name: "replays_time", collection: replays, key: { tenant: 1, createdAt: 1, _id: 1 } },
  { name: "replays_state", collection: replays, key: { state: 1, createdAt: 1 } },
  { name: "replay_slots_tenant", collection: replaySlots, key: { tenant: 1 } },
  { name: "replays_finished", collection: replays, key: { tenant: 1, finishedAt: 1, _id: 1 } },

  // A worker looks twice a second; of the closed ones, which are most, it knows nothing.
  {
    name: "endpoints_opened",
    collection: endpoints,
    key: { openedAt: -1 },
    partialFilterExpression: { breaker: { $gt: 0 } },
  },

  { name: "keys_time", collection: keys, key: { tenant: 1, createdAt: 1, _id: 1 } },
  { name: "key_certificates_key", collection: keyCertificates, key: { tenant: 1, key: 1 } },
  { name: "portal_sessions_time", collection: portalSessions, key: { tenant: 1, createdAt: 1, _id: 1 } },
  { name: "portal_sessions_end", collection: portalSessions, key: { tenant: 1, expiresAt: 1, _id: 1 } },
  { name: "portal_sessions_id", collection: portalSessions, key: { session: 1 } },
  { name: "audit_records_time", collection: auditRecords, key: { tenant: 1, time: 1, _id: 1 } },

  { name: "bins_id", collection: bins, key: { bin: 1 } },
  { name: "bins_time", collection: bins, key: { tenant: 1, createdAt: 1, _id: 1 } },
  { name: "bins_live", collection: bins, key: { organisation: 1, expiresAt: 1 } },
  { name: "bins_end", collection: bins, key: { tenant: 1, expiresAt: 1, _id: 1 } },
  {
    name: "bin_requests_time",
    collection: binRequests,
    key: { tenant: 1, bin: 1, receivedAt: 1, _id: 1, characters: 1 },
  },
  { name: "bin_requests_end", collection: binRequests, key: { tenant: 1, expiresAt: 1, _id: 1 } },
  { name: "delivery_stats_span", collection: deliveryStats, key: { tenant: 1, subscription: 1, span: 1, at: 1 } },
  { name: "delivery_stats_end", collection: deliveryStats, key: { tenant: 1, expiresAt: 1, _id: 1 } },

  { name: "dead_letters_time", collection: deadLetters, key: { tenant: 1, appendedAt: 1, _id: 1, reason: 1 } },
];

/** Of earlier versions. The first two would remove what is to be kept for longer. */
export const OBSOLETE: readonly Pick<IndexRow, "name" | "collection">[] = [
  { name: "events_expiry", collection: events },
  { name: "deliveries_expiry", collection: deliveries },
  { name: "deliveries_replay_pass", collection: deliveries },
  { name: "endpoints_open", collection: endpoints },
];

/** What `passbus init` makes in the database, and `serve` looks for. */
export function indexPreparation(database: Db): Preparation {
  return {
    survey: () =>
      translated(async () => {
        const found = await existing(database);
        const steps = INDEXES.map((row) => stepOf(database, row, found.get(`${row.collection}.${row.name}`)));
        const left = OBSOLETE.filter((row) => found.has(`${row.collection}.${row.name}`));
        return [...steps, ...left.map((row) => removalOf(database, row))];
      }),
  };
}

/** By collection and name. A collection that isn't there has none. */
async function existing(database: Db): Promise<ReadonlyMap<string, IndexDescriptionInfo>> {
  const found = new Map<string, IndexDescriptionInfo>();
  const there = new Set((await database.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
  for (const collection of new Set(INDEXES.map((row) => row.collection))) {
    if (!there.has(collection)) continue;
    for (const index of await database.collection(collection).indexes())
      found.set(`${collection}.${index.name}`, index);
  }
  return found;
}

function removalOf(database: Db, { name, collection }: Pick<IndexRow, "name" | "collection">): PreparationStep {
  return {
    what: `index ${name} of ${database.databaseName}.${collection}`,
    state: "wrong",
    detail: "it is of an earlier passbus, which used it otherwise; init drops it",
    make: () => translated(async () => void (await database.collection(collection).dropIndex(name))),
  };
}

function stepOf(database: Db, row: IndexRow, found: IndexDescriptionInfo | undefined): PreparationStep {
  const what = `index ${row.name} of ${database.databaseName}.${row.collection}`;
  const make = () => translated(() => makeIndex(database, row));
  if (found === undefined) return { what, state: "missing", make };
  if (!hasSameShape(row, found)) {
    const drop = `db.getSiblingDB("${database.databaseName}").${row.collection}.dropIndex("${row.name}")`;
    return {
      what,
      state: "wrong",
      detail: `an index of this name has other keys or conditions; drop it with ${drop}, then run init again`,
    };
  }
  return { what, state: "present" };
}

/** The same index made twice, also at once, is one. */
async function makeIndex(database: Db, row: IndexRow): Promise<void> {
  const { name, collection, key, unique, partialFilterExpression } = row;
  await database.collection(collection).createIndexes([
    {
      name,
      key: { ...key },
      ...(unique && { unique }),
      ...(partialFilterExpression && { partialFilterExpression }),
    },
  ]);
}

/** The order of the keys is part of an index. */
function hasSameShape(row: IndexRow, found: IndexDescriptionInfo): boolean {
  return (
    JSON.stringify(Object.entries(found.key)) === JSON.stringify(Object.entries(row.key)) &&
    (found.unique ?? false) === (row.unique ?? false) &&
    JSON.stringify(found.partialFilterExpression ?? null) === JSON.stringify(row.partialFilterExpression ?? null) &&
    found.expireAfterSeconds === undefined
  );
}
