/** Files that only passbus's own user may read, in a directory that may be anybody's. */
import { closeSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes the file, empty and with mode 0600, whatever the umask; one that is there stays as it is. Answers the
 * path. SQLite takes an empty
 * file for a new database, and gives what it puts beside it (-wal, -shm, -journal) the database's mode.
 *
 * A file that is there is not even opened: closing it would drop this process's locks on it, SQLite's too
 * (https://www.sqlite.org/howtocorrupt.html §2.2).
 */
export function privateFile(path: string): string {
  try {
    closeSync(openSync(path, "ax", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return path;
}

/**
 * The file's mode in octal where group or others can do something with it, their way through its directory included;
 * undefined where they can't, where there is no such file, and on Windows, which has no such bits.
 */
export function modeOpenToOthers(path: string): string | undefined {
  if (process.platform === "win32") return undefined;
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  const directory = statSync(dirname(path)).mode;
  const reached = ((directory & 0o010) === 0 ? 0 : 0o070) | ((directory & 0o001) === 0 ? 0 : 0o007);
  return (file.mode & reached) === 0 ? undefined : (file.mode & 0o777).toString(8);
}
