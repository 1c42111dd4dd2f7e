/**
 * The log's calls over its file. Appends that arrive while a commit runs share the next one, and a reader that waits is
 * given the records in the turn in which their commit ended.
 */
import { CodedError } from "../../kernel/errors.ts";
import { type CallHandlers, cutBytes, packBytes, Transferring } from "../../kernel/thread-call.ts";
import { BACKLOG, type LogCalls, type ReadRows, type RecordRows } from "./calls.ts";
import type { FileRecord, LogFile } from "./log-file.ts";
import { Tail } from "./tail.ts";

/** One message to the reader. */
const READ_RECORDS = 128;
const READ_BYTES = 1024 * 1024;

/** One transaction. The rest of a larger rush waits for the next. */
const COMMIT_RECORDS = 4_096;
const COMMIT_BYTES = 8 * 1024 * 1024;

/** Committed records are removed so many at a time, which takes about a millisecond. */
const REMOVE_RECORDS = 512;

/** Of appends that wait for a transaction: a disk that is slow must not fill memory. */
const WAITING_BYTES = 64 * 1024 * 1024;

export interface LogServiceOptions {
  readonly topic: string;
  /** Records that are not committed before appends are refused. */
  readonly maxBacklog: number;
  /** The wall clock, in milliseconds. */
  readonly now: () => number;
}

interface WaitingAppend {
  readonly records: RecordRows;
  readonly resolve: (failure: string | null) => void;
}

interface WaitingCommit {
  readonly offset: number;
  readonly resolve: (value: null) => void;
  readonly reject: (error: unknown) => void;
}

interface Reader {
  readonly generation: number;
  readonly tail: Tail;
  /** The next offset that it has not read. */
  offset: number;
  /** Of a read that waits for records. */
  answer?: (rows: Transferring<ReadRows> | null) => void;
}

export class LogService {
  readonly #file: LogFile;
  readonly #topic: string;
  readonly #maxBacklog: number;
  readonly #now: () => number;
  #nextOffset: number;
  #committed: number;
  #removedTo: number;
  /** Counts this thread's readers. Positions of an earlier process are gone with it, so nothing of it is kept. */
  #generation = 0;
  #reader: Reader | undefined;
  #appends: WaitingAppend[] = [];
  /** In `#appends`. */
  #waitingRecords = 0;
  #waitingBytes = 0;
  #commits: WaitingCommit[] = [];
  #scheduled = false;
  #closed = false;

