/** The settings of a test's brokers, the same for processes and containers. */

/** One broker, which is a controller too. */
export interface BrokerNode {
  /** From 1. */
  readonly id: number;
  /** What it listens on: a loopback address, or every address of a container. */
  readonly bindHost: string;
  /** Where clients find it; a client is only ever sent here. */
  readonly clientHost: string;
  readonly clientPort: number;
  /** Where the other nodes find it. */
  readonly innerHost: string;
  readonly innerPort: number;
  readonly controllerPort: number;
  readonly dataFolder: string;
  /** A listener more, whose clients are sent to another port: a proxy's. */
  readonly proxied?: { readonly port: number; readonly proxyPort: number };
}

export type BrokerSettings = Readonly<Record<string, string>>;

/** Any will do that is the same for all nodes and all their starts. */
export const CLUSTER_ID = "cGFzc2J1cy10ZXN0cy0wMQ";

/** What the brokers keep copies of, and what must be written before a record counts. */
function replication(nodes: number): BrokerSettings {
  const copies = nodes >= 3 ? "3" : "1";
  const inSync = nodes >= 3 ? "2" : "1";
  return {
    "default.replication.factor": copies,
    "min.insync.replicas": inSync,
    "offsets.topic.replication.factor": copies,
    "transaction.state.log.replication.factor": copies,
    "transaction.state.log.min.isr": inSync,
    "share.coordinator.state.topic.replication.factor": copies,
    "share.coordinator.state.topic.min.isr": inSync,
  };
}

/** Settings of `self` among `nodes`; `overrides` win. */
export function brokerSettings(
  self: BrokerNode,
  nodes: readonly BrokerNode[],
  overrides: BrokerSettings = {},
): BrokerSettings {
  const { proxied } = self;
  return {
    "process.roles": "broker,controller",
    "node.id": String(self.id),
    "controller.quorum.voters": nodes.map((node) => `${node.id}@${node.innerHost}:${node.controllerPort}`).join(","),
    "controller.listener.names": "CONTROLLER",
    listeners: [
      `PLAINTEXT://${self.bindHost}:${self.clientPort}`,
      `INNER://${self.bindHost}:${self.innerPort}`,
      `CONTROLLER://${self.bindHost}:${self.controllerPort}`,
      ...(proxied === undefined ? [] : [`PROXIED://${self.bindHost}:${proxied.port}`]),
    ].join(","),
    "advertised.listeners": [
      `PLAINTEXT://${self.clientHost}:${self.clientPort}`,
      `INNER://${self.innerHost}:${self.innerPort}`,
      ...(proxied === undefined ? [] : [`PROXIED://127.0.0.1:${proxied.proxyPort}`]),
    ].join(","),
    "inter.broker.listener.name": "INNER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
    "log.dirs": self.dataFolder,
    ...replication(nodes.length),
    "num.partitions": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    // As in production: a topic that is missing is to be noticed.
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.segment.bytes": "16777216",
    "log.index.size.max.bytes": "1048576",
    // After a kill -9 a broker may register again, and a follower take over, only when the old session has run
    // out, which by default takes 9 s.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    ...overrides,
  };
}

/** As the file that a broker reads. */
export function toProperties(settings: BrokerSettings): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}

/** As the variables that Apache Kafka's image reads: `log.dirs` is `KAFKA_LOG_DIRS`; no key of ours has a dash. */
export function toEnvironment(settings: BrokerSettings): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`KAFKA_${key.toUpperCase().replaceAll(".", "_")}`, value]),
  );
}
