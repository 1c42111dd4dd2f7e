/** A database of a suite's own on the shared MongoDB server, with its indexes. For suites that `mongodb` lets run. */
import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { connectMongo, type MongoOptions, type MongoStore } from "../../src/adapters/mongodb/mongodb.ts";
import type { Preparation } from "../../src/kernel/preparation.ts";
import { mongodbUri } from "./services/services.ts";

/** Rows of the suites are finished in 2023: nothing may expire while they run. */
const FOREVER_MS = 50 * 365 * 24 * 3_600_000;

export interface MongoDatabase {
  readonly uri: string;
  /** A client without passbus, to look and to clear up. */
  readonly client: MongoClient;
  connect(options?: Partial<MongoOptions>): Promise<MongoStore>;
  /** Every document, of every collection. */
  empty(): Promise<void>;
  drop(): Promise<void>;
}

/** The server's URI with a database of this name. */
function uriOf(name: string): string {
  const uri = new URL(mongodbUri());
  uri.pathname = name;
  return uri.href;
}

export async function mongoDatabase(): Promise<MongoDatabase> {
  const name = `passbus_${randomBytes(6).toString("hex")}`;
  const uri = uriOf(name);
  const client = await MongoClient.connect(uri);
  const connect = (options: Partial<MongoOptions> = {}) =>
    connectMongo({ uri, eventRetentionMs: FOREVER_MS, deliveryRetentionMs: FOREVER_MS, ...options });
  const store = await connect();
  await prepare(store.preparation);
  await store.close();
  return {
    uri,
    client,
    connect,
    async empty() {
      const collections = await client.db().listCollections({}, { nameOnly: true }).toArray();
      await Promise.all(collections.map((each) => client.db().collection(each.name).deleteMany({})));
    },
    async drop() {
      await client.db().dropDatabase();
      await client.close();
    },
  };
}

/** Makes all that is missing. */
export async function prepare(preparation: Preparation): Promise<void> {
  for (const step of await preparation.survey()) if (step.state !== "present") await step.make?.();
}
