/** Every store port's suite on MongoDB. */
import { afterAll, beforeAll, describe } from "vitest";
import type { MongoOptions } from "../../src/adapters/mongodb/mongodb.ts";
import { type MongoDatabase, mongoDatabase } from "../support/mongo-database.ts";
import { mongodb } from "../support/services/services.ts";
import { accessContract } from "./access.contract.ts";
import { accessStoreContract, deadLetterStoreContract } from "./access-and-dead-letters.contract.ts";
import { binStoreContract } from "./bin-store.contract.ts";
import { deliveryClaimContract } from "./delivery-claim.contract.ts";
import { deliveryFlushContract } from "./delivery-flush.contract.ts";
import { deliveryLogContract } from "./delivery-log.contract.ts";
import { deliveryModelContract } from "./delivery-model.contract.ts";
import { deliveryOrderContract } from "./delivery-order.contract.ts";
import { endpointStoreContract } from "./endpoint-store.contract.ts";
import { erasureContract } from "./erasure.contract.ts";
import { heartbeatContract } from "./heartbeat.contract.ts";
import { replayStoreContract } from "./replay-store.contract.ts";
import { retentionContract } from "./retention.contract.ts";
import type { MakeStore } from "./rows.ts";
import { statsStoreContract } from "./stats-store.contract.ts";
import { subscriptionRacesContract } from "./subscription-races.contract.ts";
import { subscriptionStoreContract } from "./subscription-store.contract.ts";
import { switchContract } from "./switch.contract.ts";

const CONTRACTS = [
  deliveryFlushContract,
  deliveryClaimContract,
  deliveryLogContract,
  endpointStoreContract,
  subscriptionStoreContract,
  subscriptionRacesContract,
  accessContract,
  accessStoreContract,
  deadLetterStoreContract,
  deliveryModelContract,
  deliveryOrderContract,
  replayStoreContract,
  retentionContract,
  erasureContract,
  switchContract,
  binStoreContract,
  statsStoreContract,
];

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
  for (const contract of CONTRACTS) describe(contract.name, () => contract("MongoDB", distributed()));
  describe("crowded", () => deliveryClaimContract("MongoDB with a crowd of due work", distributed({ lookRows: 1 })));
  describe(heartbeatContract.name, () => heartbeatContract("MongoDB", () => database.open()));
});
