/** One fault, from its endpoints to its row: who asked for what, what came, and what passbus says of it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type { Subscription, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import type { Verdict } from "./embedded-run.ts";
import { type Endpoint, subscribeHealthy } from "./endpoints.ts";
import { eventsByPass, loggedOf, receivedOf } from "./event-accounts.ts";
import { type Accounts, checkEvents, type Death, lastTakenMs, violationsOf } from "./event-checker.ts";
import type { FaultBed } from "./fault-bed.ts";
import { faultRow } from "./fault-table.ts";
import { type NewEvent, numberedEvent, type Pace, PacedPublisher } from "./paced-publisher.ts";
import type { Clients } from "./passbus.ts";
import type { Answer } from "./sink-wire.ts";
import { UnrecordedWatch } from "./unrecorded.ts";
import { eventually, within } from "./within.ts";

export type Draft = Omit<Exclude<MessageInitShape<typeof SubscriptionSchema>, Subscription>, "url">;

/** Endpoints of a trial, every second one in PassKit's format. */
export const HEALTHY = 4;
/** 20 events, so 80 webhooks, a second: what is measured is how it comes back, not how much two cores can do. */
export const STEADY: Pace = { batch: 2, everyMs: 100 };
/** More than a steady pace brings in any fault; `enough` ends it. */
export const PLENTY = 5_000;
/** 100 events a second. */
const PACE: Pace = { batch: 2, everyMs: 20 };
const THROUGH_LIMIT_MS = 60_000;

export class Trial implements AsyncDisposable {
  readonly entity: string;
  readonly endpoints: readonly Endpoint[];
  readonly watch: UnrecordedWatch;
  readonly sinceMs = Date.now();
  readonly #bed: FaultBed;
  readonly #asked: NewEvent[] = [];
  readonly #publishers: PacedPublisher[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #accepted = new Set<string>();
  readonly #died: Death[] = [];
  readonly #diedMs: number[] = [];

  private constructor(bed: FaultBed, entity: string, endpoints: readonly Endpoint[]) {
    this.#bed = bed;
    this.entity = entity;
    this.endpoints = endpoints;
    this.watch = new UnrecordedWatch(bed.sink, bed.deployment.database, this.paths);
  }

  static async start(bed: FaultBed, entity: string, draft: Draft): Promise<Trial> {
    const { api, sink } = bed;
    const endpoints = await subscribeHealthy(api.api, sink, `/${entity}`, HEALTHY, { ...draft, entityId: entity });
    return new Trial(bed, entity, endpoints);
  }

  get paths(): readonly string[] {
    return this.endpoints.map(({ path }) => path);
  }

  /** The next events, which nobody has published yet. */
  next(count: number): readonly NewEvent[] {
    const from = this.#asked.length;
    const events = Array.from({ length: count }, (_, at) => numberedEvent(from + at, this.entity));
    this.#asked.push(...events);
    return events;
  }

  /** Begins to publish so many new events. `settled` waits for the end. */
  publish(count: number, pace: Pace = PACE, clients: Clients = this.#bed.api.api): PacedPublisher {
    const publisher = new PacedPublisher(this.next(count), pace, clients);
    this.#publishers.push(publisher);
    const running = publisher.run();
    running.catch(() => {});
    this.#running.push(running);
    return publisher;
  }

