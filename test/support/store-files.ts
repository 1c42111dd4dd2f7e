/**
 * The files of an embedded passbus, read by SQL and not by passbus's own code, so that a test does not believe the code
 * that it judges. The schema is that of src/adapters: a change there that matters fails here.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The numbers of `deliveries.status`, which are stored and so never change. */
const STATUSES = ["waiting", "attempting", "held", "delivered", "failed", "cancelled"] as const;
export type StoredStatus = (typeof STATUSES)[number];

export interface StoredDelivery {
  readonly id: string;
  readonly eventId: string;
  readonly subscriptionId: string;
  readonly status: StoredStatus;
  readonly attemptCount: number;
}

export interface LogState {
  /** The offset that the next record gets: the end of the log. */
  readonly end: number;
  /** The committed position: the next offset to read after a restart. */
  readonly committed: number;
}

/** How far the log is, beside the process that writes it. */
export function logState(dataDir: string): LogState {
  return reading(join(dataDir, "log.db"), (database) => {
    const row = database
      .prepare('SELECT committed, (SELECT max("offset") + 1 FROM records) AS ended FROM position')
      .get();
    const committed = Number(row?.committed);
    // Records behind the position are removed in time: then the end is the position itself.
    return { committed, end: Math.max(committed, Number(row?.ended ?? 0)) };
  });
}

/** Deliveries by subscription and status, beside the process that writes them. */
export function statusCounts(dataDir: string, subscriptionId: string): Readonly<Partial<Record<StoredStatus, number>>> {
  return reading(join(dataDir, "store.db"), (database) => {
    const rows = database
      .prepare("SELECT status, count(*) AS count FROM deliveries WHERE subscription_id = ? GROUP BY status")
      .all(subscriptionId);
    return Object.fromEntries(rows.map((row) => [statusOf(row.status), Number(row.count)]));
  });
}

/** What a process left on its disk. */
export interface Remains {
  readonly log: LogState;
  /** Events whose records stand at or behind the position: they are read again. */
  readonly unfinishedEvents: ReadonlySet<string>;
  readonly storedEvents: ReadonlySet<string>;
  readonly deliveries: readonly StoredDelivery[];
}

/**
 * What a process that was killed left behind. Copies are read, with the write-ahead log as it lies there: the next
 * passbus finds the files untouched and has to recover them by itself.
 */
export function remains(dataDir: string): Remains {
  const copy = mkdtempSync(join(tmpdir(), "passbus-remains-"));
  try {
    for (const name of ["log.db", "log.db-wal", "store.db", "store.db-wal"]) {
      if (existsSync(join(dataDir, name))) copyFileSync(join(dataDir, name), join(copy, name));
    }
    const log = logState(copy);
    const unfinishedEvents = reading(join(copy, "log.db"), (database) =>
      database.prepare('SELECT headers FROM records WHERE "offset" >= ?').all(log.committed),
    ).map(({ headers }) => (JSON.parse(String(headers)) as Readonly<Record<string, string>>)["event-id"] ?? "");
    return { log, unfinishedEvents: new Set(unfinishedEvents), ...reading(join(copy, "store.db"), readStore) };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function readStore(database: DatabaseSync): Pick<Remains, "storedEvents" | "deliveries"> {
  const events = database.prepare("SELECT id FROM events").all();
  const deliveries = database
    .prepare("SELECT id, event_id, subscription_id, status, attempt_count FROM deliveries")
    .all();
  return {
    storedEvents: new Set(events.map(({ id }) => String(id))),
    deliveries: deliveries.map((row) => ({
      id: String(row.id),
      eventId: String(row.event_id),
      subscriptionId: String(row.subscription_id),
      status: statusOf(row.status),
      attemptCount: Number(row.attempt_count),
    })),
  };
}

function statusOf(number: unknown): StoredStatus {
  const status = STATUSES[Number(number)];
  if (status === undefined) throw new Error(`the store has a delivery in status ${String(number)}`);
  return status;
}

function reading<T>(file: string, read: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  try {
    return read(database);
  } finally {
    database.close();
  }
}