  constructor(file: LogFile, { topic, maxBacklog, now }: LogServiceOptions) {
    this.#file = file;
    this.#topic = topic;
    this.#maxBacklog = maxBacklog;
    this.#now = now;
    const state = file.state();
    this.#nextOffset = state.nextOffset;
    this.#committed = state.committed;
    this.#removedTo = state.firstOffset;
    if (this.#removable() > 0) this.#schedule();
  }

  readonly handlers: CallHandlers<LogCalls> = {
    append: (records) => {
      if (this.#isFull()) return BACKLOG;
      return new Promise((resolve) => {
        this.#appends.push({ records, resolve });
        this.#waitingRecords += records.keys.length;
        this.#waitingBytes += records.values.byteLength;
        this.#schedule();
      });
    },
    open: () => this.#open(),
    read: (generation) => this.#read(generation),
    commit: ({ generation, offset }) => {
      if (generation !== this.#reader?.generation || offset <= this.#committed) return null;
      if (offset > this.#nextOffset) throw new CodedError("internal", `position ${offset} is behind the log's end`);
      return new Promise((resolve, reject) => {
        this.#commits.push({ offset, resolve, reject });
        this.#schedule();
      });
    },
    close: (generation) => {
      if (this.#reader?.generation === generation) this.#endReader();
      return null;
    },
    lag: () => this.#nextOffset - this.#committed,
    scrub: () => {
      while (this.#removable() > 0) if (!this.#remove()) return false;
      return this.#file.scrub();
    },
  };

  /** Looked at before an append and not within it: the last one taken may go over by its own size. */
  #isFull(): boolean {
    const backlog = this.#nextOffset - this.#committed + this.#waitingRecords;
    return backlog >= this.#maxBacklog || this.#waitingBytes >= WAITING_BYTES;
  }

  close(): void {
    while (this.#appends.length > 0 || this.#commits.length > 0) this.#commit();
    this.#endReader();
    this.#closed = true;
    this.#file.close();
  }

  /** setImmediate runs after all messages that have arrived were taken in, so they share a transaction. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      if (this.#appends.length > 0 || this.#commits.length > 0) this.#commit();
      const removed = this.#remove();
      const busy = this.#appends.length > 0 || this.#commits.length > 0;
      if (busy || (removed && this.#removable() > 0)) this.#schedule();
    });
  }

  #commit(): void {
    const appends = this.#takeAppends();
    for (const { records } of appends) {
      this.#waitingRecords -= records.keys.length;
      this.#waitingBytes -= records.values.byteLength;
    }
    const commits = this.#commits;
    this.#commits = [];
    const records = this.#number(appends);
    try {
      this.#file.durably(() => {
        for (const record of records) this.#file.insert(record);
        this.#writeCommitted(commits);
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      for (const { resolve } of appends) resolve(reason);
      // Nothing but a full disk's appends should hold up the position: it is what makes room again.
      if (appends.length > 0 && commits.length > 0) this.#commits.unshift(...commits);
      else for (const { reject } of commits) reject(error);
      return;
    }
    this.#nextOffset += records.length;
    for (const { offset } of commits) this.#committed = Math.max(this.#committed, offset);
    for (const { resolve } of appends) resolve(null);
    for (const { resolve } of commits) resolve(null);
    this.#offer(records);
  }

  #writeCommitted(commits: readonly WaitingCommit[]): void {
    const highest = commits.reduce((high, { offset }) => Math.max(high, offset), -1);
    if (highest > this.#committed) this.#file.setCommitted(highest);
  }

  #takeAppends(): readonly WaitingAppend[] {
    let records = 0;
    let bytes = 0;
    const cut = this.#appends.findIndex((append, index) => {
      records += append.records.keys.length;
      bytes += append.records.values.byteLength;
      return index > 0 && (records > COMMIT_RECORDS || bytes > COMMIT_BYTES);
    });
    return this.#appends.splice(0, cut === -1 ? this.#appends.length : cut);
  }

  #number(appends: readonly WaitingAppend[]): readonly FileRecord[] {
    const appendedAtMs = this.#now();
    const numbered: FileRecord[] = [];
    for (const { records } of appends) {
      for (const [index, value] of cutBytes(records.values, records.valueBytes).entries()) {
        numbered.push({
          offset: this.#nextOffset + numbered.length,
          appendedAtMs,
          key: records.keys[index] ?? "",
          headers: records.headers[index] ?? "{}",
          value,
        });
      }
    }
    return numbered;
  }

  #offer(records: readonly FileRecord[]): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    for (const record of records) reader.tail.push(record);
    const { answer } = reader;
    if (answer === undefined || records.length === 0) return;
    delete reader.answer;
    answer(this.#nextRows(reader));
  }

  #open(): { readonly generation: number; readonly topic: string } {
    this.#endReader();
    this.#generation += 1;
    const offset = this.#committed;
    this.#reader = { generation: this.#generation, offset, tail: new Tail(offset === this.#nextOffset) };
    return { generation: this.#generation, topic: this.#topic };
  }

  #endReader(): void {
    const answer = this.#reader?.answer;
    this.#reader = undefined;
    answer?.(null);
  }

  #read(generation: number): Transferring<ReadRows> | null | Promise<Transferring<ReadRows> | null> {
    const reader = this.#reader;
    if (reader === undefined || reader.generation !== generation) return null;
    if (reader.offset < this.#nextOffset) return this.#nextRows(reader);
    return new Promise((resolve) => {
      reader.answer = resolve;
    });
  }

  #nextRows(reader: Reader): Transferring<ReadRows> {
    const records: FileRecord[] = [];
    let bytes = 0;
    const wanted = (record: FileRecord): boolean => {
      if (records.length === READ_RECORDS || (bytes > 0 && bytes + record.value.byteLength > READ_BYTES)) return false;
      bytes += record.value.byteLength;
      records.push(record);
      return true;
    };
    if (reader.tail.complete) reader.tail.take(wanted);
    else this.#file.read(reader.offset, wanted);
    reader.offset = (records.at(-1)?.offset ?? this.#nextOffset - 1) + 1;
    if (reader.offset === this.#nextOffset) reader.tail.caughtUp();
    return rowsOf(records);
  }

  /** Committed records that are still in the file. */
  #removable(): number {
    return this.#committed - this.#removedTo;
  }

  #remove(): boolean {
    const count = Math.min(this.#removable(), REMOVE_RECORDS);
    if (count <= 0) return false;
    try {
      this.#file.remove(this.#removedTo, this.#removedTo + count);
    } catch {
      return false; // A disk without room for the WAL; the next commit's turn tries again.
    }
    this.#removedTo += count;
    return true;
  }
}

function rowsOf(records: readonly FileRecord[]): Transferring<ReadRows> {
  const values = packBytes(records.map((record) => record.value));
  return new Transferring<ReadRows>(
    {
      offsets: records.map((record) => record.offset),
      appendedAtMs: records.map((record) => record.appendedAtMs),
      keys: records.map((record) => record.key),
      headers: records.map((record) => record.headers),
      valueBytes: records.map((record) => record.value.byteLength),
      values,
    },
    [values.buffer],
  );
}
