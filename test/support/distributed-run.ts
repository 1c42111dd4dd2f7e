/**
 * A distributed deployment under load, in which things are killed: servers of its own, an API, two workers, and twenty
 * subscriptions of which one is dead and one hangs. Each fault has events of its own; after it three accounts are
 * compared, none of which believes another: the producer's, the receiver's and the store's.
 */
import { Deployment } from "./distributed.ts";
import { DEAD_URL, type Endpoint, judge, subscribe, subscribeElsewhere, subscribeHealthy } from "./endpoints.ts";
import { type NewEvent, numberedEvent, PacedPublisher } from "./paced-publisher.ts";
import type { Clients, RunningPassbus } from "./passbus.ts";
import type { KafkaCluster, MongodbServer } from "./services/servers.ts";
import { startKafkaCluster, startMongodb } from "./services/services.ts";
import { Sink } from "./sink.ts";
import type { Receipt } from "./sink-wire.ts";
import { UnrecordedWatch } from "./unrecorded.ts";
import { eventually } from "./within.ts";

export const HEALTHY = 18;
export const PARTITIONS = 6;
/** An organisation may have ten of its own, and ten of each entity. */
const PER_SCOPE = 10;
const ENTITY = "class-1";
/** 10 events, so 180 webhooks, a second: what is measured is how it comes back, not how much two cores can do. */
const PACE = { batch: 2, everyMs: 200 };
/** More than any fault needs. */
const EVENTS_OF_A_FAULT = 4_000;
/** Events accepted before a fault, and after it. */
const RUN_UP = 20;
/** One of the healthy is slower than a flush and a commit: what is in flight there must hold its offset back. */
const SLOW = { path: "/organisation/healthy-7", answer: { status: 200, afterMs: 150 } };
/** What was in flight for more than a second is under a lease of 60 s, which may have died with its worker. */
const THROUGH_LIMIT_MS = 90_000;
const COMMIT_LIMIT_MS = 20_000;

/** What was done, by whoever did it. */
export interface Fault {
  /** From when on it is to recover, by the wall clock. */
  readonly atMs: number;
  /** What a producer had asked for by then is waited for: the end of an outage, or the fault itself. */
  readonly untilMs: number;
  /** When the workers were whole again: all partitions shared out, every probe content. */
  readonly backMs: number;
  /** When processes died or stopped: what was unrecorded then may be repeated. */
  readonly deathsMs: readonly number[];
}

/** One fault, as the three accounts tell it. */
export interface Account {
  readonly name: string;
  readonly accepted: number;
  /** Different webhooks at healthy endpoints. */
  readonly delivered: number;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly forged: readonly Receipt[];
  readonly repeats: readonly Receipt[];
  /** Those that were recorded at every death and hand-over before them, or that came more often than there were any. */
  readonly unexplained: readonly string[];
  /** Webhooks that were unrecorded at a death. */
  readonly unrecordedAtDeaths: number;
  /** The same at a death, or when a worker lost its partitions to a new share-out. */
  readonly unrecorded: number;
  /** From the fault to the last first webhook of what was to be waited for. */
  readonly recoveredMs: number;
  /** How long something was away. */
  readonly awayMs: number;
  readonly backAfterMs: number;
  /** Rows of healthy endpoints by status, over all faults so far. */
  readonly healthyRows: Readonly<Record<string, number>>;
  /** Open rows of the dead and of the hanging endpoint, over all faults so far. */
  readonly open: readonly number[];
  /** Events over all faults so far. */
  readonly events: number;
  /** Webhooks in whose log there are more attempts than ever came. */
  readonly invented: readonly string[];
  /** Attempts that came, over all faults so far, and are in no log. */
  readonly unlogged: number;
  readonly progress: { readonly end: number; readonly committed: number };
  /** Calls that were answered UNAVAILABLE and repeated. */
  readonly refused: number;
}

export class DistributedRun implements AsyncDisposable {
  readonly kafka: KafkaCluster;
  readonly mongodb: MongodbServer;
  readonly deployment: Deployment;
  readonly api: RunningPassbus;
  readonly watch: UnrecordedWatch;
  /** Those that run. */
  workers: readonly RunningPassbus[];
  readonly #everyWorker: RunningPassbus[];
  readonly #healthy: readonly Endpoint[];
  readonly #bad: readonly Endpoint[];
  readonly #sink: Sink;
  readonly #ends: AsyncDisposableStack;
  readonly #published = new Set<string>();
  readonly #eventIds = new Set<string>();
  #faults = 0;
  /** Webhooks unrecorded at deaths so far: their attempts may be in no log. */
  #mayBeUnlogged = 0;

  private constructor(parts: {
    readonly kafka: KafkaCluster;
    readonly mongodb: MongodbServer;
    readonly deployment: Deployment;
    readonly api: RunningPassbus;
    readonly workers: readonly RunningPassbus[];
    readonly endpoints: { readonly healthy: readonly Endpoint[]; readonly bad: readonly Endpoint[] };
    readonly sink: Sink;
    readonly watch: UnrecordedWatch;
    readonly ends: AsyncDisposableStack;
  }) {
    this.kafka = parts.kafka;
    this.mongodb = parts.mongodb;
    this.deployment = parts.deployment;
    this.api = parts.api;
    this.workers = parts.workers;
    this.watch = parts.watch;
    this.#everyWorker = [...parts.workers];
    this.#healthy = parts.endpoints.healthy;
    this.#bad = parts.endpoints.bad;
    this.#sink = parts.sink;
    this.#ends = parts.ends;
  }

