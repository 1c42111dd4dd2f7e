/** Every store port's suite on MongoDB. */
import { afterAll, beforeAll, describe } from "vitest";
import type { MongoOptions, MongoStore } from "../../src/adapters/mongodb/mongodb.ts";
import { type MongoDatabase, mongoDatabase } from "../support/mongo-database.ts";
import { mongodb } from "../support/services/services.ts";
import { accessStoreContract, deadLetterStoreContract } from "./access-and-dead-letters.contract.ts";
import { deliveryClaimContract } from "./delivery-claim.contract.ts";
import { deliveryFlushContract } from "./delivery-flush.contract.ts";
import { deliveryLogContract } from "./delivery-log.contract.ts";
import { deliveryModelContract } from "./delivery-model.contract.ts";
import type { MakeStore } from "./rows.ts";
import { subscriptionRacesContract } from "./subscription-races.contract.ts";
import { subscriptionStoreContract } from "./subscription-store.contract.ts";

describe.skipIf(!mongodb.present)(mongodb.title("the store on MongoDB"), () => {
  let database: MongoDatabase;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  afterAll(() => database.drop());

  /** Each test finds an empty database, and closes every client that it opened. */
  const distributed =
    (options: Partial<MongoOptions> = {}): MakeStore =>
    async () => {
      let stores: MongoStore[] = [];
      const connect = async () => {
        const store = await database.connect(options);
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
    };

  deliveryFlushContract("MongoDB", distributed());
  deliveryClaimContract("MongoDB", distributed());
  deliveryClaimContract("MongoDB with a crowd of due work", distributed({ lookRows: 1 }));
  deliveryLogContract("MongoDB", distributed());
  subscriptionStoreContract("MongoDB", distributed());
  subscriptionRacesContract("MongoDB", distributed());
  accessStoreContract("MongoDB", distributed());
  deadLetterStoreContract("MongoDB", distributed());
  deliveryModelContract("MongoDB", distributed());
});
