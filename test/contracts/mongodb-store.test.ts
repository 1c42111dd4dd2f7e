/** Every store port's suite on MongoDB. */
import { afterAll, beforeAll, describe } from "vitest";
import type { MongoOptions } from "../../src/adapters/mongodb/mongodb.ts";
import { type MongoDatabase, mongoDatabase } from "../support/mongo-database.ts";
import { sealedStore } from "../support/sealing.ts";
import { mongodb } from "../support/services/services.ts";
import { deliveryClaimContract } from "./delivery-claim.contract.ts";
import { heartbeatContract } from "./heartbeat.contract.ts";
import type { MakeStore } from "./rows.ts";
import { SEALED_CONTRACTS, STORE_CONTRACTS } from "./store-contracts.ts";

describe.skipIf(!mongodb.present)(mongodb.title("the store on MongoDB"), () => {
  let database: MongoDatabase;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  afterAll(() => database.drop());

  const distributed =
    (options: Partial<MongoOptions> = {}): MakeStore =>
    () =>
      database.open(options);

  // Each in a scope of its own: its hooks are for its own tests.
  for (const contract of STORE_CONTRACTS) describe(contract.name, () => contract("MongoDB", distributed()));
  for (const contract of SEALED_CONTRACTS)
    describe(`${contract.name}, with payloads under a key`, () => contract("MongoDB", sealedStore(distributed())));
  describe("crowded", () => deliveryClaimContract("MongoDB with a crowd of due work", distributed({ lookRows: 1 })));
  describe(heartbeatContract.name, () => heartbeatContract("MongoDB", () => database.open()));
});
