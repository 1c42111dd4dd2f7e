import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { prepare } from "../../../test/support/mongo-database.ts";
import { mongodb, mongodbUri } from "../../../test/support/services/services.ts";
import type { Preparation } from "../../kernel/preparation.ts";
import { INDEXES, indexPreparation } from "./indexes.ts";

const DAY_MS = 24 * 3_600_000;
const retention = { eventRetentionMs: 30 * DAY_MS, deliveryRetentionMs: 7 * DAY_MS };

const statesOf = async (preparation: Preparation) => new Set((await preparation.survey()).map((step) => step.state));

describe("the table of indexes", () => {
  test("each index has a name of its own, which begins with its collection", () => {
    expect(new Set(INDEXES.map(({ name }) => name)).size).toBe(INDEXES.length);
    for (const { name, collection } of INDEXES) expect(name.startsWith(`${collection}_`)).toBe(true);
  });

  test("what expires is what is done: two times that open work does not have", () => {
    const expiries = INDEXES.filter(({ expiry }) => expiry !== undefined);
    expect(expiries.map(({ name, key, expiry }) => [name, Object.keys(key), expiry])).toEqual([
      ["events_expiry", ["retainedFrom"], "eventRetentionMs"],
      ["deliveries_expiry", ["finishedAt"], "deliveryRetentionMs"],
    ]);
  });
});

describe.skipIf(!mongodb.present)(mongodb.title("preparing a database"), () => {
  let client: MongoClient;
  let preparation: Preparation;
  beforeAll(async () => {
    client = await MongoClient.connect(mongodbUri());
  });
  beforeEach(() => {
    preparation = indexPreparation(database(), retention);
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
    for (const step of await indexPreparation(database(), { ...retention }).survey()) {
      expect(step.make).toBeUndefined();
    }
    const { length } = INDEXES;
    const collections = new Set(INDEXES.map(({ collection }) => collection));
    const made = await Promise.all([...collections].map((each) => database().collection(each).indexes()));
    expect(made.flat().filter((index) => index.name !== "_id_")).toHaveLength(length);
    const expiry = made.flat().find((index) => index.name === "deliveries_expiry");
    expect(expiry).toMatchObject({ key: { finishedAt: 1 }, expireAfterSeconds: 7 * 24 * 3_600 });
  });

  test("a changed retention is wrong until it is made so", async () => {
    const longer = indexPreparation(database(), { ...retention, eventRetentionMs: 90 * DAY_MS });
    const wrong = (await longer.survey()).filter((step) => step.state !== "present");
    expect(wrong.map(({ what, state }) => [what.split(" ")[1], state])).toEqual([["events_expiry", "wrong"]]);
    expect(wrong[0]?.detail).toContain(`${90 * 24 * 3_600} s`);
    await prepare(longer);
    expect(await statesOf(longer)).toEqual(new Set(["present"]));
    await prepare(preparation);
    expect(await statesOf(preparation)).toEqual(new Set(["present"]));
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
