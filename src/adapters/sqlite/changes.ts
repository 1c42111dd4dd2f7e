/**
 * Who is to be told of new events and changed deliveries. The store's thread is the only one that writes either, so
 * it remembers their ids in memory; only while somebody watches, by triggers, so that no way of writing is forgotten.
 * Ids of a transaction that is rolled back may be among them: rows are read when they are asked for.
 */
import type { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import { packBytes, Transferring } from "../../kernel/thread-call.ts";
import type { ChangedDeliveries, ChangedEvents, DeliveryRow, ReadChanges, StoreCalls, WatchedRows } from "./calls.ts";
import type { DeliveryTable } from "./deliveries.ts";
import type { EventTable, ReadEvent } from "./events.ts";
import { ANSWER_BYTES } from "./statements.ts";

/** Ids that wait for one reader; the oldest go first. At 250 ms between reads, 64,000 changes a second. */
const PENDING = 16_384;

interface Reader {
  readonly tenant: number;
  readonly rows: WatchedRows;
  /** In the order of their first change since they were last read. */
  readonly pending: Set<string>;
  skipped: number;
}

const TRIGGERS: Readonly<Record<WatchedRows, readonly string[]>> = {
  events: ["AFTER INSERT ON main.events"],
  deliveries: ["AFTER INSERT ON main.deliveries", "AFTER UPDATE OF status, run, attempt_count ON main.deliveries"],
};

export class ChangeTable {
  readonly #database: DatabaseSync;
  readonly #events: EventTable;
  readonly #deliveries: DeliveryTable;
  readonly #readers = new Map<number, Reader>();
  #lastReader = 0;

  constructor(database: DatabaseSync, events: EventTable, deliveries: DeliveryTable) {
    this.#database = database;
    this.#events = events;
    this.#deliveries = deliveries;
    for (const rows of ["events", "deliveries"] as const) {
      database.function(`note_${rows}`, (tenant, id) => {
        this.#note(rows, Number(tenant), String(id));
        return null;
      });
    }
  }

  /** Not inside a transaction: what is rolled back with it would be gone. */
  open(tenant: number, rows: WatchedRows): number {
    if (!this.#isWatched(rows)) {
      for (const [at, when] of TRIGGERS[rows].entries()) {
        this.#database.exec(
          `CREATE TEMP TRIGGER watch_${rows}_${at} ${when} BEGIN SELECT note_${rows}(NEW.tenant, NEW.id); END`,
        );
      }
    }
    this.#lastReader += 1;
    this.#readers.set(this.#lastReader, { tenant, rows, pending: new Set(), skipped: 0 });
    return this.#lastReader;
  }

  readonly unwatch: StoreCalls["unwatch"] = (reader) => {
    const rows = this.#readers.get(reader)?.rows;
    this.#readers.delete(reader);
    if (rows === undefined || this.#isWatched(rows)) return null;
    for (const at of TRIGGERS[rows].keys()) this.#database.exec(`DROP TRIGGER temp.watch_${rows}_${at}`);
    return null;
  };

  readonly changedEvents = (asked: ReadChanges): Transferring<ChangedEvents> => {
    const { items, more, skipped } = this.#take<ReadEvent>(
      asked,
      (tenant, id) => this.#events.read(tenant, id),
      ([, value]) => value.byteLength,
    );
    const values = packBytes(items.map(([, value]) => value));
    return new Transferring({ rows: items.map(([row]) => row), more, skipped, values }, [values.buffer]);
  };

  readonly changedDeliveries = (asked: ReadChanges): ChangedDeliveries => {
    const { items, more, skipped } = this.#take<DeliveryRow>(
      asked,
      (tenant, id) => this.#deliveries.read(tenant, id),
      (row) => row[14].length,
    );
    return { rows: items, more, skipped };
  };

  #isWatched(rows: WatchedRows): boolean {
    return this.#readers.values().some((reader) => reader.rows === rows);
  }

  /** Called from within a write, which it must not fail. */
  #note(rows: WatchedRows, tenant: number, id: string): void {
    for (const reader of this.#readers.values()) {
      if (reader.rows !== rows || reader.tenant !== tenant) continue;
      reader.pending.add(id);
      if (reader.pending.size <= PENDING) continue;
      const [oldest = ""] = reader.pending;
      reader.pending.delete(oldest);
      reader.skipped += 1;
    }
  }

  #take<T>(
    asked: ReadChanges,
    read: (tenant: number, id: string) => T | undefined,
    bytesOf: (item: T) => number,
  ): { readonly items: readonly T[]; readonly more: boolean; readonly skipped: number } {
    const reader = this.#readers.get(asked.reader);
    if (reader === undefined) throw new CodedError("internal", `nobody watches as ${asked.reader}`);
    const items: T[] = [];
    let bytes = 0;
    for (const id of reader.pending) {
      if (items.length === asked.limit || bytes >= ANSWER_BYTES) break;
      reader.pending.delete(id);
      const item = read(reader.tenant, id);
      if (item === undefined) continue;
      bytes += bytesOf(item);
      items.push(item);
    }
    const { skipped } = reader;
    reader.skipped = 0;
    return { items, more: reader.pending.size > 0, skipped };
  }
}
