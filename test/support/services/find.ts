/**
 * Where this run's servers come from: those that the environment names; else containers, where a Docker engine
 * answers; else processes of this machine, where it has what they need; else nowhere, and why not.
 */
import { MongoClient } from "mongodb";
import { dockerAnswers, startContainerKafka, startContainerMongodb } from "./containers.ts";
import { Missing } from "./install.ts";
import { checkLocalKafka, startLocalKafka } from "./local-kafka.ts";
import { checkLocalMongodb, startLocalMongodb } from "./local-mongodb.ts";
import { liveBrokers } from "./ready.ts";
import type { KafkaCluster, KafkaOptions, MongodbServer } from "./servers.ts";

export type Form = "containers" | "local";

/** Says in one line why something is not to be had. */
export function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/gu, " ");
}

/** How servers can be started here. Throws `Missing`, with all that stands in the way, where they can't. */
async function form(checkLocal: () => Promise<void>): Promise<Form> {
  if (await dockerAnswers()) return "containers";
  try {
    await checkLocal();
    return "local";
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    throw new Missing(`no Docker engine answers, and ${error.message}`, { cause: error });
  }
}

export const kafkaForm = (): Promise<Form> => form(checkLocalKafka);
export const mongodbForm = (): Promise<Form> => form(checkLocalMongodb);

export async function startKafka(options: KafkaOptions): Promise<KafkaCluster> {
  return (await kafkaForm()) === "containers" ? startContainerKafka(options) : startLocalKafka(options);
}

export async function startMongodbServer(): Promise<MongodbServer> {
  return (await mongodbForm()) === "containers" ? startContainerMongodb() : startLocalMongodb();
}

/** A server for all suites of a run, and how to end it. */
export interface Shared {
  readonly address: string;
  readonly server: string;
  readonly slow: boolean;
  readonly logFolder?: string | undefined;
  stop(): Promise<void>;
}

const KAFKA_VARIABLE = "PASSBUS_TEST_KAFKA_BROKERS";
const MONGODB_VARIABLE = "PASSBUS_TEST_MONGODB_URI";

/** How long a server that the environment names may take to answer, milliseconds. */
const NAMED_LIMIT_MS = 5_000;

const leaveIt = async (): Promise<void> => {};

export async function sharedKafka(): Promise<Shared> {
  const named = process.env[KAFKA_VARIABLE];
  if (named !== undefined && named !== "") {
    const live = await Promise.all(named.split(",").map((address) => liveBrokers(address.trim())));
    if (Math.max(...live) < 1) throw new Missing(`${KAFKA_VARIABLE} names ${named}, where no broker answers`);
    return { address: named, server: `the broker of ${KAFKA_VARIABLE}`, slow: false, stop: leaveIt };
  }
  const cluster = await startKafka({ nodes: 1 });
  const { brokers: address, server, logFolder } = cluster;
  return { address, server, slow: false, logFolder, stop: () => cluster.stop() };
}

/** What the server calls itself; throws where it does not answer. */
async function versionAt(uri: string): Promise<string> {
  await using client = new MongoClient(uri, { serverSelectionTimeoutMS: NAMED_LIMIT_MS });
  const info = await client.db("admin").command({ buildInfo: 1 });
  return String(info.version);
}

export async function sharedMongodb(): Promise<Shared> {
  const uri = process.env[MONGODB_VARIABLE];
  if (uri !== undefined && uri !== "") {
    let version: string;
    try {
      version = await versionAt(uri);
    } catch (error) {
      // Without the URI, which may hold a password.
      throw new Missing(`the server of ${MONGODB_VARIABLE} does not answer`, { cause: error });
    }
    return { address: uri, server: `${version}, of ${MONGODB_VARIABLE}`, slow: false, stop: leaveIt };
  }
  const server = await startMongodbServer();
  return {
    address: server.uri,
    server: server.server,
    slow: server.slow,
    logFolder: server.logFolder,
    stop: () => server.stop(),
  };
}
