import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import { privateFile } from "../../kernel/private-file.ts";

/** The file of the lock in its data directory. */
export const LOCK_FILE = "lock.db";

const SQLITE_BUSY = 5;

/** A connection that nobody refers to is collected as garbage, and its lock with it. Losing the handle must not unlock. */
const held = new Set<DatabaseSync>();

/** Held while a process serves from a data directory. */
export interface DataDirectoryLock {
  release(): void;
}

/**
 * Takes a data directory for this process; throws `data_dir.locked` where another has it, `config.invalid` where it
 * can't be one. The lock is SQLite's own on a
 * small file, which the operating system drops with the process, however it dies. It covers store and log alike.
 */
export function lockDataDirectory(directory: string): DataDirectoryLock {
  const database = openLock(directory);
  if (!tookExclusively(database)) {
    database.close();
    throw new CodedError(
      "data_dir.locked",
      `another passbus is serving from ${directory}; stop it, or set PASSBUS_DATA_DIR to another directory`,
    );
  }
  held.add(database);
  return {
    release() {
      held.delete(database);
      if (database.isOpen) database.close();
    },
  };
}

/** In WAL mode readers and writers would get along; the default journal's EXCLUSIVE shuts everybody out. */
function tookExclusively(database: DatabaseSync): boolean {
  try {
    database.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return false;
    database.close();
    throw error;
  }
}

function openLock(directory: string): DatabaseSync {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return new DatabaseSync(privateFile(join(directory, LOCK_FILE)), { timeout: 0 });
  } catch (cause) {
    throw unusable(directory, cause);
  }
}

function unusable(directory: string, cause: unknown): CodedError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const description = `must be a directory that passbus can make and write to; ${directory} is not: ${reason}`;
  const violations = [{ field: "PASSBUS_DATA_DIR", description }];
  return new CodedError("config.invalid", `PASSBUS_DATA_DIR: ${description}`, { violations, cause });
}
