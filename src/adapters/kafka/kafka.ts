/**
 * The event log on Kafka, with kafkajs 2.2.4, whose known faults are worked round where they would lose or stop
 * something:
 *
 *   kafkaConnection        here: where the brokers are, and as whom; with codecs.ts, idle.ts and aborted.ts
 *   kafkaLogWriter         log-writer.ts routes to topics, topic-writer.ts batches by partition and answers
 *   kafkaLogReader         log-reader.ts decides, group-member.ts is one consumer, commits.ts its positions
 *   kafkaDeadLetterTopic   dead-letter-topic.ts
 *   kafkaPreparation       preparation.ts: the topics that `passbus init` makes
 *
 * failure.ts is the one place that tells kafkajs' errors apart. Offsets are numbers: they stay exact up to 2^53.
 */
import { createConnection, isIP } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { type ISocketFactory, Kafka, type KafkaConfig, logLevel, type RetryOptions } from "kafkajs";
import type { Clock } from "../../kernel/clock.ts";
import type { Log } from "../../kernel/log.ts";
import { mendAborted } from "./aborted.ts";
import { clientLog } from "./client-log.ts";
import { registerCodecs } from "./codecs.ts";
import { mendIdleLoop } from "./idle.ts";
import { mendOutOfRange } from "./out-of-range.ts";
import { mendRejoin } from "./rejoin.ts";

/** PEM texts, not paths. */
export interface KafkaTls {
  /** Whom to trust beside nobody else; the system's authorities, if left out. */
  readonly caText?: string;
  readonly certText?: string;
  readonly keyText?: string;
}

export interface KafkaSasl {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  readonly password: string;
}

export interface KafkaConnectionOptions {
  /** `host:port` or `[address]:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** Left out: no TLS. */
  readonly tls?: KafkaTls;
  readonly sasl?: KafkaSasl;
  readonly log: Log;
  readonly clock: Clock;
}

/** Where Kafka is, and as whom; the writer, the reader and the rest each make their own client of it. */
export interface KafkaConnection {
  readonly log: Log;
  readonly clock: Clock;
  /**
   * A client of its own, for one consumer or producer: those of one client share the committed offsets of a group. It
   * makes `retries` more tries by itself.
   */
  client(retries: number): Kafka;
}

/** kafkajs' own 1 s is short for TLS over a network. */
const CONNECT_LIMIT_MS = 3_000;
/** How long one request may take. Those that wait by design (join, fetch) have limits of their own. */
export const REQUEST_LIMIT_MS = 10_000;

/** Connects nothing yet. */
export function kafkaConnection(options: KafkaConnectionOptions): KafkaConnection {
  const { brokers, clientId, tls, sasl, log, clock } = options;
  registerCodecs();
  mendIdleLoop();
  mendRejoin();
  mendAborted();
  mendOutOfRange();
  const told = clientLog(log, clock);
  return {
    log,
    clock,
    client(retries) {
      const config: KafkaConfig = {
        brokers: brokers.map(seedAddress),
        clientId,
        ...(tls && { ssl: tlsOptions(tls) }),
        ...(sasl && { sasl: saslOptions(sasl) }),
        socketFactory,
        connectionTimeout: CONNECT_LIMIT_MS,
        requestTimeout: REQUEST_LIMIT_MS,
        retry: retryTimes(retries),
        logLevel: logLevel.INFO,
        logCreator: () => told,
      };
      return new Kafka(config);
    },
  };
}

/** kafkajs' own tries: close together, since whoever uses them tries again. */
export function retryTimes(retries: number): RetryOptions {
  return { retries, initialRetryTime: 100, maxRetryTime: 1_000 };
}

/** One case a mechanism, since kafkajs' type is a union of them. */
function saslOptions({ mechanism, username, password }: KafkaSasl): NonNullable<KafkaConfig["sasl"]> {
  switch (mechanism) {
    case "plain":
      return { mechanism, username, password };
    case "scram-sha-256":
      return { mechanism, username, password };
    case "scram-sha-512":
      return { mechanism, username, password };
  }
}

function tlsOptions({ caText, certText, keyText }: KafkaTls): ConnectionOptions {
  return {
    ...(caText !== undefined && { ca: caText }),
    ...(certText !== undefined && { cert: certText }),
    ...(keyText !== undefined && { key: keyText }),
  };
}

/** kafkajs cuts an address at its first colon, so those of IPv6 travel with semicolons. */
export function seedAddress(broker: string): string {
  const [, address, port] = /^\[([^\]]+)\]:(\d+)$/.exec(broker) ?? [];
  return address === undefined ? broker : `[${address.replaceAll(":", ";")}]:${port}`;
}

export function hostOf(seedHost: string): string {
  return seedHost.startsWith("[") ? seedHost.slice(1, -1).replaceAll(";", ":") : seedHost;
}

const KEEP_ALIVE_MS = 60_000;

const socketFactory: ISocketFactory = ({ host: given, port, ssl, onConnect }) => {
  const host = hostOf(given);
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = ssl
    ? connectTls({ host, port, ...name, ...ssl }, onConnect)
    : createConnection({ host, port }, onConnect);
  socket.setNoDelay(true);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
};

/** What is started, and ended once nobody uses it. */
export interface Connected {
  /** @throws CodedError `log.unavailable` where no broker answers, or it lets nobody in. */
  start(): Promise<void>;
  /** Lets what is under way end first, 30 s at most. */
  close(): Promise<void>;
}
