/** Real Kafka brokers (KRaft) as processes of this machine, from Maven Central's jars. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onPath } from "../requirements.ts";
import { cached, install, javaVersion, Missing, saidBy } from "./install.ts";
import { type BrokerNode, type BrokerSettings, brokerSettings, CLUSTER_ID, toProperties } from "./kafka-settings.ts";
import { type OwnedProcess, ownFolder, removeFolder, runOwned, startOwned, untilReady } from "./owned.ts";
import { freePorts } from "./ports.ts";
import { liveBrokers } from "./ready.ts";
import type { KafkaCluster, KafkaOptions } from "./servers.ts";

const FOLDER = join(import.meta.dirname, "kafka");
const POM = join(FOLDER, "pom.xml");
const HOST = "127.0.0.1";

/** What Kafka 4 needs for a broker (Apache Kafka 4.0 upgrade notes). */
const JAVA_NEEDED = 17;

function jarsFolder(): string {
  return cached("kafka", readFileSync(POM, "utf8"));
}

async function checkJava(): Promise<void> {
  if (!onPath("java")) throw new Missing("java is not on PATH");
  let said: string;
  try {
    said = await saidBy("java", ["-version"]);
  } catch (error) {
    throw new Missing("java -version fails", { cause: error });
  }
  const version = javaVersion(said);
  if (version === undefined || version < JAVA_NEEDED) {
    throw new Missing(`java is version ${version ?? "?"}, and Kafka needs ${JAVA_NEEDED}`);
  }
}

/** Throws `Missing` where this machine can't run a broker. */
export async function checkLocalKafka(): Promise<void> {
  await checkJava();
  if (!existsSync(jarsFolder()) && !onPath("mvn")) throw new Missing("mvn, which fetches the broker, is not on PATH");
}

/** The folder with the broker's jars, fetched once. */
async function jars(): Promise<string> {
  await checkLocalKafka();
  return install(jarsFolder(), (folder, logFile) =>
    runOwned(
      "mvn",
      ["-q", "-B", "-Dstyle.color=never", "-f", POM, "dependency:copy-dependencies"].concat([
        "-DincludeScope=runtime",
        `-DoutputDirectory=${folder}`,
      ]),
      logFile,
    ),
  );
}

/** Small and quick to start: a broker of a test holds little and does not live long. */
const JAVA_OPTIONS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"];

class LocalKafka implements KafkaCluster {
  readonly server = `Apache Kafka ${kafkaVersion()} (local jars)`;
  readonly brokers: string;
  readonly proxied?: { readonly host: string; readonly port: number };
  readonly #nodes: readonly BrokerNode[];
  readonly #folder: string;
  readonly #jars: string;
  readonly #running = new Map<number, OwnedProcess>();

  constructor(folder: string, jarsPath: string, nodes: readonly BrokerNode[]) {
    this.#folder = folder;
    this.#jars = jarsPath;
    this.#nodes = nodes;
    this.brokers = nodes.map((node) => `${HOST}:${node.clientPort}`).join(",");
    const [proxied] = nodes.flatMap((node) => node.proxied ?? []);
    if (proxied !== undefined) this.proxied = { host: HOST, port: proxied.port };
  }

  #settingsFile(node: BrokerNode): string {
    return join(this.#folder, `${node.id}.properties`);
  }

  #logFile(node: BrokerNode): string {
    return join(this.#folder, "logs", `kafka-${node.id}.log`);
  }

  async start(overrides: BrokerSettings): Promise<void> {
    await mkdir(join(this.#folder, "logs"));
    await Promise.all(this.#nodes.map((node) => this.#format(node, overrides)));
    await Promise.all(this.#nodes.map((node) => this.#launch(node)));
    await Promise.all(this.#nodes.map((node) => this.#untilReady(node)));
  }

  async #format(node: BrokerNode, overrides: BrokerSettings): Promise<void> {
    const settings = this.#settingsFile(node);
    await writeFile(settings, toProperties(brokerSettings(node, this.#nodes, overrides)));
    const format = ["format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", settings];
    await runOwned(
      "java",
      ["-Xmx128m", ...JAVA_OPTIONS, "-cp", `${this.#jars}/*`, "kafka.tools.StorageTool", ...format],
      this.#logFile(node),
    );
  }

  async #launch(node: BrokerNode): Promise<void> {
    const memory = ["-Xms64m", "-Xmx320m", "-XX:+ExitOnOutOfMemoryError"];
    const logging = `-Dlog4j2.configurationFile=${join(FOLDER, "log4j2.properties")}`;
    const broker = await startOwned(
      "java",
      [...memory, ...JAVA_OPTIONS, logging, "-cp", `${this.#jars}/*`, "kafka.Kafka", this.#settingsFile(node)],
      this.#logFile(node),
    );
    this.#running.set(node.id, broker);
  }

  /** Ready is a broker that knows as many live ones as were started. */
  async #untilReady(node: BrokerNode): Promise<void> {
    const broker = this.#running.get(node.id);
    if (broker === undefined) throw new Error(`broker ${node.id} was not started`);
    await untilReady(
      `Kafka broker ${node.id}`,
      broker,
      async () => (await liveBrokers(`${HOST}:${node.clientPort}`)) >= this.#running.size,
    );
  }

  #node(id: number): BrokerNode {
    const node = this.#nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new RangeError(`there is no broker ${id}, only 1 to ${this.#nodes.length}`);
    return node;
  }

  async kill(id: number): Promise<void> {
    const node = this.#node(id);
    const broker = this.#running.get(node.id);
    if (broker === undefined) throw new Error(`broker ${id} is not running`);
    this.#running.delete(id);
    await broker.kill();
  }

  async restart(id: number): Promise<void> {
    const node = this.#node(id);
    if (this.#running.has(id)) await this.kill(id);
    await this.#launch(node);
    await this.#untilReady(node);
  }

  async stop(): Promise<void> {
    const brokers = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(brokers.map((broker) => broker.kill()));
    await removeFolder(this.#folder);
  }

  get logFolder(): string {
    return join(this.#folder, "logs");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The version that pom.xml names. */
export function kafkaVersion(): string {
  const version = /<kafka\.version>(?<version>[^<]+)</u.exec(readFileSync(POM, "utf8"))?.groups?.version;
  if (version === undefined) throw new Error(`${POM} names no version of Kafka`);
  return version;
}

/** A cluster of its own for whoever asks, ready to be used. */
export async function startLocalKafka(options: KafkaOptions): Promise<KafkaCluster> {
  const jarsPath = await jars();
  const folder = await ownFolder("passbus-kafka-");
  const ports = await freePorts(3 * options.nodes);
  const { proxyPort } = options;
  const [proxiedPort = 0] = await freePorts(1);
  const proxied = proxyPort === undefined ? {} : { proxied: { port: proxiedPort, proxyPort } };
  const nodes = Array.from({ length: options.nodes }, (_, index): BrokerNode => {
    const [clientPort = 0, innerPort = 0, controllerPort = 0] = ports.slice(3 * index);
    const dataFolder = join(folder, `data-${index + 1}`);
    const hosts = { bindHost: HOST, clientHost: HOST, innerHost: HOST };
    return { id: index + 1, ...hosts, clientPort, innerPort, controllerPort, dataFolder, ...proxied };
  });
  const cluster = new LocalKafka(folder, jarsPath, nodes);
  try {
    await cluster.start(options.overrides ?? {});
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}