  static async start(): Promise<DistributedRun> {
    await using begun = new AsyncDisposableStack();
    const [kafka, mongodb] = await Promise.all([startKafkaCluster({ nodes: 1 }), startMongodb()]);
    begun.use(kafka);
    begun.use(mongodb);
    const settings = { PASSBUS_KAFKA_PARTITIONS: String(PARTITIONS) };
    const deployment = begun.use(await Deployment.make({ brokers: kafka.brokers, mongodbUri: mongodb.uri }, settings));
    const sink = begun.use(await Sink.start());
    const api = begun.use(await deployment.start("api"));
    const workers = [begun.use(await deployment.start("worker")), begun.use(await deployment.start("worker"))];
    const endpoints = await subscribeAll(api.api, sink);
    const paths = endpoints.healthy.map(({ path }) => path);
    const watch = begun.use(new UnrecordedWatch(sink, deployment.database, paths));
    const parts = { kafka, mongodb, deployment, api, workers, endpoints, sink, watch };
    return new DistributedRun({ ...parts, ends: begun.move() });
  }

  /** Another worker, which has its share of the partitions when this resolves. */
  async addWorker(): Promise<RunningPassbus> {
    const worker = this.#ends.use(await this.deployment.start("worker"));
    this.#everyWorker.push(worker);
    this.workers = [...this.workers, worker];
    return worker;
  }

  removeWorker(gone: RunningPassbus): void {
    this.workers = this.workers.filter((worker) => worker !== gone);
  }

  /** Ids of all events that were accepted. */
  get eventIds(): ReadonlySet<string> {
    return this.#eventIds;
  }

  /** Publishes at a steady pace, has the fault done in the middle, and compares the accounts when all is through. */
  async through(name: string, fault: (publisher: PacedPublisher) => Promise<Fault>): Promise<Account> {
    const publisher = new PacedPublisher(this.#nextEvents(), PACE, this.api.api);
    const published = publisher.run();
    published.catch(() => {});
    const startMs = Date.now();
    await Promise.race([publisher.whenAccepted(RUN_UP), published]);
    const done = await Promise.race([fault(publisher), published.then(() => undefined)]);
    if (done === undefined) throw new Error(`${name}: the events came to an end before the fault did`);
    await Promise.race([publisher.whenAccepted(publisher.accepted.size + RUN_UP), published]);
    publisher.enough();
    await published;
    for (const [pass, { eventId }] of publisher.accepted) {
      this.#published.add(pass);
      this.#eventIds.add(eventId);
    }
    // What did not come in time is told by the comparison, which says what is missing.
    await this.#allThrough().catch(() => {});
    await this.watch.look();
    return this.#account(name, publisher, done, startMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ends.disposeAsync();
  }

  #nextEvents(): readonly NewEvent[] {
    const from = this.#faults++ * EVENTS_OF_A_FAULT;
    return Array.from({ length: EVENTS_OF_A_FAULT }, (_, at) => numberedEvent(from + at, ENTITY));
  }

