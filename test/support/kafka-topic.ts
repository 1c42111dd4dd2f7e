/** Topics and groups of a test's own on the broker that all tests share. */
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";
import { type KafkaConnection, kafkaConnection } from "../../src/adapters/kafka/kafka.ts";
import { withAdmin } from "../../src/adapters/kafka/topic-configs.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { type Log, silentLog } from "../../src/kernel/log.ts";
import { kafkaBrokers } from "./services/services.ts";

export function testConnection(log: Log = silentLog, brokers: string = kafkaBrokers()): KafkaConnection {
  return kafkaConnection({ brokers: brokers.split(","), clientId: "passbus-test", log, clock: systemClock });
}

export interface OwnTopic extends AsyncDisposable {
  readonly name: string;
  /** The topic, and the group of its name. */
  remove(): Promise<void>;
}

export interface OwnTopicOptions {
  readonly partitions?: number;
  readonly replication?: number;
  readonly configEntries?: Readonly<Record<string, string>>;
  readonly brokers?: string;
}

/** A new topic, which every broker knows when this resolves. */
export async function ownTopic(options: OwnTopicOptions = {}): Promise<OwnTopic> {
  const { partitions = 1, replication = 1, configEntries = {}, brokers } = options;
  const name = `passbus-test-${randomUUID().slice(0, 8)}`;
  const connection = testConnection(silentLog, brokers);
  await withAdmin(connection, (admin) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic: name,
          numPartitions: partitions,
          replicationFactor: replication,
          configEntries: Object.entries(configEntries).map(([key, value]) => ({ name: key, value })),
        },
      ],
    }),
  );
  const remove = () => removeTopic(name, brokers);
  return { name, remove, [Symbol.asyncDispose]: remove };
}

export async function removeTopic(name: string, brokers?: string): Promise<void> {
  await withAdmin(testConnection(silentLog, brokers), async (admin) => {
    await admin.deleteTopics({ topics: [name] });
    // There is none where nobody committed; one whose members have just left goes by itself.
    await admin.deleteGroups([name]).catch(() => undefined);
  });
}

/** What the group has committed, by partition; -1 is nothing. */
export function committed(topic: string, group = topic): Promise<ReadonlyMap<number, number>> {
  return withAdmin(testConnection(), async (admin) => {
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    return new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  });
}

/** kafkajs without any of the adapter's care. */
export function plainKafka(brokers: string = kafkaBrokers()): Kafka {
  return new Kafka({ brokers: brokers.split(","), clientId: "passbus-test-plain", logLevel: logLevel.NOTHING });
}
