/**
 * A distributed passbus to be broken: an API and workers as processes, with proxies between them and their servers. Each
 * fault is a trial with endpoints and events of its own, judged by event-checker.ts from what the producer, the receiver
 * and passbus's API say.
 */
import { Deployment } from "./distributed.ts";
import { FaultProxy } from "./fault-proxy.ts";
import type { RunningPassbus } from "./passbus.ts";
import type { KafkaCluster, MongodbServer } from "./services/servers.ts";
import { Sink } from "./sink.ts";
import { type Draft, Trial } from "./trial.ts";

export interface BedOptions {
  readonly kafka: KafkaCluster;
  /** Where the brokers' clients are sent, if a proxy is to stand before them. */
  readonly proxyPort?: number;
  readonly mongodb: Pick<MongodbServer, "uri">;
  readonly workers: number;
}

export const PARTITIONS = 6;
/** Shorter than by default, so that a worker that was killed is missed soon. The brokers must let a group have it. */
export const SESSION_MS = 3_000;
export const SHORT_SESSIONS = { "group.min.session.timeout.ms": "1000" };

export class FaultBed implements AsyncDisposable {
  readonly sink: Sink;
  readonly deployment: Deployment;
  readonly store: FaultProxy;
  /** Of the brokers, past the proxy. */
  readonly brokers: string;
  readonly #log: FaultProxy | undefined;
  api: RunningPassbus;
  /** Those that run. */
  workers: readonly RunningPassbus[] = [];
  readonly #everyWorker: RunningPassbus[] = [];
  readonly #ends: AsyncDisposableStack;
  readonly #settings: Readonly<Record<string, string>>;
  #trials = 0;

  private constructor(
    parts: Pick<FaultBed, "sink" | "deployment" | "store" | "brokers" | "api">,
    log: FaultProxy | undefined,
    settings: Readonly<Record<string, string>>,
    ends: AsyncDisposableStack,
  ) {
    this.sink = parts.sink;
    this.deployment = parts.deployment;
    this.store = parts.store;
    this.brokers = parts.brokers;
    this.#log = log;
    this.api = parts.api;
    this.#settings = settings;
    this.#ends = ends;
  }

  static async start(options: BedOptions): Promise<FaultBed> {
    await using begun = new AsyncDisposableStack();
    const { kafka, proxyPort, mongodb } = options;
    const { brokers } = kafka;
    const target = new URL(mongodb.uri);
    const store = begun.use(await FaultProxy.start({ host: target.hostname, port: Number(target.port || "27017") }));
    const log = proxyPort === undefined ? undefined : begun.use(await logProxy(kafka, proxyPort));
    const deployment = begun.use(
      await Deployment.make(
        { brokers, mongodbUri: mongodb.uri },
        { PASSBUS_KAFKA_PARTITIONS: String(PARTITIONS), PASSBUS_KAFKA_SESSION_TIMEOUT: `${SESSION_MS}ms` },
      ),
    );
    const settings = {
      PASSBUS_MONGODB_URI: through(deployment.settings.PASSBUS_MONGODB_URI ?? "", store),
      ...(log === undefined ? {} : { PASSBUS_KAFKA_BROKERS: `127.0.0.1:${log.port}` }),
    };
    const sink = begun.use(await Sink.start());
    const api = begun.use(await deployment.start("api", settings));
    const bed = new FaultBed({ sink, deployment, store, brokers, api }, log, settings, begun.move());
    try {
      for (let at = 0; at < options.workers; at++) await bed.addWorker();
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Between passbus and the brokers. */
  get log(): FaultProxy {
    if (this.#log === undefined) throw new Error("no proxy stands before the brokers");
    return this.#log;
  }

  /** Another API process, ready; nobody calls it yet. */
  async startApi(): Promise<RunningPassbus> {
    return this.#ends.use(await this.deployment.start("api", this.#settings));
  }

  /** Another worker, which is in the group when this resolves. */
  async addWorker(): Promise<RunningPassbus> {
    const worker = this.#ends.use(await this.deployment.start("worker", this.#settings));
    this.#everyWorker.push(worker);
    this.workers = [...this.workers, worker];
    return worker;
  }

  /** Ends a worker, and forgets it. Resolves when the process is gone, and tells when that was. */
  async endWorker(worker: RunningPassbus, signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    this.workers = this.workers.filter((other) => other !== worker);
    await worker.end(signal, 30_000);
    return Date.now();
  }

  /** As whoever supervises workers does: those that have ended by themselves are replaced. */
  async restartEnded(): Promise<void> {
    for (const worker of this.workers.filter(({ hasEnded }) => hasEnded)) {
      this.workers = this.workers.filter((other) => other !== worker);
      await this.addWorker();
    }
  }

  /** So many, and no more. */
  async haveWorkers(count: number): Promise<void> {
    for (const worker of this.workers.slice(count)) await this.endWorker(worker, "SIGTERM");
    while (this.workers.length < count) await this.addWorker();
  }

  /** The only one. */
  get worker(): RunningPassbus {
    const [worker] = this.workers;
    if (worker === undefined || this.workers.length > 1) throw new Error(`there are ${this.workers.length} workers`);
    return worker;
  }

  /** Endpoints of a fault's own, in an entity of its own. */
  trial(draft: Draft = {}): Promise<Trial> {
    this.#trials += 1;
    return Trial.start(this, `class-${this.#trials}`, draft);
  }

  /**
   * When workers lost partitions, or cut what was in flight at their stop, by their own logs, and when any of them had partitions again: between two of the latter
   * each webhook can pass to another worker once.
   */
  handOvers(): { readonly lostMs: readonly number[]; readonly joinedMs: readonly number[] } {
    const times = (event: string) =>
      this.#everyWorker.flatMap((worker) => worker.logged(event).map(({ time }) => Date.parse(String(time))));
    const lostMs = [...times("kafka.rebalancing"), ...times("kafka.lost"), ...times("delivery.drain_cut")];
    return { lostMs, joinedMs: times("kafka.joined") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ends.disposeAsync();
  }
}

function logProxy({ proxied }: KafkaCluster, proxyPort: number): Promise<FaultProxy> {
  if (proxied === undefined) throw new Error("these brokers know of no proxy");
  return FaultProxy.start({ ...proxied, listenPort: proxyPort });
}

/** The same database, by the proxy: the driver is not to look for the server itself. */
function through(uri: string, { port }: FaultProxy): string {
  const url = new URL(uri);
  url.host = `127.0.0.1:${port}`;
  url.searchParams.delete("replicaSet");
  url.searchParams.set("directConnection", "true");
  return url.href;
}
