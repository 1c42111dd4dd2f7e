/**
 * Kafka and MongoDB in containers, where a Docker engine answers. Not run here: the machine that this was written
 * on has no engine. What it shares with the processes of this machine (broker settings, readiness) is run there.
 */
import type { GenericContainer, StartedNetwork, StartedTestContainer } from "testcontainers";
import { eventually, within } from "../within.ts";
import { type BrokerNode, brokerSettings, CLUSTER_ID, toEnvironment } from "./kafka-settings.ts";
import { kafkaVersion } from "./local-kafka.ts";
import { freePorts } from "./ports.ts";
import { isPrimary, liveBrokers } from "./ready.ts";
import type { KafkaCluster, KafkaOptions, MongodbServer } from "./servers.ts";

// Not apache/kafka-native: it is called experimental, and reading the batches of every codec is what we test.
const KAFKA_IMAGE = `apache/kafka:${kafkaVersion()}`;
const MONGODB_VERSION = "8.0.15";
const MONGODB_IMAGE = `mongo:${MONGODB_VERSION}`;

/** An engine that takes longer than this to answer is none, milliseconds. */
const ENGINE_LIMIT_MS = 5_000;
/** For the server in a container, whose image is there by then, milliseconds. */
const READY_LIMIT_MS = 90_000;

/** The engine's client. Throws where none answers. */
async function engine() {
  const { getContainerRuntimeClient } = await import("testcontainers");
  return within(ENGINE_LIMIT_MS, "an answer of a Docker engine", getContainerRuntimeClient());
}

export async function dockerAnswers(): Promise<boolean> {
  try {
    await engine();
    return true;
  } catch {
    return false;
  }
}

/** `kill -9` in the container, which stays with its data. */
async function killContainer(container: StartedTestContainer): Promise<void> {
  const docker = (await engine()).container.getById(container.getId());
  await docker.kill({ signal: "SIGKILL" });
  await docker.wait({ condition: "not-running" });
}

/** Starts a container again after `killContainer`. Its ports were chosen by us: they are the same. */
async function startAgain(container: StartedTestContainer): Promise<void> {
  await (await engine()).container.getById(container.getId()).start();
}

async function endContainer(container: StartedTestContainer): Promise<void> {
  await container.stop({ timeout: 0, remove: true, removeVolumes: true });
}

const CONTROLLER_PORT = 9093;
const INNER_PORT = 9092;

class ContainerKafka implements KafkaCluster {
  readonly server = `${KAFKA_IMAGE} (container)`;
  readonly brokers: string;
  readonly proxied?: { readonly host: string; readonly port: number };
  readonly #network: StartedNetwork;
  readonly #nodes: readonly BrokerNode[];
  readonly #containers = new Map<number, StartedTestContainer>();
  readonly #killed = new Set<number>();

  constructor(network: StartedNetwork, nodes: readonly BrokerNode[]) {
    this.#network = network;
    this.#nodes = nodes;
    this.brokers = nodes.map((node) => `${node.clientHost}:${node.clientPort}`).join(",");
    const [proxied] = nodes.flatMap(({ clientHost: host, proxied: via }) => (via ? [{ host, port: via.port }] : []));
    if (proxied !== undefined) this.proxied = proxied;
  }

  async start(options: KafkaOptions): Promise<void> {
    const { GenericContainer } = await import("testcontainers");
    await Promise.all(
      this.#nodes.map(async (node) => {
        const container = new GenericContainer(KAFKA_IMAGE)
          .withNetwork(this.#network)
          .withNetworkAliases(node.innerHost)
          .withExposedPorts(
            ...[node.clientPort, ...(node.proxied ? [node.proxied.port] : [])].map((port) => ({
              container: port,
              host: port,
            })),
          )
          .withEnvironment({
            CLUSTER_ID,
            KAFKA_HEAP_OPTS: "-Xms64m -Xmx320m",
            ...toEnvironment(brokerSettings(node, this.#nodes, options.overrides)),
          });
        this.#containers.set(node.id, await container.start());
      }),
    );
    await Promise.all(this.#nodes.map((node) => this.#untilReady(node)));
  }

  async #untilReady(node: BrokerNode): Promise<void> {
    await eventually(READY_LIMIT_MS, `an answer of Kafka broker ${node.id}`, async () => {
      const live = await liveBrokers(`${node.clientHost}:${node.clientPort}`);
      return live >= this.#nodes.length - this.#killed.size ? true : undefined;
    });
  }

  #find(id: number): { node: BrokerNode; container: StartedTestContainer } {
    const node = this.#nodes.find((candidate) => candidate.id === id);
    const container = this.#containers.get(id);
    if (node === undefined || container === undefined) throw new RangeError(`there is no broker ${id}`);
    return { node, container };
  }