  /** Waits for something of a publisher's; rejects where publishing fails before it comes. */
  async until(condition: Promise<void>): Promise<void> {
    await Promise.race([condition, Promise.all(this.#running).then(() => condition)]);
  }

  /** The log took these, by another way than the API. */
  accept(events: readonly NewEvent[]): void {
    for (const { id } of events) this.#accepted.add(id);
  }

  /** Ids of the events that were accepted so far. */
  get accepted(): ReadonlySet<string> {
    const published = this.#publishers.flatMap((publisher) => [...publisher.accepted.values()]);
    return new Set([...this.#accepted, ...published.map(({ eventId }) => eventId)]);
  }

  /** One worker of several died, or stood still from then on. */
  died(atMs: number): void {
    this.#diedMs.push(atMs);
  }

  /** The only worker died, and there is no other yet: what had come more often than the store knows of may come again. */
  async diedAlone(atMs: number): Promise<void> {
    await this.#bed.sink.left();
    const recorded = new Map<string, number>();
    for (const { id } of this.endpoints) {
      for (const [webhook, attempts] of (await this.watch.stored(id)).attempts) recorded.set(webhook, attempts);
    }
    const receipts = (await this.#bed.sink.receipts()).filter(({ path }) => this.paths.includes(path));
    const came = Map.groupBy(receipts, ({ webhookId }) => webhookId);
    const unrecorded = [...came].filter(([id, requests]) => requests.length > (recorded.get(id) ?? 0));
    this.#died.push({ atMs, unrecorded: new Set(unrecorded.map(([id]) => id)) });
  }

  async answer(answer: Answer): Promise<void> {
    for (const path of this.paths) await this.#bed.sink.answer(path, answer);
  }

  /** Answers what was kept back, and at once from now on. */
  async release(): Promise<void> {
    for (const path of this.paths) await this.#bed.sink.release(path);
  }

  /** Resolves when each endpoint has had so many requests. */
  async requests(count: number): Promise<void> {
    await Promise.all(this.paths.map((path) => this.#bed.sink.requests(path, count, 15_000)));
  }

  /** Deliveries in the store by status, over all endpoints; read past the proxy. */
  async rows(): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for (const { id } of this.endpoints) {
      const stored = await this.watch.stored(id);
      for (const [status, count] of Object.entries(stored.counts)) counts[status] = (counts[status] ?? 0) + count;
    }
    return counts;
  }

  /** Waits until all is published, came, is recorded and committed, and judges. What is missing then, the judgement says. */
  async settled(limitMs = THROUGH_LIMIT_MS): Promise<Verdict> {
    await within(limitMs, "the end of publishing", Promise.all(this.#running));
    const events = this.accepted.size;
    const through = async () => {
      await this.#bed.sink.reach(this.paths, events, limitMs);
      await eventually(limitMs, "the record of every webhook", async () => {
        await this.watch.look();
        return this.watch.at(Date.now()).size === 0 ? true : undefined;
      });
      await eventually(20_000, "the commit of every record", async () => {
        const { end, committed } = await this.#bed.deployment.progress();
        return end === committed ? true : undefined;
      });
    };
    let late: unknown;
    await through().catch((error: unknown) => {
      late = error;
    });
    return this.#judge(late);
  }

  async #judge(late: unknown): Promise<Verdict> {
    const receipts = await this.#bed.sink.receipts();
    const accounts: Accounts = {
      accepted: this.accepted,
      asked: new Set(this.#asked.map(({ id }) => id)),
      healthy: this.endpoints.map(({ id }) => id),
      received: receivedOf(receipts, this.endpoints, eventsByPass(this.#asked)),
      logged: await loggedOf(this.#bed.api.api, this.endpoints),
      deaths: this.#deaths(),
    };
    const findings = checkEvents(accounts);
    const recovered = (sinceMs: number, events: Iterable<string>) => lastTakenMs(accounts, events) - sinceMs;
    return {
      accounts,
      findings,
      violations: [...violationsOf(findings), ...(late === undefined ? [] : [String(late)])],
      row: (name, sinceMs, events = accounts.accepted) =>
        faultRow(name, findings, sinceMs === undefined ? undefined : recovered(sinceMs, events)),
    };
  }

  /**
   * A death, and what the others lost when the group shared out anew because of it, is one occasion to repeat: until
   * somebody has the partitions again nobody can.
   */
  #deaths(): readonly Death[] {
    const { lostMs, joinedMs } = this.#bed.handOvers();
    const momentsMs = [...this.#diedMs, ...lostMs].filter((atMs) => atMs >= this.sinceMs).sort((a, b) => a - b);
    const deaths: { atMs: number; unrecorded: Set<string> }[] = [];
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const atMs of momentsMs) {
      const death = deaths.at(-1);
      const unrecorded = this.watch.at(atMs);
      const isNext = joinedMs.some((joined) => joined > lastMs && joined <= atMs);
      if (death === undefined || isNext) deaths.push({ atMs, unrecorded: new Set(unrecorded) });
      else for (const id of unrecorded) death.unrecorded.add(id);
      lastMs = atMs;
    }
    return [...this.#died, ...deaths].sort((left, right) => left.atMs - right.atMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Calls that nobody will answer any more.
    for (const publisher of this.#publishers) {
      publisher.enough();
      publisher.interrupt();
    }
    await this.watch[Symbol.asyncDispose]();
  }
}

/** Judges a trial that must have no violation. */
export async function settled(trial: Trial, limitMs?: number): Promise<Verdict> {
  const verdict = await trial.settled(limitMs);
  expect(verdict.violations.join("; ")).toBe("");
  expect(verdict.findings.repeats.length).toBeLessThanOrEqual(verdict.findings.repeatBound);
  return verdict;
}

/** The time, as a condition: whoever waits for it says what for. */
export function until(atMs: number, what: string): Promise<true> {
  return eventually(Math.max(0, atMs - Date.now()) + 5_000, what, () => (Date.now() >= atMs ? true : undefined));
}
