/** Every store port's suite on the embedded store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll } from "vitest";
import { type SqliteStore, sqliteStore } from "../../src/adapters/sqlite/client.ts";
import { STORE_FILE } from "../../src/adapters/sqlite/schema.ts";
import { startSqliteStore } from "../../src/adapters/sqlite/sqlite-store.ts";
import type { DeadLetter, DeadReason } from "../../src/intake/dead-letters.ts";
import type { CallThread } from "../../src/kernel/thread-call.ts";
import { accessStoreContract, deadLetterStoreContract } from "./access-and-dead-letters.contract.ts";
import { deliveryClaimContract } from "./delivery-claim.contract.ts";
import { deliveryFlushContract } from "./delivery-flush.contract.ts";
import { deliveryLogContract } from "./delivery-log.contract.ts";
import { deliveryModelContract } from "./delivery-model.contract.ts";
import type { StoreUnderTest } from "./rows.ts";
import { subscriptionStoreContract } from "./subscription-store.contract.ts";

const directory = mkdtempSync(join(tmpdir(), "passbus-store-"));

/** One thread for all tests, since starting one costs more than most tests do; each finds an empty store. */
let thread: CallThread | undefined;
afterAll(async () => {
  await thread?.stop();
  rmSync(directory, { recursive: true });
});

async function embedded(): Promise<StoreUnderTest> {
  let running = thread ?? (await startSqliteStore({ directory }));
  thread = running;
  let connections: SqliteStore[] = [];
  const connect = () => {
    const store = sqliteStore(running.connect());
    connections.push(store);
    return store;
  };
  const disconnect = () => {
    for (const connection of connections) connection.close();
    connections = [];
  };
  return {
    ...connect(),
    connect: async () => connect(),
    async reopen() {
      disconnect();
      await running.stop();
      running = await startSqliteStore({ directory });
      thread = running;
      return connect();
    },
    storedDeadLetters: async () => inDatabase(deadLettersIn),
    async close() {
      disconnect();
      inDatabase((database) => database.exec(EMPTY));
    },
  };
}

/** The thread remembers the numbers of tenants, which are never taken away. */
const EMPTY = `
  DELETE FROM events; DELETE FROM deliveries; DELETE FROM subscriptions; DELETE FROM keys; DELETE FROM dead_letters;
  UPDATE tenants SET subscriptions_version = 0;
`;

function inDatabase<T>(run: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(directory, STORE_FILE), { timeout: 5_000 });
  try {
    return run(database);
  } finally {
    database.close();
  }
}

const bytes = (value: unknown): Uint8Array | null => (value instanceof Uint8Array ? value : null);

function deadLettersIn(database: DatabaseSync): readonly DeadLetter[] {
  const rows = database.prepare("SELECT * FROM dead_letters").all();
  return rows.map((row) => ({
    reason: String(row.reason) as DeadReason,
    message: String(row.message),
    record: {
      topic: String(row.topic),
      partition: Number(row.partition),
      offset: Number(row.offset),
      appendedAtMs: Number(row.appended_at),
      key: bytes(row.key),
      value: bytes(row.value),
      headers: JSON.parse(String(row.headers)),
    },
  }));
}

deliveryFlushContract("node:sqlite", embedded);
deliveryClaimContract("node:sqlite", embedded);
deliveryLogContract("node:sqlite", embedded);
subscriptionStoreContract("node:sqlite", embedded);
accessStoreContract("node:sqlite", embedded);
deadLetterStoreContract("node:sqlite", embedded);
deliveryModelContract("node:sqlite", embedded);
