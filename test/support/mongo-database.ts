/** A database of a suite's own on the shared MongoDB server, with its indexes. For suites that `mongodb` lets run. */
import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { connectMongo, type MongoOptions, type MongoStore } from "../../src/adapters/mongodb/mongodb.ts";
import type { Preparation } from "../../src/kernel/preparation.ts";
import { mongodbUri } from "./services/services.ts";

/** A store with all the connections that were made to it. */
export interface OpenedStore extends MongoStore {
  connect(): Promise<MongoStore>;
  /** Ends every connection, and makes a new one. */
  reopen(): Promise<MongoStore>;
  /** Ends every connection, and empties the database for the next test. */
  close(): Promise<void>;
}

export interface MongoDatabase {
  readonly uri: string;
  /** A client without passbus, to look and to clear up. */
  readonly client: MongoClient;
  connect(options?: Partial<MongoOptions>): Promise<MongoStore>;
  /** What the contract suites make for each test. */
  open(options?: Partial<MongoOptions>): Promise<OpenedStore>;
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
  const connect = (options: Partial<MongoOptions> = {}) => connectMongo({ uri, ...options });
  const store = await connect();
  await prepare(store.preparation);
  await store.close();
  const empty = async () => {
    const names = await client.db().listCollections({}, { nameOnly: true }).toArray();
    const collections = names.map(({ name }) => client.db().collection(name));
    // A test fills a few of them, and to look is much quicker than to delete nothing.
    const isFilled = await Promise.all(collections.map((each) => each.findOne({}, { projection: { _id: 1 } })));
    await Promise.all(collections.filter((_, at) => isFilled[at] !== null).map((each) => each.deleteMany({})));
  };
  return {
    uri,
    client,
    connect,
    empty,
    open: (options) => opened(() => connect(options), empty),
    async drop() {
      await client.db().dropDatabase();
      await client.close();
    },
  };
}

async function opened(connectAnew: () => Promise<MongoStore>, empty: () => Promise<void>): Promise<OpenedStore> {
  let stores: MongoStore[] = [];
  const connect = async () => {
    const store = await connectAnew();
    stores.push(store);
    return store;
  };
  const disconnect = async () => {
    await Promise.all(stores.map((store) => store.close()));
    stores = [];
  };
  return {
    ...(await connect()),
    connect,
    async reopen() {
      await disconnect();
      return connect();
    },
    async close() {
      await disconnect();
      await empty();
    },
  };
}

/** Makes all that is missing. */
export async function prepare(preparation: Preparation): Promise<void> {
  for (const step of await preparation.survey()) if (step.state !== "present") await step.make?.();
}
