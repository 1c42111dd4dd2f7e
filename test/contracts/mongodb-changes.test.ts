/** What watchers are told, on MongoDB. */
import { afterAll, beforeAll, describe } from "vitest";
import { type MongoDatabase, mongoDatabase } from "../support/mongo-database.ts";
import { mongodb } from "../support/services/services.ts";
import { changeFeedContract } from "./change-feed.contract.ts";
import { kindFeedContract } from "./kind-feed.contract.ts";

describe.skipIf(!mongodb.present)(mongodb.title("watching the store on MongoDB"), () => {
  let database: MongoDatabase;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  afterAll(() => database.drop());

  describe("events and deliveries", () => changeFeedContract("MongoDB", () => database.open()));
  describe("by kind", () => kindFeedContract("MongoDB", () => database.open()));
});
