import type { Admin, PartitionMetadata } from "kafkajs";
import { exponentialWait } from "../../kernel/backoff.ts";
import { sleep } from "../../kernel/clock.ts";
import { LIMITS } from "../../kernel/limits.ts";
import type { Preparation, PreparationStep } from "../../kernel/preparation.ts";
import { isUnsettled, readFailure, unavailable } from "./failure.ts";
import type { KafkaConnection } from "./kafka.ts";
import { readConfigs, type TopicConfig, withAdmin } from "./topic-configs.ts";

/** A topic as it is to be. */
export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  /** Copies of each partition; if left out 3, or as many as there are brokers. */
  readonly replication?: number;
  /** Settings of the topic by Kafka's names, over `min.insync.replicas` = 2 where there are 3 copies. */
  readonly configEntries?: Readonly<Record<string, string>>;
}

export interface KafkaPreparationOptions {
  readonly connection: KafkaConnection;
  readonly topics: readonly TopicPlan[];
}

/** Looks at topics and makes those that are missing. It needs the permissions to describe and to create. */
export function kafkaPreparation({ connection, topics }: KafkaPreparationOptions): Preparation {
  return new TopicPreparation(connection, topics);
}

const EVENT_PARTITIONS = 12;
const DEAD_PARTITIONS = 3;
const DEAD_KEPT_MS = 30 * 24 * 3_600_000;

/** 12 partitions if left out. The log's own time, since who gets an event is decided by it (protocol, rule 9). */
export function eventTopicPlan(
  name: string,
  { partitions = EVENT_PARTITIONS, replication }: TopicSize = {},
): TopicPlan {
  const configEntries = { "message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete" };
  return { name, partitions, configEntries, ...(replication !== undefined && { replication }) };
}

/** 3 partitions, kept for 30 days. */
export function deadTopicPlan(name: string, { partitions = DEAD_PARTITIONS, replication }: TopicSize = {}): TopicPlan {
  const configEntries = { "retention.ms": String(DEAD_KEPT_MS), "cleanup.policy": "delete" };
  return { name, partitions, configEntries, ...(replication !== undefined && { replication }) };
}

export interface TopicSize {
  readonly partitions?: number;
  /** Copies of each partition; if left out 3, or as many as there are brokers. */
  readonly replication?: number;
}

const USUAL_REPLICATION = 3;
/** For so long brokers may take to tell each other of a new topic. */
const SETTLE_LIMIT_MS = 15_000;
const SETTLE_FIRST_MS = 100;
const SETTLE_MAX_MS = 1_000;
const LOOKED_AT = ["min.insync.replicas", "cleanup.policy", "max.message.bytes", "message.timestamp.type"] as const;
/** An event as large as may be, its key and its headers. */
const EVENT_RECORD_BYTES = LIMITS.eventBytes + 16 * 1024;

export class TopicPreparation implements Preparation {
  readonly #connection: KafkaConnection;
  readonly #plans: readonly TopicPlan[];

  constructor(connection: KafkaConnection, plans: readonly TopicPlan[]) {
    this.#connection = connection;
    this.#plans = plans;
  }

  /** @throws CodedError `log.unavailable` where Kafka does not answer, or does not let anyone look. */
  async survey(): Promise<readonly PreparationStep[]> {
    try {
      return await settled(this.#connection, () => this.#look());
    } catch (error) {
      throw unavailable("Kafka's topics can't be looked at", error);
    }
  }

  #look(): Promise<readonly PreparationStep[]> {
    return withAdmin(this.#connection, async (admin) => {
      const there = new Set(await admin.listTopics());
      const { brokers } = await admin.describeCluster();
      const names = this.#plans.map(({ name }) => name).filter((name) => there.has(name));
      const configs = names.length === 0 ? new Map<string, TopicConfig>() : await readConfigs(admin, names, LOOKED_AT);
      const found = names.length === 0 ? [] : (await admin.fetchTopicMetadata({ topics: names })).topics;
      return this.#plans.map((plan) => {
        const partitions = found.find(({ name }) => name === plan.name)?.partitions;
        return partitions === undefined
          ? this.#missing(plan, brokers.length)
          : existing(plan, partitions, configs.get(plan.name) ?? new Map());
      });
    });
  }

  #missing(plan: TopicPlan, brokers: number): PreparationStep {
    const replication = plan.replication ?? Math.min(USUAL_REPLICATION, brokers);
    const what = describeTopic(plan.name, plan.partitions, replication);
    if (replication > brokers) {
      const detail = `there are ${brokers} brokers for ${replication} replicas: start more, or ask for fewer`;
      return { what, state: "wrong", detail };
    }
    return {
      what,
      state: "missing",
      make: async () => {
        try {
          // Made again it is left as it is.
          await settled(this.#connection, () =>
            withAdmin(this.#connection, (admin) => createTopic(admin, plan, replication)),
          );
        } catch (error) {
          throw unavailable(`topic ${plan.name} could not be made`, error);
        }
      },
    };
  }
}

