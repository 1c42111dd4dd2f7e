/** The servers that tests start, whichever way they run. */
import type { BrokerSettings } from "./kafka-settings.ts";

export interface KafkaOptions {
  readonly nodes: 1 | 3;
  /** Broker settings over the usual ones, by Kafka's own names. */
  readonly overrides?: BrokerSettings;
  /** For one node: clients that reach it by `proxied` are sent to this port of 127.0.0.1, where the suite has a proxy. */
  readonly proxyPort?: number;
}

export interface KafkaCluster extends AsyncDisposable {
  /** What runs, for the summary: `Apache Kafka 4.1.1 (local jars)`. */
  readonly server: string;
  /** `host:port`, comma-separated; the same after a restart. */
  readonly brokers: string;
  /** Where the proxy of `proxyPort` is to pass things on to. */
  readonly proxied?: { readonly host: string; readonly port: number };
  /** Where its logs are while it lives; undefined where the logs are elsewhere. */
  readonly logFolder?: string;
  /** SIGKILL to one broker; they are numbered from 1. Resolves when it is gone. */
  kill(node: number): Promise<void>;
  /** Starts a broker again on its data, after killing it if it runs. Resolves when it is ready. */
  restart(node: number): Promise<void>;
  /** Ends all of it, data too. */
  stop(): Promise<void>;
}

export interface MongodbServer extends AsyncDisposable {
  /** What runs, for the summary: `MongoDB 8.0.15 (container)`. */
  readonly server: string;
  /** Without a database; the same after a restart. */
  readonly uri: string;
  /** Is it the Python build, 5 to 200 times slower than the others? */
  readonly slow: boolean;
  readonly logFolder?: string;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on its data, after killing it if it runs. Resolves when it is ready. */
  restart(): Promise<void>;
  /** Ends it, data too. */
  stop(): Promise<void>;
}
