import { randomBytes } from "node:crypto";
import { MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mongodb, mongodbUri } from "../../../test/support/services/services.ts";
import { type Stored, Wire } from "./wire.ts";

interface Item extends Stored {
  readonly only?: number;
}

describe.skipIf(!mongodb.present)(mongodb.title("inserting in order"), () => {
  const name = `passbus_${randomBytes(6).toString("hex")}`;
  let client: MongoClient;
  let wire: Wire;
  beforeAll(async () => {
    client = await MongoClient.connect(mongodbUri());
    wire = new Wire(client.db(name));
  });
  beforeEach(async () => {
    await client.db(name).collection("items").createIndex({ only: 1 }, { unique: true, sparse: true });
  });
  afterEach(() => client.db(name).dropCollection("items"));
  afterAll(async () => {
    await client.db(name).dropDatabase();
    await client.close();
  });

  const insert = (...items: readonly Item[]) => wire.insertInOrder("items", items, () => 1);
  const stored = async () => (await wire.find<Item>("items", {}, { sort: { _id: 1 } })).map(({ _id }) => _id);

  test("a failure midway leaves those that come before it, and none behind", async () => {
    const items = [
      { _id: "a", only: 1 },
      { _id: "b", only: 2 },
      { _id: "c", only: 1 },
      { _id: "d", only: 4 },
    ];
    await expect(insert(...items)).rejects.toMatchObject({ code: "store.unavailable" });
    expect(await stored()).toEqual(["a", "b"]);
  });

  test("those that are there already are told of, and the others go on", async () => {
    await insert({ _id: "b" }, { _id: "d" });
    expect(await insert({ _id: "a" }, { _id: "b" }, { _id: "c" }, { _id: "d" }, { _id: "e" })).toEqual([1, 3]);
    expect(await stored()).toEqual(["a", "b", "c", "d", "e"]);
    expect(await insert({ _id: "a" }, { _id: "b" }, { _id: "c" })).toEqual([0, 1, 2]);
  });

  test("more than one command takes goes in several, in order", async () => {
    const items = Array.from({ length: 5 }, (_, at): Item => ({ _id: `i${at}` }));
    expect(await wire.insertInOrder("items", items, () => 12 * 1024 * 1024)).toEqual([]);
    expect(await stored()).toEqual(["i0", "i1", "i2", "i3", "i4"]);
    expect(await insert()).toEqual([]);
  });
});
