/**
 * The embedded store: every store port of the rooms over one `node:sqlite` database, which lives in a thread of its own.
 *
 *   startSqliteStore   starts the thread (thread.ts): schema.ts opens the database, service.ts answers the calls
 *   sqliteStore        the ports, for any thread that was given a connection: client.ts translates domain ↔ rows.ts
 *   lockDataDirectory  one serving process a data directory
 */
import { type CallThread, startThread } from "../../kernel/thread-call.ts";

export interface SqliteStoreOptions {
  /** Where `store.db` lies; made where it is missing. */
  readonly directory: string;
  /**
   * The caller holds the directory's lock (`lockDataDirectory`), so that nobody else can hold a lease: those that a dead
   * process left are ended, and their work is due at once.
   */
  readonly exclusive?: boolean;
  /** The time at which such work is due, in milliseconds since 1970; now, if left out. */
  readonly nowMs?: number;
}

export interface StoreThreadData {
  readonly directory: string;
  readonly exclusive: boolean;
  readonly nowMs: number;
}

/** Rejects where the database can't be opened or was written by a newer passbus (`data_dir.newer`). */
export function startSqliteStore(options: SqliteStoreOptions): Promise<CallThread> {
  return startThread(new URL("./thread.ts", import.meta.url), "store", {
    directory: options.directory,
    exclusive: options.exclusive ?? false,
    nowMs: options.nowMs ?? Date.now(),
  } satisfies StoreThreadData);
}
