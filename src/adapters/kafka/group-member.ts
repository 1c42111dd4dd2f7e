import type { Consumer, EachBatchPayload, IMemberAssignment } from "kafkajs";
import { sleep, waitAtMost } from "../../kernel/clock.ts";
import { type KafkaConnection, retryTimes } from "./kafka.ts";
import { onOutOfRange } from "./out-of-range.ts";
import { holdJoin } from "./rejoin.ts";

export interface GroupSettings {
  readonly topics: readonly string[];
  readonly group: string;
  /** Without a heartbeat for this long the group gives the partitions to others. */
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  /** How long the group waits for its members to come back when it shares out anew. */
  readonly rebalanceMs: number;
  /** Of one partition in one fetch. A batch that is larger comes alone. */
  readonly partitionBytes: number;
  /** After this long new partitions are noticed. */
  readonly metadataMaxAgeMs: number;
}

/** What becomes of a member. Nothing is called after `close`. */
export interface MemberEvents {
  /** As `heard`. `isSafe`: what comes after it was fetched after it. */
  joined(partitions: IMemberAssignment, sentAgoMs: number, isSafe: boolean): void;
  /** The group shares out anew: what was assigned may be another's soon, but not before what this answers has resolved. */
  rebalancing(): Promise<void> | undefined;
  /** What was read of a partition is in it no more, and what comes next is its earliest record. */
  restarted(topic: string, partition: number): void;
  /** The group has answered what was sent so long ago. */
  heard(sentAgoMs: number): void;
  /** It will not come back by itself. `mayRecover`: kafkajs sees no reason why another could not. */
  crashed(error: Error, mayRecover: boolean): void;
  batch(payload: EachBatchPayload): Promise<void>;
}

/** How long a fetch waits for records; also how long a stop may take. */
const FETCH_WAIT_MS = 500;
/** Of all partitions of one broker in one fetch. kafkajs asks in another order each time, so none starves. */
const FETCH_BYTES = 16 * 1024 * 1024;
const OWN_RETRIES = 5;
const CLOSED_WAIT_MS = 100;

/**
 * One consumer of kafkajs, from its start to its end; whoever uses it makes another after a crash. kafkajs' own way to
 * restart loses members: after the death of a coordinator some never came back.
 */
export class GroupMember {
  readonly #connection: KafkaConnection;
  readonly #settings: GroupSettings;
  readonly #events: MemberEvents;
  readonly #consumer: Consumer;
  #isClosed = false;
  #isStopped = true;
  #opening: Promise<void> = Promise.resolve();
  #joining: Promise<void> = Promise.resolve();
  #endOutOfRange: (() => void) | undefined;
  #mayRecover = false;
  #sentAtMs = 0;

  constructor(connection: KafkaConnection, settings: GroupSettings, events: MemberEvents) {
    this.#connection = connection;
    this.#settings = settings;
    this.#events = events;
    this.#consumer = connection.client(OWN_RETRIES).consumer({
      groupId: settings.group,
      sessionTimeout: settings.sessionMs,
      heartbeatInterval: settings.heartbeatMs,
      rebalanceTimeout: settings.rebalanceMs,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytes: FETCH_BYTES,
      maxBytesPerPartition: settings.partitionBytes,
      metadataMaxAge: settings.metadataMaxAgeMs,
      allowAutoTopicCreation: false,
      // Asked only of what kafkajs thinks worth another try. We make it.
      retry: { ...retryTimes(OWN_RETRIES), restartOnFailure: async () => !this.#noteRecoverable() },
    });
    this.#listen();
  }

  /** Resolves when the topics were found; the group is joined later. Rejects with what kafkajs throws. */
  open(): Promise<void> {
    const opening = this.#open();
    this.#opening = opening.catch(() => {});
    return opening;
  }

  async #open(): Promise<void> {
    await this.#consumer.connect();
    // A group that is new must not lose what was accepted before it.
    await this.#consumer.subscribe({ topics: [...this.#settings.topics], fromBeginning: true });
    if (this.#isClosed) return;
    this.#joining = this.#consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 1,
        eachBatch: async (payload) => {
          if (!this.#isClosed) await this.#events.batch(payload);
          // What isn't taken is fetched again, at once.
          else await sleep(this.#connection.clock, CLOSED_WAIT_MS);
        },
      })
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#events.crashed(error instanceof Error ? error : new Error(String(error)), true);
      });
  }

  /** Leaves the group. What it takes longer than `limitMs` it takes without anyone waiting. */
  async close(limitMs: number): Promise<void> {
    this.#isClosed = true;
    this.#endOutOfRange?.();
    await waitAtMost(this.#connection.clock, limitMs, this.#leave());
  }

  /** Not before it has joined: kafkajs forgets who is about to join, and that one would come and hold partitions for ever. */
  async #leave(): Promise<void> {
    await this.#opening;
    await this.#joining;
    try {
      await this.#consumer.disconnect();
    } catch (err) {
      this.#connection.log.debug("kafka.disconnect_failed", { err });
    }
  }

  #noteRecoverable(): true {
    this.#mayRecover = true;
    return true;
  }

  /** By kafkajs' own clock, which took the time when it was sent. */
  get #sentAgoMs(): number {
    return Math.max(0, Date.now() - this.#sentAtMs);
  }

  /**
   * kafkajs joins again in the middle of a fetch when leaders or partitions have changed. Another fetch may still be
   * under way then, from the position of the time before; the batch that it brings would be taken for one of the new
   * time, and what lies between would be passed over. Only a join with all fetchers stopped is safe: the first one, and
   * one after REBALANCING.
   */
  #listen(): void {
    const { events } = this.#consumer;
    const on = (tell: () => void) => {
      if (!this.#isClosed) tell();
    };
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) =>
      on(() => {
        const isSafe = this.#isStopped;
        this.#isStopped = false;
        this.#endOutOfRange?.();
        this.#endOutOfRange = onOutOfRange(payload.memberId, this.#events.restarted);
        this.#events.joined(payload.memberAssignment, this.#sentAgoMs, isSafe);
      }),
    );
    this.#consumer.on(events.REBALANCING, ({ payload }) =>
      on(() => {
        this.#isStopped = true;
        const settled = this.#events.rebalancing();
        if (settled !== undefined) holdJoin(payload.memberId, settled);
      }),
    );
    this.#consumer.on(events.REQUEST, ({ payload }) => {
      const { apiName, sentAt } = payload;
      if (apiName === "Heartbeat" || apiName === "SyncGroup") this.#sentAtMs = sentAt;
    });
    this.#consumer.on(events.HEARTBEAT, () => on(() => this.#events.heard(this.#sentAgoMs)));
    this.#consumer.on(events.CRASH, ({ payload }) => on(() => this.#events.crashed(payload.error, this.#mayRecover)));
  }
}
