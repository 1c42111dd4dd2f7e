import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { prepare } from "../../../test/support/mongo-database.ts";
import { mongodb, mongodbUri } from "../../../test/support/services/services.ts";
import type { Preparation } from "../../kernel/preparation.ts";
import { INDEXES, indexPreparation } from "./indexes.ts";

const statesOf = async (preparation: Preparation) => new Set((await preparation.survey()).map((step) => step.state));

describe("the table of indexes", () => {
  test("each index has a name of its own, which begins with its collection", () => {
    expect(new Set(INDEXES.map(({ name }) => name)).size).toBe(INDEXES.length);
    for (const { name, collection } of INDEXES) expect(name.startsWith(`${collection}_`)).toBe(true);
  });
});

describe.skipIf(!mongodb.present)(mongodb.title("preparing a database"), () => {
  let client: MongoClient;
  let preparation: Preparation;
  beforeAll(async () => {
    client = await MongoClient.connect(mongodbUri());
  });
  beforeEach(() => {
    preparation = indexPreparation(database());
  });
  afterAll(async () => {
    await database().dropDatabase();
    await client.close();
  });

  const name = `passbus_${randomBytes(6).toString("hex")}`;
  const database = () => client.db(name);

  test("a survey names each index as missing, and makes none", async () => {
    const steps = await preparation.survey();
    expect(steps.map((step) => step.state)).toEqual(INDEXES.map(() => "missing"));
    for (const [place, { name: index, collection }] of INDEXES.entries()) {
      expect(steps[place]?.what).toContain(`${index} of ${name}.${collection}`);
    }
    expect(await database().listCollections().toArray()).toEqual([]);
  });

  test("what two make at once is there once, as the table has it", async () => {
    await Promise.all([prepare(preparation), prepare(preparation)]);
    expect(await statesOf(preparation)).toEqual(new Set(["present"]));
    for (const step of await indexPreparation(database()).survey()) {
      expect(step.make).toBeUndefined();
    }
    const { length } = INDEXES;
    const collections = new Set(INDEXES.map(({ collection }) => collection));
    const made = await Promise.all([...collections].map((each) => database().collection(each).indexes()));
    expect(made.flat().filter((index) => index.name !== "_id_")).toHaveLength(length);
    expect(made.flat().filter((index) => index.expireAfterSeconds !== undefined)).toEqual([]);
  });

  test("one of an earlier passbus that removes by age is wrong until it is gone", async () => {
    const deliveries = database().collection("deliveries");
    await deliveries.createIndex({ finishedAt: 1 }, { name: "deliveries_expiry", expireAfterSeconds: 7 * 24 * 3_600 });
    const wrong = (await preparation.survey()).filter((step) => step.state !== "present");
    expect(wrong.map(({ what, state }) => [what.split(" ")[1], state])).toEqual([["deliveries_expiry", "wrong"]]);
    await prepare(preparation);
    expect(await statesOf(preparation)).toEqual(new Set(["present"]));
    expect((await deliveries.indexes()).map(({ name }) => name)).not.toContain("deliveries_expiry");
  });

  test.each([
    ["other keys", { createdAt: 1, tenant: 1, _id: 1 }, {}],
    ["another order", { tenant: 1, createdAt: -1, _id: 1 }, {}],
    ["a condition", { tenant: 1, createdAt: 1, _id: 1 }, { partialFilterExpression: { createdAt: { $gt: 0 } } }],
    ["an expiry", { createdAt: 1 }, { expireAfterSeconds: 60 }],
  ] as const)("one of the same name with %s is wrong, and people are told how to mend it", async (_, key, options) => {
    const deliveries = database().collection("deliveries");
    await deliveries.dropIndex("deliveries_time");
    await deliveries.createIndex({ ...key }, { name: "deliveries_time", ...options });
    const wrong = (await preparation.survey()).filter((step) => step.state === "wrong");
    expect(wrong.map(({ what, make }) => [what.split(" ")[1], make])).toEqual([["deliveries_time", undefined]]);
    expect(wrong[0]?.detail).toContain('deliveries.dropIndex("deliveries_time")');
    await deliveries.dropIndex("deliveries_time");
    await prepare(preparation);
    expect(await statesOf(preparation)).toEqual(new Set(["present"]));
  });
});
