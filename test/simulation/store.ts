/**
 * The store of one history: the embedded store's own code over a database in memory, without its thread. So the
 * simulation runs on the statements that production runs on. What MongoDB does otherwise (bulks that are written in
 * part, repeated writes that know themselves) the network adds: network.ts.
 */
import { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "../../src/adapters/sqlite/calls.ts";
import { type SqliteStore, storeOver } from "../../src/adapters/sqlite/client.ts";
import { migrate } from "../../src/adapters/sqlite/schema.ts";
import { storeService } from "../../src/adapters/sqlite/service.ts";
import { type CallClient, Transferring } from "../../src/kernel/thread-call.ts";

export interface SimulatedStore {
  readonly ports: SqliteStore;
  /** For questions that the judged code is not asked. */
  readonly database: DatabaseSync;
}

export function emptyDatabase(): DatabaseSync {
  const database = new DatabaseSync(":memory:");
  migrate(database);
  return database;
}

/** For the next history: making the tables anew costs more than a short history does. */
function empty(database: DatabaseSync): void {
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
  const deletes = tables.all().map(({ name }) => `DELETE FROM "${String(name)}";`);
  database.exec(`BEGIN; ${deletes.join(" ")} COMMIT`);
}

/** Empties the database first. */
export function simulatedStore(database: DatabaseSync): SimulatedStore {
  empty(database);
  const { handlers, drain } = storeService(database);
  const calls: CallClient<StoreCalls> = {
    async call(method, argument) {
      const answer = handlers[method](argument as never);
      // The write queue waits for the event loop to come round; here a call is one moment.
      drain();
      const settled: unknown = await answer;
      return (settled instanceof Transferring ? settled.value : settled) as never;
    },
    close() {},
  };
  return { ports: storeOver(calls), database };
}
