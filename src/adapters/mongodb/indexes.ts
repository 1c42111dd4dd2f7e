/**
 * Every index, by name, and the look at whether they are there. Made by `passbus init` alone: on a large collection an
 * index takes minutes and much memory, which is for people to begin.
 *
 * A delivery that is sent at the first attempt is in those that list (time, lane, event, pass) and in the expiry; the
 * partial ones hold only what is open or went wrong.
 */
import type { Db, Document, IndexDescriptionInfo } from "mongodb";
import type { Preparation, PreparationStep } from "../../kernel/preparation.ts";
import { COLLECTIONS, DELIVERED, FIRST_TERMINAL } from "./documents.ts";
import { translated } from "./wire.ts";

/** How long things are kept when they are done. Milliseconds; the server counts in seconds, up to 68 years. */
export interface Retention {
  /** From an event's record, or the end of its last delivery. */
  readonly eventRetentionMs: number;
  /** From the end of a delivery. */
  readonly deliveryRetentionMs: number;
}

export interface IndexRow {
  readonly name: string;
  readonly collection: string;
  readonly key: Readonly<Record<string, 1 | -1>>;
  readonly unique?: true;
  readonly partialFilterExpression?: Document;
  /** An expiry: which retention it keeps. */
  readonly expiry?: keyof Retention;
}

const { events, deliveries, subscriptions, deadLetters } = COLLECTIONS;

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
  { name: "events_expiry", collection: events, key: { retainedFrom: 1 }, expiry: "eventRetentionMs" },

  { name: "deliveries_time", collection: deliveries, key: { tenant: 1, createdAt: 1, _id: 1 } },
  { name: "deliveries_lane", collection: deliveries, key: { lane: 1, createdAt: 1, _id: 1 } },
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
  { name: "deliveries_expiry", collection: deliveries, key: { finishedAt: 1 }, expiry: "deliveryRetentionMs" },

  { name: "subscriptions_url", collection: subscriptions, key: { tenant: 1, entity: 1, urlKey: 1 }, unique: true },
  { name: "subscriptions_time", collection: subscriptions, key: { tenant: 1, createdAt: 1, _id: 1 } },

  { name: "dead_letters_time", collection: deadLetters, key: { tenant: 1, appendedAt: 1, _id: 1, reason: 1 } },
];

/** What `passbus init` makes in the database, and `serve` looks for. */
export function indexPreparation(database: Db, retention: Retention): Preparation {
  return {
    survey: () =>
      translated(async () => {
        const found = await existing(database);
        return INDEXES.map((row) => stepOf(database, row, retention, found.get(`${row.collection}.${row.name}`)));
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

function stepOf(
  database: Db,
  row: IndexRow,
  retention: Retention,
  found: IndexDescriptionInfo | undefined,
): PreparationStep {
  const what = `index ${row.name} of ${database.databaseName}.${row.collection}${retentionText(row, retention)}`;
  const make = () => translated(() => makeIndex(database, row, retention));
  if (found === undefined) return { what, state: "missing", make };
  if (!hasSameShape(row, found)) {
    const drop = `db.getSiblingDB("${database.databaseName}").${row.collection}.dropIndex("${row.name}")`;
    return {
      what,
      state: "wrong",
      detail: `an index of this name has other keys or conditions; drop it with ${drop}, then run init again`,
    };
  }
  const seconds = expirySeconds(row, retention);
  if (seconds === found.expireAfterSeconds) return { what, state: "present" };
  return {
    what,
    state: "wrong",
    detail: `it keeps things ${found.expireAfterSeconds ?? "no"} s, and the settings say ${seconds} s; init changes it`,
    make: () => translated(() => changeExpiry(database, row, retention)),
  };
}

/** The same index made twice, also at once, is one. */
async function makeIndex(database: Db, row: IndexRow, retention: Retention): Promise<void> {
  const { name, collection, key, unique, partialFilterExpression } = row;
  const expireAfterSeconds = expirySeconds(row, retention);
  await database.collection(collection).createIndexes([
    {
      name,
      key: { ...key },
      ...(unique && { unique }),
      ...(partialFilterExpression && { partialFilterExpression }),
      ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }),
    },
  ]);
}

async function changeExpiry(database: Db, row: IndexRow, retention: Retention): Promise<void> {
  const index = { name: row.name, expireAfterSeconds: expirySeconds(row, retention) };
  await database.command({ collMod: row.collection, index });
}

function expirySeconds(row: IndexRow, retention: Retention): number | undefined {
  return row.expiry === undefined ? undefined : Math.ceil(retention[row.expiry] / 1_000);
}

function retentionText(row: IndexRow, retention: Retention): string {
  const seconds = expirySeconds(row, retention);
  return seconds === undefined ? "" : `, which keeps things for ${Math.round(seconds / 8_640) / 10} days`;
}

/** The order of the keys is part of an index. */
function hasSameShape(row: IndexRow, found: IndexDescriptionInfo): boolean {
  return (
    JSON.stringify(Object.entries(found.key)) === JSON.stringify(Object.entries(row.key)) &&
    (found.unique ?? false) === (row.unique ?? false) &&
    JSON.stringify(found.partialFilterExpression ?? null) === JSON.stringify(row.partialFilterExpression ?? null) &&
    (found.expireAfterSeconds !== undefined) === (row.expiry !== undefined)
  );
}