  async kill(id: number): Promise<void> {
    const { container } = this.#find(id);
    this.#killed.add(id);
    await killContainer(container);
  }

  async restart(id: number): Promise<void> {
    const { node, container } = this.#find(id);
    if (!this.#killed.has(id)) await this.kill(id);
    this.#killed.delete(id);
    await startAgain(container);
    await this.#untilReady(node);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#containers.values()].map(endContainer));
    this.#containers.clear();
    await this.#network.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A cluster of its own for whoever asks, ready to be used. */
export async function startContainerKafka(options: KafkaOptions): Promise<KafkaCluster> {
  const { Network } = await import("testcontainers");
  const clientHost = (await engine()).info.containerRuntime.host;
  // The ports are chosen here since a broker must know, before it starts, the one that its clients come by.
  const { proxyPort } = options;
  const [proxiedPort = 0] = await freePorts(1);
  const proxied = proxyPort === undefined ? {} : { proxied: { port: proxiedPort, proxyPort } };
  const nodes = (await freePorts(options.nodes)).map((clientPort, index): BrokerNode => {
    const ports = { clientPort, innerPort: INNER_PORT, controllerPort: CONTROLLER_PORT };
    const hosts = { bindHost: "0.0.0.0", clientHost, innerHost: `kafka-${index + 1}` };
    return { id: index + 1, ...hosts, ...ports, ...proxied, dataFolder: "/var/lib/kafka/data" };
  });
  const cluster = new ContainerKafka(await new Network().start(), nodes);
  try {
    await cluster.start(options);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class ContainerMongodb implements MongodbServer {
  readonly server = `MongoDB ${MONGODB_VERSION} (container)`;
  readonly slow = false;
  readonly uri: string;
  readonly #container: StartedTestContainer;
  readonly #address: string;
  #killed = false;

  constructor(container: StartedTestContainer, address: string) {
    this.#container = container;
    this.#address = address;
    this.uri = `mongodb://${address}/`;
  }

  /** Makes it the one member of a replica set, under the address that clients have for it. */
  async initiate(port: number): Promise<void> {
    const members = JSON.stringify([{ _id: 0, host: this.#address }]);
    const script = `rs.initiate({ _id: "rs0", members: ${members} })`;
    await eventually(READY_LIMIT_MS, "a MongoDB replica set", async () => {
      const done = await this.#container.exec(["mongosh", "--quiet", "--port", String(port), "--eval", script]);
      return done.exitCode === 0 ? true : undefined;
    });
    await this.#untilReady();
  }

  async #untilReady(): Promise<void> {
    await eventually(READY_LIMIT_MS, "a MongoDB primary", async () => (await isPrimary(this.#address)) || undefined);
  }

  async kill(): Promise<void> {
    this.#killed = true;
    await killContainer(this.#container);
  }

  async restart(): Promise<void> {
    if (!this.#killed) await this.kill();
    this.#killed = false;
    await startAgain(this.#container);
    await this.#untilReady();
  }

  async stop(): Promise<void> {
    await endContainer(this.#container);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** mongod on the same port inside and outside: the address in the replica set's settings is right in both. */
function mongodbContainer(image: GenericContainer, port: number): GenericContainer {
  return image
    .withExposedPorts({ container: port, host: port })
    .withCommand(["mongod", "--replSet", "rs0", "--bind_ip_all", "--port", String(port)]);
}

/** A server of its own for whoever asks, ready to be used. */
export async function startContainerMongodb(): Promise<MongodbServer> {
  const { GenericContainer } = await import("testcontainers");
  const host = (await engine()).info.containerRuntime.host;
  const [port = 0] = await freePorts(1);
  const container = await mongodbContainer(new GenericContainer(MONGODB_IMAGE), port).start();
  const server = new ContainerMongodb(container, `${host}:${port}`);
  try {
    await server.initiate(port);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}
