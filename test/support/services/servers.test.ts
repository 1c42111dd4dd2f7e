/** The servers that tests start, started: what suites and their fault tests build on. */
import { MongoClient } from "mongodb";
import { describe, expect, it } from "vitest";
import { liveBrokers } from "./ready.ts";
import {
  kafka,
  kafkaBrokers,
  mongodb,
  mongodbUri,
  ownKafka,
  ownMongodb,
  startKafkaCluster,
  startMongodb,
} from "./services.ts";

/** For a test that starts a broker, formats its data and starts it again, milliseconds. */
const BROKER_LIMIT_MS = 120_000;

describe.skipIf(!kafka.present)(kafka.title("the broker of the run"), () => {
  it("answers", async () => {
    expect(await liveBrokers(kafkaBrokers())).toBeGreaterThan(0);
  });
});

describe.skipIf(!mongodb.present)(mongodb.title("the MongoDB server of the run"), () => {
  it("is a replica set, which transactions and change streams need", async () => {
    await using client = new MongoClient(mongodbUri());
    const hello = await client.db("admin").command({ hello: 1 });
    expect(hello.setName).toEqual(expect.any(String));
  });
});

describe.skipIf(!ownKafka.present)(ownKafka.title("a broker of its own"), () => {
  it(
    "is gone when killed, comes back at the same address, and is gone when stopped",
    async () => {
      await using cluster = await startKafkaCluster({ nodes: 1 });
      expect(await liveBrokers(cluster.brokers)).toBe(1);
      await cluster.kill(1);
      expect(await liveBrokers(cluster.brokers)).toBe(0);
      await cluster.restart(1);
      expect(await liveBrokers(cluster.brokers)).toBe(1);
      await cluster.stop();
      expect(await liveBrokers(cluster.brokers)).toBe(0);
    },
    BROKER_LIMIT_MS,
  );
});

describe.skipIf(!ownMongodb.present)(ownMongodb.title("a MongoDB server of its own"), () => {
  it(
    "keeps over a kill what it acknowledged",
    async () => {
      await using server = await startMongodb();
      const write = async (n: number) => {
        await using client = new MongoClient(server.uri);
        const options = { writeConcern: { w: "majority", journal: true } } as const;
        await client.db("kept").collection<{ n: number }>("numbers").insertOne({ n }, options);
      };
      await write(1);
      await server.kill();
      await server.restart();
      await write(2);
      await using client = new MongoClient(server.uri);
      const kept = await client.db("kept").collection<{ n: number }>("numbers").find().sort({ n: 1 }).toArray();
      expect(kept.map(({ n }) => n)).toEqual([1, 2]);
    },
    BROKER_LIMIT_MS,
  );
});