  async #allThrough(): Promise<void> {
    const paths = this.#healthy.map(({ path }) => path);
    await this.#sink.reach(paths, this.#published.size, THROUGH_LIMIT_MS);
    await eventually(THROUGH_LIMIT_MS, "the record of every webhook", async () => {
      await this.watch.look();
      return this.watch.at(Date.now()).size === 0 ? true : undefined;
    });
    await eventually(COMMIT_LIMIT_MS, "the commit of every record", async () => {
      const { end, committed } = await this.deployment.progress();
      return end === committed ? true : undefined;
    });
  }

  async #account(name: string, publisher: PacedPublisher, fault: Fault, startMs: number): Promise<Account> {
    const { receipts } = this.watch;
    const verdicts = this.#healthy.map((endpoint) => judge(endpoint, receipts, this.#published));
    const repeats = verdicts.flatMap((verdict) => verdict.repeats).filter(({ atMs }) => atMs >= startMs);
    const handOversMs = this.#handOvers().filter((atMs) => atMs >= startMs);
    const atDeaths = new Set(fault.deathsMs.flatMap((atMs) => [...this.watch.at(atMs)]));
    const momentsMs = [...fault.deathsMs, ...handOversMs];
    this.#mayBeUnlogged += atDeaths.size;
    const before = [...publisher.accepted].filter(([, { askedAtMs }]) => askedAtMs <= fault.untilMs);
    const firstTimes = verdicts.flatMap(({ firstAtMs }) =>
      before.map(([pass]) => firstAtMs.get(pass) ?? Number.POSITIVE_INFINITY),
    );
    const accepted = new Set(publisher.accepted.keys());
    return {
      name,
      accepted: accepted.size,
      delivered: verdicts.reduce(
        (sum, { missing }) => sum + accepted.size - missing.filter((pass) => accepted.has(pass)).length,
        0,
      ),
      missing: verdicts.flatMap(({ missing }) => missing),
      unexpected: verdicts.flatMap(({ unexpected }) => unexpected),
      forged: verdicts.flatMap(({ forged }) => forged),
      repeats,
      unexplained: this.#unexplained(repeats, momentsMs),
      unrecordedAtDeaths: atDeaths.size,
      unrecorded: new Set(momentsMs.flatMap((atMs) => [...this.watch.at(atMs)])).size,
      recoveredMs: Math.max(...firstTimes) - fault.atMs,
      awayMs: fault.untilMs - fault.atMs,
      backAfterMs: fault.backMs - fault.atMs,
      ...(await this.#storedAccount()),
      events: this.#published.size,
      progress: await this.deployment.progress(),
      refused: publisher.refused,
    };
  }

  /** When workers had to leave partitions to others, by their own logs: what was in flight then may be sent by those too. */
  #handOvers(): readonly number[] {
    const lines = this.#everyWorker.flatMap((worker) => [
      ...worker.logged("kafka.rebalancing"),
      ...worker.logged("kafka.lost"),
    ]);
    return lines.map(({ time }) => Date.parse(String(time)));
  }

  /** A repeat needs a moment before it at which its webhook was unrecorded; each moment excuses one. */
  #unexplained(repeats: readonly Receipt[], momentsMs: readonly number[]): readonly string[] {
    const unrecordedAt = momentsMs.map((atMs) => ({ atMs, webhooks: this.watch.at(atMs) }));
    const excused = new Map<string, number>();
    const unexplained = repeats.filter(({ webhookId, atMs }) => {
      const excuses = unrecordedAt.filter((moment) => moment.atMs <= atMs && moment.webhooks.has(webhookId)).length;
      const used = excused.get(webhookId) ?? 0;
      excused.set(webhookId, used + 1);
      return used >= excuses;
    });
    return unexplained.map(({ webhookId, path, atMs }) =>
      JSON.stringify({ webhookId, path, atMs, ...this.watch.times(webhookId), momentsMs }),
    );
  }

  async #storedAccount(): Promise<Pick<Account, "healthyRows" | "open" | "invented" | "unlogged">> {
    const came = new Map<string, number>();
    for (const { webhookId } of this.watch.receipts) came.set(webhookId, (came.get(webhookId) ?? 0) + 1);
    const healthyRows: Record<string, number> = {};
    const invented: string[] = [];
    let logged = 0;
    for (const { id } of this.#healthy) {
      const { counts, attempts } = await this.watch.stored(id);
      for (const [status, count] of Object.entries(counts)) healthyRows[status] = (healthyRows[status] ?? 0) + count;
      for (const [webhook, count] of attempts) {
        logged += count;
        if (count > (came.get(webhook) ?? 0)) invented.push(webhook);
      }
    }
    const bad = await Promise.all(this.#bad.map(({ id }) => this.watch.stored(id)));
    return {
      healthyRows,
      invented,
      unlogged: this.watch.receipts.length - logged,
      open: bad.map(({ counts: { waiting = 0, attempting = 0 } }) => waiting + attempting),
    };
  }

  /** From now on a healthy endpoint keeps its answers back: what is sent there comes under leases. */
  hold(): Promise<void> {
    return this.#sink.answer(this.#holding.path, "hold");
  }

  /** It answers all that it kept back, and at once from now on. */
  release(): Promise<void> {
    return this.#sink.release(this.#holding.path);
  }

  /** Deliveries at that endpoint which workers have under a lease now: their fences, by webhook id. */
  leased(): Promise<ReadonlyMap<string, number>> {
    return this.watch.leased(this.#holding.id);
  }

  /** How many of these deliveries have attempts in their log that changed nothing: outcomes that came too late. */
  refusedOutcomes(webhookIds: readonly string[]): Promise<number> {
    return this.watch.refusedOutcomes(webhookIds);
  }

  get #holding(): Endpoint {
    const [first] = this.#healthy;
    if (first === undefined) throw new Error("there is no healthy endpoint");
    return first;
  }

  /** Attempts that may be in no log: they were unrecorded when their worker died. */
  get mayBeUnlogged(): number {
    return this.#mayBeUnlogged;
  }
}

async function subscribeAll(
  api: Clients,
  sink: Sink,
): Promise<{ readonly healthy: readonly Endpoint[]; readonly bad: readonly Endpoint[] }> {
  await sink.answer("/hanging", "hang");
  await sink.answer(SLOW.path, SLOW.answer);
  const bad = [await subscribeElsewhere(api, DEAD_URL), await subscribe(api, sink, "/hanging")];
  const ofOrganisation = await subscribeHealthy(api, sink, "/organisation", PER_SCOPE - bad.length);
  const ofEntity: Endpoint[] = [];
  for (let at = 0; at < PER_SCOPE; at++)
    ofEntity.push(await subscribe(api, sink, `/entity/healthy-${at}`, { entityId: ENTITY }));
  return { healthy: [...ofOrganisation, ...ofEntity], bad };
}
