import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import { privateFile } from "../../kernel/private-file.ts";

/** The file of the log in its data directory. */
export const LOG_FILE = "log.db";

const PAGE_BYTES = 4_096;

/** A file with more in it is not written anew, which holds up whoever appends: about a tenth of a second. */
const SCRUBBED_BYTES = 16 * 1024 * 1024;

/** What each version adds to the one before, as in the store. A step that was released is never edited. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE records (
    "offset" INTEGER PRIMARY KEY,
    appended_at INTEGER NOT NULL,
    key TEXT NOT NULL,
    headers TEXT NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
  CREATE TABLE position (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    committed INTEGER NOT NULL
  ) STRICT;
  INSERT INTO position VALUES (0, 0);
  `,
];

export interface FileRecord {
  readonly offset: number;
  readonly appendedAtMs: number;
  readonly key: string;
  readonly headers: string;
  readonly value: Uint8Array;
}

/** The log on disk: one table of records, and how far they are done with. */
export class LogFile {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #setCommitted: StatementSync;
  readonly #remove: StatementSync;

  /** `maxBytes`: appends fail beyond it, until committed records have been removed. */
  constructor(directory: string, maxBytes: number) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(privateFile(join(directory, LOG_FILE)), { timeout: 5_000 });
    try {
      this.#database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA wal_autocheckpoint = 8192;
        PRAGMA journal_size_limit = 67108864;
        PRAGMA cache_size = -32768;
        PRAGMA max_page_count = ${Math.ceil(maxBytes / PAGE_BYTES)};
      `);
      this.#migrate();
    } catch (error) {
      this.#database.close();
      throw error;
    }
    this.#insert = this.#database.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?)");
    this.#select = this.#database.prepare('SELECT * FROM records WHERE "offset" >= ? ORDER BY "offset"');
    this.#setCommitted = this.#database.prepare("UPDATE position SET committed = ?");
    this.#remove = this.#database.prepare('DELETE FROM records WHERE "offset" >= ? AND "offset" < ?');
  }

  /** Where things stand when the log is opened. Offsets go on behind the position even where no record is left. */
  state(): {
    readonly firstOffset: number;
    readonly nextOffset: number;
    readonly committed: number;
  } {
    const row = this.#database
      .prepare(
        `SELECT (SELECT min("offset") FROM records) AS first, (SELECT max("offset") FROM records) AS last,
           committed FROM position`,
      )
      .get();
    const committed = Number(row?.committed);
    const last = row?.last === null ? -1 : Number(row?.last);
    const nextOffset = Math.max(committed, last + 1);
    const firstOffset = row?.first === null ? nextOffset : Number(row?.first);
    return { firstOffset, nextOffset, committed };
  }

  /** Runs `write` in one transaction, which is durable when this returns; throws where nothing of it is. */
  durably(write: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      write();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  insert(record: FileRecord): void {
    this.#insert.run(record.offset, record.appendedAtMs, record.key, record.headers, record.value);
  }

  setCommitted(offset: number): void {
    this.#setCommitted.run(offset);
  }

  /** Records from `offset` on, as long as `wanted` says so. */
  read(offset: number, wanted: (record: FileRecord) => boolean): void {
    for (const row of this.#select.iterate(offset)) {
      const record = {
        offset: Number(row.offset),
        appendedAtMs: Number(row.appended_at),
        key: String(row.key),
        headers: String(row.headers),
        value: row.value instanceof Uint8Array ? row.value : new Uint8Array(),
      };
      if (!wanted(record)) return;
    }
  }

  /**
   * Removes records of `from` <= offset < `to`, without waiting for the disk: where a crash undoes it, it is done again.
   * Everything that comes later syncs what was written here, since both are in one WAL.
   */
  remove(from: number, to: number): void {
    this.#database.exec("PRAGMA synchronous = NORMAL");
    try {
      this.#remove.run(from, to);
    } finally {
      this.#database.exec("PRAGMA synchronous = FULL");
    }
  }

  /**
   * Writes the file anew, without its free pages, and empties the log of writes; whether it did. Pages that are freed
   * are not overwritten otherwise: that would double what every record costs.
   */
  scrub(): boolean {
    const row = this.#database
      .prepare("SELECT page_count - freelist_count AS used FROM pragma_page_count, pragma_freelist_count")
      .get();
    if (Number(row?.used) * PAGE_BYTES > SCRUBBED_BYTES) return false;
    this.#database.exec("VACUUM");
    this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    return true;
  }

  close(): void {
    this.#database.close();
  }

  #migrate(): void {
    this.durably(() => {
      const version = Number(this.#database.prepare("PRAGMA user_version").get()?.user_version);
      if (version > STEPS.length) {
        throw new CodedError(
          "data_dir.newer",
          `the log has schema ${version}, this passbus knows ${STEPS.length}: use the passbus that wrote it, or a newer one`,
        );
      }
      for (const step of STEPS.slice(version)) this.#database.exec(step);
      this.#database.exec(`PRAGMA user_version = ${STEPS.length}`);
    });
  }
}
