/** LogReader over the simulated log, with the Kafka adapter's own notion of what is fresh. */
import { Assignments } from "../../src/adapters/kafka/assignments.ts";
import { Heartbeats } from "../../src/adapters/kafka/heartbeats.ts";
import type { Assignment, LogReader, Position, RecordSink } from "../../src/intake/event-log.ts";
import { CodedError } from "../../src/kernel/errors.ts";
import { type Given, type Membership, SESSION_MS, type SimulatedLog, TOPIC } from "./log.ts";
import type { Weather } from "./network.ts";
import type { ProcessClock } from "./virtual-clock.ts";
import type { World } from "./world.ts";

const HEARTBEAT_EVERY_MS = 1_000;
const REJOIN_MS = 200;
/** Records that are handed over at once. */
const HANDFUL = 4;

export interface ReaderOptions {
  readonly world: World;
  readonly log: SimulatedLog;
  readonly process: ProcessClock;
  readonly name: string;
  /** Between this process and the log. */
  readonly weather: Weather;
  /** What it has loses its right, from this moment on. */
  readonly onLost: () => void;
}

interface Cursor {
  next: number;
  isFetching: boolean;
}

export class SimulatedReader implements LogReader {
  readonly failed = new Promise<Error>(() => {});
  readonly #options: ReaderOptions;
  readonly #assignments: Assignments;
  readonly #heartbeats: Heartbeats;
  readonly #cursors = new Map<Assignment, Cursor>();
  #member: Membership | undefined;
  #sink: RecordSink | undefined;
  #isPaused = false;
  #isStopped = false;
  #endAppends: () => void = () => {};
  #cancelHeartbeat: (() => void) | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#assignments = new Assignments(options.process);
    this.#heartbeats = new Heartbeats(options.process, SESSION_MS);
  }

  async start(sink: RecordSink): Promise<void> {
    this.#sink = sink;
    this.#endAppends = this.#options.log.onAppend(() => this.#fetchAll());
    this.#open();
    this.#beat();
  }

  setPaused(paused: boolean): void {
    this.#isPaused = paused;
    if (!paused) this.#fetchAll();
  }

  async commit(positions: readonly Position[]): Promise<void> {
    const { log, world, weather } = this.#options;
    const current = positions.filter((position) => this.#assignments.isCurrent(position));
    const member = this.#member;
    if (current.length === 0 || member === undefined) return;
    const isLost = weather.isDown || world.chance(weather.lostRequests);
    const isUnheard = world.chance(weather.lostAnswers);
    await this.#trip();
    if (!isLost) log.commit(member, current);
    await this.#trip();
    if (isLost || isUnheard) throw new CodedError("log.unavailable", "simulated: the position was not taken");
  }

  isFresh(assignment: Assignment): boolean {
    if (!this.#assignments.isCurrent(assignment)) return false;
    if (this.#heartbeats.isFresh) return true;
    this.#lose();
    return false;
  }

  problem(): string | undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.close();
    const member = this.#member;
    this.#member = undefined;
    await this.#trip();
    if (member !== undefined) this.#options.log.leave(member);
    this.#revoke(this.#assignments.clear());
  }

  /** The world keeps nothing of it: for one whose process was killed. */
  close(): void {
    this.#endAppends();
    this.#cancelHeartbeat?.();
  }

  /** One way through the network. */
  #trip(): Promise<void> {
    const { world, weather, process } = this.#options;
    const [least, most] = weather.latencyMs;
    return new Promise((resolve) => {
      world.clock.after(world.between(least, most), () => process.deliver(resolve));
    });
  }

  #open(): void {
    const { log, process, name } = this.#options;
    const member: Membership = {
      name,
      assign: (given, atMs) => process.deliver(() => this.#assign(member, given, atMs)),
    };
    this.#member = member;
    log.join(member);
  }

  #assign(member: Membership, given: readonly Given[], atMs: number): void {
    if (this.#member !== member || this.#isStopped) return;
    this.#revoke(this.#assignments.clear());
    this.#heartbeats.note(this.#options.process.monotonic() - atMs);
    const assignments = this.#assignments.replace({ [TOPIC]: given.map(({ partition }) => partition) });
    this.#options.world.trace(
      () =>
        `${this.#options.name} is given ${given.map((one) => `${one.partition} from ${one.offset}`).join(", ") || "nothing"}`,
    );
    if (assignments.length === 0) return;
    this.#sink?.assigned(assignments);
    assignments.forEach((assignment, at) => {
      this.#cursors.set(assignment, { next: given[at]?.offset ?? 0, isFetching: false });
    });
    this.#fetchAll();
  }

  #beat(): void {
    const { process } = this.#options;
    void this.#sayAlive();
    this.#fetchAll();
    this.#cancelHeartbeat = process.after(HEARTBEAT_EVERY_MS, () => this.#beat());
  }

  async #sayAlive(): Promise<void> {
    const { log, process, world, weather } = this.#options;
    const member = this.#member;
    const sentAtMs = process.monotonic();
    const isLost = weather.isDown || world.chance(weather.lostRequests);
    await this.#trip();
    if (member === undefined || member !== this.#member || isLost) return this.#watch();
    const heard = log.heartbeat(member);
    await this.#trip();
    if (member !== this.#member) return;
    if (heard === "unknown") return this.#lose();
    this.#heartbeats.note(process.monotonic() - sentAtMs);
    if (heard === "rebalancing") {
      this.#revoke(this.#assignments.clear());
      log.rejoin(member);
    }
  }

  #watch(): void {
    if (this.#heartbeats.ageMs !== undefined && !this.#heartbeats.isFresh) this.#lose();
  }

  /** Silent for too long: another may have the partitions. It begins anew as another member. */
  #lose(): void {
    const { log, process } = this.#options;
    const member = this.#member;
    if (member === undefined || this.#isStopped) return;
    this.#member = undefined;
    this.#heartbeats.forget();
    const lost = this.#assignments.clear();
    void Promise.resolve().then(() => this.#revoke(lost));
    process.after(REJOIN_MS, () => {
      log.leave(member);
      if (!this.#isStopped) this.#open();
    });
  }

  #revoke(lost: readonly Assignment[]): void {
    if (lost.length === 0) return;
    this.#options.world.trace(
      () => `${this.#options.name} gives back ${lost.map(({ partition }) => partition).join(", ")}`,
    );
    this.#cursors.clear();
    this.#options.onLost();
    this.#sink?.revoked(lost);
  }

  #fetchAll(): void {
    for (const [assignment, cursor] of this.#cursors) this.#fetch(assignment, cursor);
  }

  #fetch(assignment: Assignment, cursor: Cursor): void {
    const { log, process, world, weather } = this.#options;
    if (cursor.isFetching || this.#isPaused || this.#isStopped || !process.isRunning) return;
    if (log.read(assignment.partition, cursor.next, 1).length === 0) return;
    cursor.isFetching = true;
    const waitMs = weather.isDown ? HEARTBEAT_EVERY_MS : world.between(0, weather.latencyMs[1] * 2);
    process.after(waitMs, () => {
      cursor.isFetching = false;
      if (!this.#assignments.isCurrent(assignment)) return;
      if (!weather.isDown) {
        const records = log.read(assignment.partition, cursor.next, world.between(1, HANDFUL));
        cursor.next += records.length;
        if (records.length > 0) this.#sink?.records(assignment, records);
      }
      this.#fetch(assignment, cursor);
    });
  }
}
