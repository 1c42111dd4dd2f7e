import { setImmediate as immediate } from "node:timers/promises";
import type { EachBatchPayload, IMemberAssignment } from "kafkajs";
import type { Assignment, LogLag, LogReader, Position, RecordSink } from "../../intake/event-log.ts";
import { exponentialWait } from "../../kernel/backoff.ts";
import { type Clock, sleep, waitAtMost } from "../../kernel/clock.ts";
import { CodedError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import { Assignments } from "./assignments.ts";
import { Commits } from "./commits.ts";
import { isFinal, isUnknownTopic, missingTopic, readFailure, unavailable } from "./failure.ts";
import { GroupMember, type GroupSettings, type MemberEvents } from "./group-member.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { KafkaConnection } from "./kafka.ts";
import { Lags } from "./lags.ts";
import { logRecord } from "./records.ts";

export interface KafkaLogReaderOptions {
  readonly connection: KafkaConnection;
  readonly topics: readonly string[];
  readonly group: string;
  /** Without a heartbeat for this long the group gives a process's partitions to others; 10 s, if left out. */
  readonly sessionTimeoutMs?: number;
  /** Without being in the group for this long, `failed` resolves; 60 s, if left out. */
  readonly outageLimitMs?: number;
}

const SESSION_MS = 10_000;
const OUTAGE_MS = 60_000;
const REBALANCE_MS = 30_000;
/** A join takes as long as the slowest member of the group, and that as long as the rebalance timeout. */
const JOIN_MS = REBALANCE_MS + 5_000;
/** Heartbeats in a session timeout. */
const HEARTBEATS = 5;
/** What a partition brings in one fetch. Of the first that has anything the broker sends one batch, however large (KIP-74). */
const PARTITION_BYTES = 1024 * 1024;
const METADATA_MAX_AGE_MS = 60_000;

/**
 * A group that is new begins with the oldest records there are. A position past which there are only control records
 * of transactions stays before them: the group's lag is then never zero, and nothing is behind it.
 */
export function kafkaLogReader(options: KafkaLogReaderOptions): LogReader {
  const { connection, topics, group, sessionTimeoutMs: sessionMs = SESSION_MS } = options;
  const settings = {
    topics,
    group,
    sessionMs,
    heartbeatMs: Math.floor(sessionMs / HEARTBEATS),
    rebalanceMs: REBALANCE_MS,
    partitionBytes: PARTITION_BYTES,
    metadataMaxAgeMs: METADATA_MAX_AGE_MS,
  };
  return new KafkaReader(connection, settings, { outageMs: options.outageLimitMs ?? OUTAGE_MS, joinMs: JOIN_MS });
}

export interface ReaderLimits {
  /** Without being in the group for this long, the process must end. */
  readonly outageMs: number;
  /** Joining takes no longer, or it hangs. Longer than the group's own rebalance timeout. */
  readonly joinMs: number;
}

/** Records that are handed over at once; between them whoever has enough can say so. */
const HANDFUL = 256;
const WATCH_EVERY_MS = 500;
const REBUILD_FIRST_MS = 100;
const REBUILD_MAX_MS = 5_000;
/** How long an old member may take to leave before a new one joins beside it. */
const LEAVE_LIMIT_MS = 2_000;
const STOP_LIMIT_MS = 5_000;
/** The whole group waits for it, each time that it shares out anew. */
const SETTLE_LIMIT_MS = 500;
/** So many crashes that another member would only repeat, within the outage's limit, are an end. */
const HOPELESS_CRASHES = 3;

/**
 * Reads topics as a member of a consumer group. It makes a new member whenever the one that it has crashes, is silent
 * for longer than its session, or joins in a way that isn't safe; what was handed out before is taken back first.
 */
export class KafkaReader implements LogReader {
  readonly failed: Promise<Error>;
  readonly #connection: KafkaConnection;
  readonly #settings: GroupSettings;
  readonly #limits: ReaderLimits;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #assignments: Assignments;
  readonly #heartbeats: Heartbeats;
  readonly #commits: Commits;
  readonly #lags = new Lags();
  readonly #stopping = new AbortController();
  readonly #fail: (error: Error) => void;
  #sink: RecordSink | undefined;
  #member: GroupMember | undefined;
  #isJoined = false;
  #joiningSinceMs = 0;
  #outSinceMs = 0;
  #rebuilds = 0;
  #hopeless: number[] = [];
  #rebuilding: Promise<void> | undefined;
  #lastTrouble: Error | undefined;
  #going = Promise.withResolvers<void>();
  #isPaused = false;
  /** How often a partition has begun anew: what was fetched before that is not what comes next. */
  #restarts = 0;
  #cancelWatch: (() => void) | undefined;

  constructor(connection: KafkaConnection, settings: GroupSettings, limits: ReaderLimits) {
    const { clock, log } = connection;
    this.#connection = connection;
    this.#settings = settings;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#assignments = new Assignments(clock);
    this.#heartbeats = new Heartbeats(clock, settings.sessionMs);
    this.#commits = new Commits(clock, (position) => this.#assignments.isCurrent(position));
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.failed = promise;
    this.#fail = resolve;
  }

  /** @throws CodedError `setup.missing` where a topic is missing, `log.unavailable` where no broker answers. */
  async start(sink: RecordSink): Promise<void> {
    if (this.#sink !== undefined) throw new CodedError("internal", "the log's reader was started twice");
    this.#sink = sink;
    this.#outSinceMs = this.#clock.monotonic();
    try {
      await this.#openMember();
    } catch (error) {
      await this.stop();
      throw this.#refusal(error);
    }
    this.#watch();
  }

  setPaused(paused: boolean): void {
    if (paused === this.#isPaused) return;
    this.#isPaused = paused;
    if (!paused) this.#letGo();
  }

  commit(positions: readonly Position[]): Promise<void> {
    return this.#commits.commit(positions);
  }

  isFresh(assignment: Assignment): boolean {
    if (!this.#assignments.isCurrent(assignment)) return false;
    if (this.#heartbeats.isFresh) return true;
    // Once stale is stale for good, or work that was dropped for it would hold its offset for ever.
    this.#lose("silent");
    return false;
  }

  problem(): string | undefined {
    if (this.#isJoined && this.#heartbeats.isFresh) return undefined;
    const trouble = this.#lastTrouble === undefined ? "" : ` (${readFailure(this.#lastTrouble).message})`;
    return this.#isJoined
      ? "the Kafka consumer group has not answered for longer than its session timeout"
      : `the Kafka consumer group ${this.#settings.group} isn't joined${trouble}`;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#letGo();
    this.#cancelWatch?.();
    await waitAtMost(this.#clock, STOP_LIMIT_MS, this.#commits.settled());
    await this.#member?.close(STOP_LIMIT_MS);
    await waitAtMost(this.#clock, STOP_LIMIT_MS, this.#rebuilding ?? Promise.resolve());
    this.#member = undefined;
    this.#revoke();
  }

  // ---- one member after another ----

  async #openMember(): Promise<void> {
    const member: GroupMember = new GroupMember(
      this.#connection,
      this.#settings,
      this.#events(() => member),
    );
    this.#member = member;
    this.#isJoined = false;
    this.#joiningSinceMs = this.#clock.monotonic();
    await member.open();
  }

  /** What an earlier member says is of no interest. */
  #events(self: () => GroupMember): MemberEvents {
    const isOurs = () => this.#member === self() && !this.#stopping.signal.aborted;
    return {
      joined: (partitions, sentAgoMs, isSafe) => {
        if (!isOurs()) return;
        if (isSafe) this.#assign(partitions, sentAgoMs);
        else this.#lose("rejoined");
      },
      rebalancing: () => (isOurs() ? this.#rebalance() : undefined),
      restarted: (topic, partition) => {
        if (isOurs()) this.#restart(topic, partition);
      },
      heard: (sentAgoMs) => {
        if (isOurs()) this.#hear(sentAgoMs);
      },
      crashed: (error, mayRecover) => {
        if (isOurs()) this.#crashed(error, mayRecover);
      },
      batch: (payload) => this.#take(isOurs, payload),
    };
  }

  #assign(partitions: IMemberAssignment, sentAgoMs: number): void {
    this.#revoke();
    this.#isJoined = true;
    this.#hear(sentAgoMs);
    const assignments = this.#assignments.replace(partitions);
    this.#log.info("kafka.joined", { group: this.#settings.group, partitions: assignments.length });
    if (assignments.length > 0) this.#sink?.assigned(assignments);
  }

  /** Whoever has the partitions next would send again what is in flight, or unflushed: that gets a little time to end. */
  #rebalance(): Promise<void> | undefined {
    this.#isJoined = false;
    this.#joiningSinceMs = this.#clock.monotonic();
    this.#outSinceMs = this.#joiningSinceMs;
    this.#revoke();
    this.#log.info("kafka.rebalancing", { group: this.#settings.group });
    const settled = this.#sink?.settled?.();
    return settled === undefined ? undefined : waitAtMost(this.#clock, SETTLE_LIMIT_MS, settled);
  }

  /** What was handed out stays in hand: whatever became of the topic, it was accepted. */
  #restart(topic: string, partition: number): void {
    this.#log.warn("kafka.out_of_range", { topic, partition, group: this.#settings.group });
    this.#restarts += 1;
    const assignment = this.#assignments.find(topic, partition);
    if (assignment !== undefined) this.#sink?.restarted?.(assignment);
  }

  #hear(sentAgoMs: number): void {
    this.#heartbeats.note(sentAgoMs);
    this.#rebuilds = 0;
    this.#lastTrouble = undefined;
  }

  #crashed(error: Error, mayRecover: boolean): void {
    this.#lastTrouble = error;
    this.#log.warn("kafka.crashed", { err: error, mayRecover });
    const nowMs = this.#clock.monotonic();
    if (!mayRecover) this.#hopeless = [...this.#hopeless.filter((at) => nowMs - at < this.#limits.outageMs), nowMs];
    if (isFinal(readFailure(error)) || this.#hopeless.length >= HOPELESS_CRASHES) this.#end(error);
    else this.#lose("crashed");
  }

  /** Nothing that was handed out counts any more, and another member begins. */
  #lose(reason: "silent" | "rejoined" | "crashed" | "hung"): void {
    if (this.#rebuilding !== undefined || this.#stopping.signal.aborted) return;
    this.#log.warn("kafka.lost", { reason, group: this.#settings.group });
    if (this.#isJoined) this.#outSinceMs = this.#clock.monotonic();
    const lost = this.#assignments.clear();
    const member = this.#member;
    this.#member = undefined;
    this.#isJoined = false;
    this.#heartbeats.forget();
    this.#letGo();
    this.#rebuilding = this.#rebuild(member, lost).finally(() => {
      this.#rebuilding = undefined;
    });
  }

  async #rebuild(old: GroupMember | undefined, lost: readonly Assignment[]): Promise<void> {
    // Never from within a call of the sink's own.
    await Promise.resolve();
    if (lost.length > 0) this.#sink?.revoked(lost);
    await old?.close(LEAVE_LIMIT_MS);
    while (!this.#stopping.signal.aborted) {
      const waitMs = exponentialWait(this.#rebuilds++, REBUILD_FIRST_MS, REBUILD_MAX_MS);
      await sleep(this.#clock, waitMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      try {
        return await this.#openMember();
      } catch (error) {
        const member = this.#member;
        this.#member = undefined;
        await member?.close(LEAVE_LIMIT_MS);
        this.#lastTrouble = error instanceof Error ? error : new Error(String(error));
        this.#log.warn("kafka.rebuild_failed", { err: error });
        if (isFinal(readFailure(error))) return this.#end(this.#lastTrouble);
      }
    }
  }

  /** Looks at what nobody tells of: silence. */
  #watch(): void {
    const nowMs = this.#clock.monotonic();
    if (this.#isJoined) {
      if (!this.#heartbeats.isFresh) this.#lose("silent");
    } else if (nowMs - this.#outSinceMs > this.#limits.outageMs) {
      const why = this.problem() ?? "the group isn't joined";
      this.#end(new CodedError("log.unavailable", why, { cause: this.#lastTrouble }));
    } else if (nowMs - this.#joiningSinceMs > this.#limits.joinMs) {
      this.#lose("hung");
    }
    if (!this.#stopping.signal.aborted) this.#cancelWatch = this.#clock.after(WATCH_EVERY_MS, () => this.#watch());
  }

  /** For good: whoever runs this process starts another. */
  #end(error: Error): void {
    if (this.#stopping.signal.aborted) return;
    this.#log.error("kafka.failed", { err: error });
    this.#stopping.abort();
    this.#letGo();
    this.#isJoined = false;
    this.#revoke();
    this.#fail(error);
  }

  #revoke(): void {
    const lost = this.#assignments.clear();
    this.#heartbeats.forget();
    this.#lags.forget();
    if (lost.length > 0) this.#sink?.revoked(lost);
  }

  /** Of the partitions that it has been assigned, as of their last fetches. */
  async lag(): Promise<LogLag> {
    return this.#lags.now();
  }

  // ---- records ----

  /**
   * Hands a batch over, a handful at a time. Paused, it waits here with what was fetched, and keeps the place in the
   * group; kafkajs' own pause would throw the batch away and look again only after a fetch's wait.
   */
  async #take(isOurs: () => boolean, payload: EachBatchPayload): Promise<void> {
    const { topic, partition, messages } = payload.batch;
    const assignment = this.#assignments.find(topic, partition);
    const restarts = this.#restarts;
    const goesOn = () =>
      assignment !== undefined && isOurs() && this.#assignments.isCurrent(assignment) && this.#restarts === restarts;
    for (let at = 0; at < messages.length; at += HANDFUL) {
      if (at > 0) await immediate();
      while (this.#isPaused && goesOn()) {
        await waitAtMost(this.#clock, this.#settings.heartbeatMs, this.#going.promise);
        // Throws where the group shares out anew; kafkajs wants to know.
        await payload.heartbeat();
      }
      if (assignment === undefined || !goesOn()) return;
      const handful = messages.slice(at, at + HANDFUL);
      this.#commits.through(payload.commitOffsetsIfNecessary);
      this.#sink?.records(
        assignment,
        handful.map((message) => logRecord(topic, partition, message)),
      );
      const last = handful.at(-1)?.offset ?? payload.batch.lastOffset();
      payload.resolveOffset(last);
      this.#lags.note(topic, partition, payload.batch.highWatermark, Number(last) + 1);
    }
  }

  #letGo(): void {
    this.#going.resolve();
    this.#going = Promise.withResolvers<void>();
  }

  #refusal(error: unknown): CodedError {
    if (!isUnknownTopic(readFailure(error))) return unavailable("Kafka can't be read", error);
    return new CodedError("setup.missing", this.#settings.topics.map(missingTopic).join(", or "), { cause: error });
  }
}
