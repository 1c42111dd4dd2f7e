/**
 * An embedded passbus under a steady load, to which something is done. At the end of a run the judge compares what the
 * producer, the receiver and passbus itself say (event-checker.ts), and the run's row says what it came to.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { type Endpoint, subscribe, subscribeElsewhere, subscribeHealthy } from "./endpoints.ts";
import { deathOf, eventsByPass, loggedOf, receivedOf } from "./event-accounts.ts";
import { type Accounts, checkEvents, type Death, type Findings, lastTakenMs, violationsOf } from "./event-checker.ts";
import { type FaultRow, faultRow } from "./fault-table.ts";
import { type NewEvent, numberedEvents, type Pace, PacedPublisher } from "./paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "./passbus.ts";
import { Sink } from "./sink.ts";
import { type Remains, remains, statusCounts } from "./store-files.ts";
import { eventually } from "./within.ts";

export interface EmbeddedRunOptions {
  /** Healthy endpoints, every second one in PassKit's format. */
  readonly healthy: number;
  /** Where it keeps its data; default: a directory of the run's own. */
  readonly dataDir?: string;
  /** Environment variables over those that tests need. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly launcher?: readonly string[];
  /** Of the healthy ones' subscriptions. */
  readonly draft?: Draft;
}

type Draft = Omit<Exclude<MessageInitShape<typeof SubscriptionSchema>, { readonly $typeName: unknown }>, "url">;

/** A process that died. */
export interface Crash {
  /**
   * Between its death and the next one's start, by the wall clock: as late as can be, since what had left it by then may
   * still lie unread at a receiver that is busy.
   */
  atMs: number;
  readonly left: Remains;
  /** Ids of the events that had been accepted. */
  readonly accepted: ReadonlySet<string>;
}

/** What a run came to. */
export interface Verdict {
  readonly accounts: Accounts;
  readonly findings: Findings;
  /** Empty where all is well. */
  readonly violations: readonly string[];
  /** With the time from `sinceMs` until the last of `events` was first taken. */
  row(name: string, sinceMs?: number, events?: Iterable<string>): FaultRow;
}

const PACE: Pace = { batch: 4, everyMs: 20 };
const THROUGH_LIMIT_MS = 30_000;

export class EmbeddedRun implements AsyncDisposable {
  readonly sink: Sink;
  readonly dataDir: string;
  /** The one that runs, or ran last. */
  passbus: RunningPassbus;
  healthy: readonly Endpoint[] = [];
  broken: readonly Endpoint[] = [];
  readonly crashes: Crash[] = [];
  /** The newest of them, until the next start. */
  #unburied: Crash | undefined;
  readonly #options: EmbeddedRunOptions;
  readonly #ends: AsyncDisposableStack;
  readonly #asked: NewEvent[] = [];
  readonly #publishers: PacedPublisher[] = [];
  readonly #running: Promise<void>[] = [];

  private constructor(
    sink: Sink,
    dataDir: string,
    passbus: RunningPassbus,
    options: EmbeddedRunOptions,
    ends: AsyncDisposableStack,
  ) {
    this.sink = sink;
    this.dataDir = dataDir;
    this.passbus = passbus;
    this.#options = options;
    this.#ends = ends;
  }

