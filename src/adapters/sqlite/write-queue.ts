import type { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";

interface Write {
  readonly rows: number;
  readonly work: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** Rows of one shared transaction: what it blocks a read for stays in the tens of milliseconds. */
const SHARED_ROWS = 4_096;

/**
 * Group commit: the writes that have arrived when the thread gets round share one transaction, and so one fsync, each
 * in a savepoint of its own. A write's promise resolves when the transaction is durable.
 */
export class WriteQueue {
  readonly #database: DatabaseSync;
  readonly #rolledBack: () => void;
  #waiting: Write[] = [];
  #scheduled = false;

  /** `rolledBack` is told whenever rows that were written are not there after all. */
  constructor(database: DatabaseSync, rolledBack: () => void) {
    this.#database = database;
    this.#rolledBack = rolledBack;
  }

  /** Runs `work` inside the next transaction. What it throws rejects its own promise alone. */
  add<T>(rows: number, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ rows, work, resolve, reject });
      this.#schedule();
    });
  }

  /** Runs what is waiting, at once. */
  drain(): void {
    while (this.#waiting.length > 0) this.#commit(this.#take());
  }

  /** setImmediate runs after all messages that have arrived were taken in, so they come into one transaction. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#waiting.length > 0) this.#commit(this.#take());
      // The rest waits for the next round, so that reads come in between.
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #take(): readonly Write[] {
    let rows = 0;
    const cut = this.#waiting.findIndex((write, index) => {
      rows += write.rows;
      return index > 0 && rows > SHARED_ROWS;
    });
    return this.#waiting.splice(0, cut === -1 ? this.#waiting.length : cut);
  }

  #commit(writes: readonly Write[]): void {
    const settle: (() => void)[] = [];
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const write of writes) settle.push(this.#run(write, writes.length > 1));
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#rollback();
      for (const write of writes) write.reject(storeError(error));
      return;
    }
    for (const run of settle) run();
  }

  #run(write: Write, shared: boolean): () => void {
    if (!shared) {
      const value = write.work();
      return () => write.resolve(value as never);
    }
    this.#database.exec("SAVEPOINT one");
    try {
      const value = write.work();
      this.#database.exec("RELEASE one");
      return () => write.resolve(value as never);
    } catch (error) {
      // A full disk or a failed read ends the whole transaction in SQLite itself: then nobody's rows are there.
      if (!this.#database.isTransaction) throw error;
      this.#database.exec("ROLLBACK TO one; RELEASE one");
      this.#rolledBack();
      return () => write.reject(storeError(error));
    }
  }

  #rollback(): void {
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    this.#rolledBack();
  }
}

/** SQLite's own errors say that the store is in trouble; coded ones and mistakes go through as they are. */
export function storeError(error: unknown): unknown {
  if (error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR") {
    return new CodedError("store.unavailable", `the store failed: ${error.message}`, { cause: error });
  }
  return error;
}