/** What a new topic isn't ready for is asked again. */
async function settled<T>({ clock }: KafkaConnection, work: () => Promise<T>): Promise<T> {
  const beganMs = clock.monotonic();
  for (let failures = 0; ; failures++) {
    try {
      return await work();
    } catch (error) {
      const isOver = clock.monotonic() - beganMs >= SETTLE_LIMIT_MS;
      if (isOver || !isUnsettled(readFailure(error))) throw error;
      await sleep(clock, exponentialWait(failures, SETTLE_FIRST_MS, SETTLE_MAX_MS));
    }
  }
}

async function createTopic(admin: Admin, plan: TopicPlan, replication: number): Promise<void> {
  const inSync = replication >= USUAL_REPLICATION ? { "min.insync.replicas": "2" } : {};
  const entries = Object.entries({ ...inSync, ...plan.configEntries });
  // Resolves, with false, where another has made it meanwhile.
  await admin.createTopics({
    waitForLeaders: true,
    topics: [
      {
        topic: plan.name,
        numPartitions: plan.partitions,
        replicationFactor: replication,
        configEntries: entries.map(([name, value]) => ({ name, value })),
      },
    ],
  });
}

function describeTopic(name: string, partitions: number, replication: number): string {
  return `topic ${name}, ${count(partitions, "partition")}, ${count(replication, "replica")}`;
}

const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? "" : "s"}`;

/** What passbus can't live with is wrong; what it would have made otherwise is only said. */
function existing(plan: TopicPlan, partitions: readonly PartitionMetadata[], config: TopicConfig): PreparationStep {
  const replication = Math.min(...partitions.map(({ replicas }) => replicas.length));
  const what = describeTopic(plan.name, partitions.length, replication);
  const wrong = mistakes(replication, config);
  const said = differences(plan, partitions.length, config);
  if (wrong.length > 0) return { what, state: "wrong", detail: [...wrong, ...said].join("; ") };
  return { what, state: "present", ...(said.length > 0 && { detail: said.join("; ") }) };
}

function mistakes(replication: number, config: TopicConfig): readonly string[] {
  const found: string[] = [];
  const inSync = Number(config.get("min.insync.replicas") ?? 1);
  if (replication < inSync) {
    found.push(`min.insync.replicas is ${inSync} of ${replication}: nothing can be written; lower it, or add replicas`);
  }
  if (config.get("cleanup.policy")?.includes("compact") === true) {
    found.push("cleanup.policy is compact, which loses all but the last event of a pass; set it to delete");
  }
  const maxBytes = Number(config.get("max.message.bytes") ?? EVENT_RECORD_BYTES);
  if (maxBytes < EVENT_RECORD_BYTES) {
    found.push(`max.message.bytes is ${maxBytes}, too little for an event; set it to ${EVENT_RECORD_BYTES} or more`);
  }
  return found;
}

function differences(plan: TopicPlan, partitions: number, config: TopicConfig): readonly string[] {
  const found: string[] = [];
  if (partitions !== plan.partitions) found.push(`it would be made with ${count(plan.partitions, "partition")} today`);
  const time = config.get("message.timestamp.type");
  if (plan.configEntries?.["message.timestamp.type"] === "LogAppendTime" && time === "CreateTime") {
    found.push(
      "message.timestamp.type is CreateTime: an event is as old as its producer says, and one from before a " +
        "subscription was made does not go to it; LogAppendTime is safer",
    );
  }
  return found;
}