  static async start(options: EmbeddedRunOptions): Promise<EmbeddedRun> {
    await using begun = new AsyncDisposableStack();
    const sink = begun.use(await Sink.start());
    const dataDir = options.dataDir ?? begun.use(new DataDirectory()).path;
    const passbus = await RunningPassbus.start(dataDir, options.settings, options.launcher);
    // Whichever runs at the end.
    const run: EmbeddedRun = new EmbeddedRun(sink, dataDir, passbus, options, begun.move());
    try {
      run.healthy = await subscribeHealthy(passbus.api, sink, "", options.healthy, options.draft);
      return run;
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Subscribes a path of the sink that won't take what it gets; passbus is to keep its deliveries. */
  async subscribeBroken(path: string, draft: Draft = {}): Promise<Endpoint> {
    const endpoint = await subscribe(this.passbus.api, this.sink, path, draft);
    this.broken = [...this.broken, endpoint];
    return endpoint;
  }

  async subscribeElsewhere(url: string, draft: Draft = {}): Promise<Endpoint> {
    const endpoint = await subscribeElsewhere(this.passbus.api, url, draft);
    this.broken = [...this.broken, endpoint];
    return endpoint;
  }

  /** Begins to publish so many new events, or these. `settled` waits for the end. */
  publish(events: number | readonly NewEvent[], pace: Pace = PACE): PacedPublisher {
    const from = this.#asked.length;
    const fresh = typeof events === "number" ? numberedEvents(from + events).slice(from) : events;
    this.#asked.push(...fresh);
    const publisher = new PacedPublisher(fresh, pace, this.passbus.api);
    this.#publishers.push(publisher);
    const running = publisher.run();
    running.catch(() => {});
    this.#running.push(running);
    return publisher;
  }

  /** Waits for something of a publisher's; rejects where publishing fails before it comes. */
  async until(condition: Promise<void>): Promise<void> {
    const failed = Promise.all(this.#running).then(() => condition);
    await Promise.race([condition, failed]);
  }

  /** Ids of the events that were accepted so far. */
  get accepted(): ReadonlySet<string> {
    const accepted = this.#publishers.flatMap((publisher) => [...publisher.accepted.values()]);
    return new Set(accepted.map(({ eventId }) => eventId));
  }

  /** kill -9, and a look at what it left, less what `spoil` does to it. */
  async kill(spoil: () => Promise<void> = async () => {}): Promise<Crash> {
    // First of all, or the calls under way are answered meanwhile and nothing breaks.
    const ended = this.passbus.end("SIGKILL");
    for (const publisher of this.#publishers) publisher.interrupt();
    await ended;
    await this.sink.left();
    await spoil();
    const crash = { atMs: Date.now(), left: remains(this.dataDir), accepted: this.accepted };
    this.crashes.push(crash);
    this.#unburied = crash;
    return crash;
  }

  /** The next process, ready. */
  async restart(): Promise<RunningPassbus> {
    if (this.#unburied !== undefined) this.#unburied.atMs = Date.now();
    this.#unburied = undefined;
    this.passbus = await RunningPassbus.start(this.dataDir, this.#options.settings, this.#options.launcher);
    for (const publisher of this.#publishers) publisher.resume(this.passbus.api);
    return this.passbus;
  }

  /** Waits until all is published, came, and is recorded, and judges. What did not come in time, the judgement says. */
  async settled(limitMs = THROUGH_LIMIT_MS): Promise<Verdict> {
    await Promise.all(this.#running);
    const paths = this.healthy.map(({ path }) => path);
    const events = this.accepted.size;
    const isRecorded = ({ id }: Endpoint) => (statusCounts(this.dataDir, id).delivered ?? 0) >= events;
    await this.sink
      .reach(paths, events, limitMs)
      .then(() =>
        eventually(limitMs, "the record of every webhook", () => (this.healthy.every(isRecorded) ? true : undefined)),
      )
      .catch(() => {});
    return this.judge();
  }

  /** Judges as things are now. `more`: deaths of another kind than `kill`'s. */
  async judge(more: readonly Death[] = []): Promise<Verdict> {
    const receipts = await this.sink.receipts();
    const endpoints = [...this.healthy, ...this.broken];
    const deaths = [...this.crashes.map(({ atMs, left }) => deathOf(atMs, left, receipts)), ...more];
    const accounts: Accounts = {
      accepted: this.accepted,
      asked: new Set(this.#asked.map(({ id }) => id)),
      healthy: this.healthy.map(({ id }) => id),
      broken: this.broken.map(({ id }) => id),
      received: receivedOf(receipts, endpoints, eventsByPass(this.#asked)),
      logged: await loggedOf(this.passbus.api, endpoints),
      deaths: deaths.sort((left, right) => left.atMs - right.atMs),
    };
    const findings = checkEvents(accounts);
    const recovered = (sinceMs: number, events: Iterable<string>) => lastTakenMs(accounts, events) - sinceMs;
    return {
      accounts,
      findings,
      violations: violationsOf(findings),
      row: (name, sinceMs, events = accounts.accepted) =>
        faultRow(name, findings, sinceMs === undefined ? undefined : recovered(sinceMs, events)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.passbus[Symbol.asyncDispose]();
    // Calls that nobody will answer any more.
    for (const publisher of this.#publishers) publisher.interrupt();
    await this.#ends.disposeAsync();
  }
}
