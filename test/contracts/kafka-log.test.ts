/** The event log's suite on Kafka: a topic and a group of its own for each test, three partitions. */
import { describe } from "vitest";
import { kafkaLogReader } from "../../src/adapters/kafka/log-reader.ts";
import { kafkaLogWriter } from "../../src/adapters/kafka/log-writer.ts";
import { ownTopic, testConnection } from "../support/kafka-topic.ts";
import { kafka } from "../support/services/services.ts";
import { eventLogContract, type LogUnderTest } from "./event-log.contract.ts";

async function onKafka(): Promise<LogUnderTest> {
  const topic = await ownTopic({ partitions: 3 });
  let connection = testConnection();
  let ends: (() => Promise<void>)[] = [];
  const end = async () => {
    for (const each of ends.splice(0)) await each();
  };
  return {
    topic: topic.name,
    async writer() {
      const writer = kafkaLogWriter({ connection, topic: topic.name });
      await writer.start();
      ends.push(() => writer.close());
      return writer;
    },
    async reader() {
      const reader = kafkaLogReader({ connection, topics: [topic.name], group: topic.name });
      ends.push(() => reader.stop());
      return reader;
    },
    async restart() {
      await end();
      connection = testConnection();
      ends = [];
    },
    async close() {
      await end();
      await topic.remove();
    },
  };
}

describe.skipIf(!kafka.present)(kafka.title("the event log on Kafka"), () => {
  eventLogContract("Kafka", onKafka);
});
