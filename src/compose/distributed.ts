/**
 * The distributed deployment: MongoDB for the store and Kafka for the log, any number of processes. Each thread has
 * connections of its own. Nothing is made here that `passbus init` makes: what is missing stops the start.
 */
import { kafkaDeadLetterTopic } from "../adapters/kafka/dead-letter-topic.ts";
import { type KafkaConnection, kafkaConnection } from "../adapters/kafka/kafka.ts";
import { kafkaLogReader } from "../adapters/kafka/log-reader.ts";
import { kafkaLogWriter } from "../adapters/kafka/log-writer.ts";
import { deadTopicPlan, eventTopicPlan, kafkaPreparation } from "../adapters/kafka/preparation.ts";
import { connectMongo, type MongoStore } from "../adapters/mongodb/mongodb.ts";
import type { Config } from "../config/config.ts";
import { readKafkaTlsTexts } from "../config/refusals.ts";
import type { LogWriter } from "../intake/event-log.ts";
import { tenantRule } from "../intake/tenants.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import type { Preparation, PreparationStep } from "../kernel/preparation.ts";
import { jsonLog } from "../telemetry/log.ts";
import { type ApiEnds, clock, type Deployment, type Stores } from "./parts.ts";

/** What is opened is closed by `begun`, in the opposite order. */
export async function openDistributed(config: Config, begun: AsyncDisposableStack, log: Log): Promise<Deployment> {
  const store = await openStore(config);
  begun.defer(() => store.close());
  const connection = kafka(config, log);
  await refuseUnprepared([topics(config, connection), store.preparation]);
  const isWorker = config.roles.includes("worker");
  const deadTopic = kafkaDeadLetterTopic({ connection, topic: config.kafkaDeadTopic });
  if (isWorker) {
    await deadTopic.start();
    begun.defer(() => deadTopic.close());
    store.startUpkeep((err) => log.warn("store.upkeep_failed", { err }));
  }
  return {
    stores: store,
    keyTexts: { encryptionKeys: needed(config.encryptionKeys), signingSeeds: config.signingSeeds },
    fields: { deployment: "distributed", topics: topicsOf(config), group: config.kafkaGroup },
    failures: [],
    workerEnds: () => ({
      stores: store,
      heartbeats: store.heartbeats,
      reader: kafkaLogReader({
        connection,
        topics: topicsOf(config),
        group: config.kafkaGroup,
        sessionTimeoutMs: config.kafkaSessionMs,
      }),
      deadTopic,
      tenants: tenantRule(config.kafkaTenants, config.bootstrapOrganisation),
      isOwnLog: false,
    }),
    apiPass: () => ({ pass: { kind: "distributed" }, transfer: [] }),
  };
}

export async function openDistributedApiEnds(config: Config, log: Log): Promise<ApiEnds> {
  const store = await openStore(config);
  const writer = kafkaLogWriter({ connection: kafka(config, log), topic: config.kafkaTopic });
  try {
    await writer.start();
  } catch (error) {
    await store.close();
    throw error;
  }
  return {
    stores: store,
    writer: readTopicsOnly(writer, topicsOf(config)),
    tenants: tenantRule(config.kafkaTenants, config.bootstrapOrganisation),
    problems: () => [],
    async close() {
      await writer.close();
      await store.close();
    },
  };
}

/** The store without the rest. */
export async function openDistributedStores(
  config: Config,
): Promise<{ readonly stores: Stores; close(): Promise<void> }> {
  const store = await openStore(config);
  return { stores: store, close: () => store.close() };
}

/** Topics first: they are what a wrong setting shows at. */
export function distributedPreparation(config: Config): Preparation & { close(): Promise<void> } {
  const connection = kafka(config, jsonLog({ level: "warn" }));
  let store: MongoStore | undefined;
  return {
    async survey() {
      const steps = await topics(config, connection).survey();
      store ??= await openStore(config);
      return [...steps, ...(await store.preparation.survey())];
    },
    async close() {
      await store?.close();
    },
  };
}

/** Every topic that is read: the log's own, and those that may speak for somebody. */
function topicsOf(config: Config): readonly string[] {
  const bound = config.kafkaTenants.flatMap(({ topic }) => (topic === undefined ? [] : [topic]));
  return [...new Set([config.kafkaTopic, ...bound])];
}

function topics(config: Config, connection: KafkaConnection): Preparation {
  const replication = config.kafkaReplication === undefined ? {} : { replication: config.kafkaReplication };
  const size = { partitions: config.kafkaPartitions, ...replication };
  return kafkaPreparation({
    connection,
    topics: [
      ...topicsOf(config).map((name) => eventTopicPlan(name, size)),
      deadTopicPlan(config.kafkaDeadTopic, replication),
    ],
  });
}

async function refuseUnprepared(preparations: readonly Preparation[]): Promise<void> {
  const steps = (await Promise.all(preparations.map((preparation) => preparation.survey()))).flat();
  const wanting = steps.filter((step) => step.state !== "present");
  if (wanting.length === 0) return;
  throw new CodedError(
    "setup.missing",
    `${wanting.map(told).join("\n")}\n\`passbus init\` makes what is missing; \`passbus init --dry-run\` says what it would do`,
  );
}

function told({ what, state, detail }: PreparationStep): string {
  return `${state}: ${what}${detail === undefined ? "" : ` (${detail})`}`;
}

function kafka(config: Config, log: Log): KafkaConnection {
  const tls = readKafkaTlsTexts(config);
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config;
  const isLoggedIn = mechanism !== undefined && username !== undefined && password !== undefined;
  return kafkaConnection({
    brokers: needed(config.kafkaBrokers),
    clientId: config.kafkaClientId,
    ...(tls !== undefined && { tls }),
    ...(isLoggedIn && { sasl: { mechanism, username, password } }),
    log,
    clock,
  });
}

function openStore({ mongodbUri }: Config): Promise<MongoStore> {
  return connectMongo({ uri: needed(mongodbUri), clock });
}

/** A dead letter that is sent again to a topic which nobody reads any more would be lost. */
function readTopicsOnly(writer: LogWriter, read: readonly string[]): LogWriter {
  return {
    async append(records) {
      const unread = records.find(({ topic }) => topic !== undefined && !read.includes(topic));
      if (unread === undefined) return writer.append(records);
      return records.map(() => ({ durable: false, reason: `topic ${unread.topic} is read no more` }));
    },
  };
}

/** readConfig has seen to it that these are set together. */
function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new CodedError("internal", "a setting of the distributed deployment is missing");
  return value;
}
