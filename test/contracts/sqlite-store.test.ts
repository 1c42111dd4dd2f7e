/** Every store port's suite on the embedded store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe } from "vitest";
import { type SqliteStore, sqliteStore } from "../../src/adapters/sqlite/client.ts";
import { STORE_FILE } from "../../src/adapters/sqlite/schema.ts";
import { startSqliteStore } from "../../src/adapters/sqlite/sqlite-store.ts";
import type { CallThread } from "../../src/kernel/thread-call.ts";
import { sealedStore } from "../support/sealing.ts";
import { changeFeedContract, type WatchedStore } from "./change-feed.contract.ts";
import { kindFeedContract } from "./kind-feed.contract.ts";
import { SEALED_CONTRACTS, STORE_CONTRACTS } from "./store-contracts.ts";

const directory = mkdtempSync(join(tmpdir(), "passbus-store-"));

/** One thread for all tests, since starting one costs more than most tests do; each finds an empty store. */
let thread: CallThread | undefined;
afterAll(async () => {
  await thread?.stop();
  rmSync(directory, { recursive: true });
});

async function embedded(): Promise<WatchedStore> {
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
    async close() {
      disconnect();
      empty();
    },
  };
}

/** The thread remembers the numbers of tenants, which are never taken away. */
const EMPTY = `
  DELETE FROM events; DELETE FROM deliveries; DELETE FROM subscriptions; DELETE FROM keys; DELETE FROM key_certificates; DELETE FROM dead_letters;
  DELETE FROM organisations; DELETE FROM endpoints; DELETE FROM rates; DELETE FROM delivery_stops; DELETE FROM upkeep;
  DELETE FROM erasures; DELETE FROM replays; DELETE FROM portal_sessions; DELETE FROM audit_records;
  DELETE FROM bins; DELETE FROM bin_requests; DELETE FROM delivery_stats; DELETE FROM worker_reports;
  UPDATE tenants SET subscriptions_version = 0;
`;

function empty(): void {
  const database = new DatabaseSync(join(directory, STORE_FILE), { timeout: 5_000 });
  try {
    database.exec(EMPTY);
  } finally {
    database.close();
  }
}

const CONTRACTS = [...STORE_CONTRACTS, changeFeedContract, kindFeedContract];

// Each in a scope of its own: its hooks are for its own tests.
for (const contract of CONTRACTS) describe(contract.name, () => contract("node:sqlite", embedded));
for (const contract of [...SEALED_CONTRACTS, changeFeedContract])
  describe(`${contract.name}, with payloads under a key`, () => contract("node:sqlite", sealedStore(embedded)));
