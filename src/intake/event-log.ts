/**
 * The event log: the write-ahead log of everything that passbus accepted. Two adapters serve this port: the embedded
 * log (one partition, one process) and Kafka (many of both). One contract suite holds for both: test/contracts/.
 */

/** A record that is to be appended. */
export interface NewRecord {
  /** Where it goes if not to the log's own topic: a dead letter is sent again to where it came from. */
  readonly topic?: string;
  /** The pass id: records of one key keep their order. null: none, as a dead letter may have had. */
  readonly key: string | Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** A record as it was read. */
export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** When the log took it, by the log's clock; never later than it was read, by ours. */
  readonly appendedAtMs: number;
  /** What the record itself says, where that is no time that `appendedAtMs` could take: ids are made of it. */
  readonly claimedTime?: string;
  readonly key: Uint8Array | null;
  /** null: a tombstone. */
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
  /** All headers as they came, where `headers` can't say them: a name that stands twice, a value that isn't UTF-8. */
  readonly rawHeaders?: ReadonlyArray<readonly [name: string, value: Uint8Array]>;
}

/** What came of one record: each stands for itself, so that a caller can say which are durable. */
export type AppendResult = { readonly durable: true } | { readonly durable: false; readonly reason: string };

export interface LogWriter {
  /** Resolves when each record is durable or known to have failed; results in the order asked. Never rejects for a record. */
  append(records: readonly NewRecord[]): Promise<readonly AppendResult[]>;
}

/** A partition that this process reads, for as long as one assignment lasts. */
export interface Assignment {
  readonly topic: string;
  readonly partition: number;
  /** Grows with each assignment: work of an older one is stale (protocol, rule 1). */
  readonly generation: number;
}

/** The next offset to read, of one partition in one generation. */
export interface Position extends Assignment {
  readonly offset: number;
}

/** Who takes what is read. Called one at a time; none may throw. */
export interface RecordSink {
  assigned(assignments: readonly Assignment[]): void;
  revoked(assignments: readonly Assignment[]): void;
  /**
   * What was read of the partition is in the log no more: it was emptied, or deleted and made anew. What comes next has
   * offsets of its own, and may have lower ones. Left out: where that never happens.
   */
  restarted?(assignment: Assignment): void;
  /** Resolves when nothing of what was revoked is in flight or unflushed. Left out: there is nothing to wait for. */
  settled?(): Promise<void>;
  /** Records of one partition, in the order of their offsets. Work is handed off: this returns at once. */
  records(assignment: Assignment, records: readonly LogRecord[]): void;
}

export interface LogReader {
  /** Begins to read from the committed positions. Rejects where the log cannot be read at all. */
  start(sink: RecordSink): Promise<void>;
  /** Stops handing out records of all partitions, or goes on. What is on its way may still come. */
  setPaused(paused: boolean): void;
  /** Makes positions durable. One of a generation that has passed is dropped, without an error. */
  commit(positions: readonly Position[]): Promise<void>;
  /** False once the partition is, or may be, another's: what is queued for it must not be sent (protocol, rule 2). */
  isFresh(assignment: Assignment): boolean;
  /** What keeps it from reading, for people; undefined while it reads, or waits for records. */
  problem(): string | undefined;
  /** How far it is behind; left out where that isn't known. */
  lag?(): Promise<LogLag>;
  /** Resolves if it can read no more, ever: the process must end. Resolves never where it was stopped. */
  readonly failed: Promise<Error>;
  /** Stops reading; positions can still be committed until it resolves. */
  stop(): Promise<void>;
}

/** How far the log and its reader are. */
export interface LogLag {
  /** Records appended and not yet committed; on Kafka, not yet read. */
  readonly records: number;
}
