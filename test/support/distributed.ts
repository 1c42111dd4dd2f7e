/** A distributed deployment of a suite's own on servers that it shares: topics, group and database that nobody else has. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { type Db, MongoClient } from "mongodb";
import { CHILD_ENV } from "./child-env.ts";
import { BOOTSTRAP_KEY, RunningPassbus } from "./passbus.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

export interface Servers {
  readonly brokers: string;
  /** Of the MongoDB server, without a database. */
  readonly mongodbUri: string;
}

/** How far a group is in a topic, over all partitions. */
export interface Progress {
  /** Records that the topic has, or had. */
  readonly end: number;
  readonly committed: number;
}

type Settings = Readonly<Record<string, string>>;

export class Deployment implements AsyncDisposable {
  readonly topic: string;
  readonly deadTopic: string;
  readonly group: string;
  readonly settings: Settings;
  readonly admin: Admin;
  readonly #kafka: Kafka;
  readonly #mongo: MongoClient;
  readonly #database: string;

  private constructor({ brokers, mongodbUri }: Servers, settings: Settings) {
    const name = `passbus-test-${randomBytes(5).toString("hex")}`;
    this.topic = `${name}.events`;
    this.deadTopic = `${name}.dead`;
    this.group = name;
    this.#database = name;
    this.settings = {
      PASSBUS_KAFKA_BROKERS: brokers,
      PASSBUS_KAFKA_TOPIC: this.topic,
      PASSBUS_KAFKA_DEAD_TOPIC: this.deadTopic,
      PASSBUS_KAFKA_GROUP: name,
      PASSBUS_KAFKA_PARTITIONS: "6",
      PASSBUS_MONGODB_URI: withDatabase(mongodbUri, name),
      PASSBUS_ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
      ...settings,
    };
    this.#kafka = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING });
    this.admin = this.#kafka.admin();
    this.#mongo = new MongoClient(mongodbUri, { serverSelectionTimeoutMS: 60_000 });
  }

  /** Makes topics and indexes with `passbus init`. `settings` go over those that tests need. */
  static async make(servers: Servers, settings: Settings = {}): Promise<Deployment> {
    const deployment = new Deployment(servers, settings);
    await deployment.command("init");
    await deployment.admin.connect();
    await deployment.#mongo.connect();
    return deployment;
  }

  /** Runs a command of passbus to its end; what it wrote to the standard output. Rejects where it fails. */
  async command(...args: readonly string[]): Promise<string> {
    const main = join(ROOT, "src", "main.ts");
    const environment = { ...CHILD_ENV, PASSBUS_BOOTSTRAP_KEY: BOOTSTRAP_KEY, ...this.settings };
    const { stdout } = await run(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...args], {
      cwd: ROOT,
      env: environment,
      timeout: 60_000,
    });
    return stdout;
  }

  /** Another process of it, which has said that it is ready. One without the role `api` answers the probes alone. */
  start(roles: "api" | "worker" | "api,worker", settings: Settings = {}): Promise<RunningPassbus> {
    // It keeps nothing in a directory: one that can't be is proof.
    return RunningPassbus.start("/proc/nowhere", { ...this.settings, PASSBUS_ROLES: roles, ...settings });
  }

  get database(): Db {
    return this.#mongo.db(this.#database);
  }

  async progress(): Promise<Progress> {
    const ends = await this.admin.fetchTopicOffsets(this.topic);
    const groups = await this.admin.fetchOffsets({ groupId: this.group, topics: [this.topic] });
    const committed = (groups[0]?.partitions ?? []).map(({ offset }) => Math.max(0, Number(offset)));
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    return { end: sum(ends.map(({ high }) => Number(high))), committed: sum(committed) };
  }

  /** Takes its topics and its database away, where the servers still answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.deleteTopics({ topics: [this.topic, this.deadTopic] }).catch(() => {});
    await this.admin.disconnect();
    await this.database.dropDatabase().catch(() => {});
    await this.#mongo.close();
  }
}

function withDatabase(uri: string, name: string): string {
  const url = new URL(uri);
  url.pathname = `/${name}`;
  return url.href;
}
