import kafkajs, { type Admin } from "kafkajs";
import { readFailure } from "./failure.ts";
import { type KafkaConnection, retryTimes } from "./kafka.ts";

export type TopicConfig = ReadonlyMap<string, string>;

/** Does `work` with an administrator's connection, and ends it. */
export async function withAdmin<T>(connection: KafkaConnection, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = connection.client(2).admin({ retry: retryTimes(2) });
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

export async function readConfigs(
  admin: Admin,
  topics: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, TopicConfig>> {
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({ type, name, configNames: [...names] })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

/** Settings in effect. Empty where they can't be read: it takes a permission that reading and writing does without. */
export async function topicConfigs(
  connection: KafkaConnection,
  topics: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, TopicConfig>> {
  try {
    return await withAdmin(connection, (admin) => readConfigs(admin, topics, names));
  } catch (error) {
    const { code, message } = readFailure(error);
    connection.log.info("kafka.configs_unknown", { topics: topics.join(","), code, message });
    return new Map();
  }
}
