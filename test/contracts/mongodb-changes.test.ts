/** What watchers are told, on MongoDB. */
import { afterAll, beforeAll, describe } from "vitest";
import type { MongoStore } from "../../src/adapters/mongodb/mongodb.ts";
import { type MongoDatabase, mongoDatabase } from "../support/mongo-database.ts";
import { mongodb } from "../support/services/services.ts";
import { changeFeedContract, type WatchedStore } from "./change-feed.contract.ts";

describe.skipIf(!mongodb.present)(mongodb.title("watching the store on MongoDB"), () => {
  let database: MongoDatabase;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  afterAll(() => database.drop());

  async function distributed(): Promise<WatchedStore> {
    let stores: MongoStore[] = [];
    const connect = async () => {
      const store = await database.connect();
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
        await database.empty();
      },
    };
  }

  changeFeedContract("MongoDB", distributed);
});
