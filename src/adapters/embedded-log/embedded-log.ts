/**
 * The embedded event log: one partition in one `node:sqlite` file, which lives in a thread of its own.
 *
 *   startEmbeddedLog    starts the thread (thread.ts): log-file.ts is the file, log-service.ts commits and hands out
 *   embeddedLogWriter   the port to append, for any thread that was given a connection
 *   embeddedLogReader   the port to read, for the one that does the work
 */
import type { MessagePort } from "node:worker_threads";
import type { AppendResult, Assignment, LogLag, LogReader, LogWriter, NewRecord } from "../../intake/event-log.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type CallClient, type CallThread, callClient, packBytes, startThread } from "../../kernel/thread-call.ts";
import { BACKLOG, type LogCalls, type RecordRows } from "./calls.ts";
import { LogPump } from "./log-pump.ts";

export interface EmbeddedLogOptions {
  /** Where `log.db` lies; made where it is missing. */
  readonly directory: string;
  /** What records say they come from. */
  readonly topic: string;
  /** Appends fail while the log holds more; 16 GiB, if left out. */
  readonly maxBytes?: number;
  /** Appends are refused while so many records, or more, are not committed; without it, as many as there is room for. */
  readonly maxBacklog?: number;
}

export interface LogThreadData {
  readonly directory: string;
  readonly topic: string;
  readonly maxBytes: number;
  readonly maxBacklog: number;
}

const MAX_BYTES = 16 * 1024 ** 3;

/** Rejects where the file can't be opened or was written by a newer passbus (`data_dir.newer`). */
export function startEmbeddedLog(options: EmbeddedLogOptions): Promise<CallThread> {
  return startThread(new URL("./thread.ts", import.meta.url), "log", {
    directory: options.directory,
    topic: options.topic,
    maxBytes: options.maxBytes ?? MAX_BYTES,
    maxBacklog: options.maxBacklog ?? Number.POSITIVE_INFINITY,
  } satisfies LogThreadData);
}

const LOST = "the log's thread is gone";

function connected(port: MessagePort): CallClient<LogCalls> {
  return callClient<LogCalls>(port, () => new CodedError("log.unavailable", LOST));
}

interface Scrubbed {
  /**
   * Takes records that are done with out of the file's free pages and its log of writes. Not while much waits to be read:
   * the file is written anew.
   */
  scrub(): Promise<void>;
}

const scrubbing = (calls: CallClient<LogCalls>) => async (): Promise<void> => {
  await calls.call("scrub", null);
};

/** `append` rejects with `limit.backlog`, nothing appended, while the log has as much as it may. */
export interface EmbeddedLogWriter extends LogWriter, Scrubbed {
  /** Ends this connection; what it had under way resolves as not durable. */
  close(): void;
}

export function embeddedLogWriter(port: MessagePort): EmbeddedLogWriter {
  const calls = connected(port);
  return {
    async append(records) {
      if (records.length === 0) return [];
      const rows = recordRows(records);
      const failure = await calls
        .call("append", rows, [rows.values.buffer])
        // The answer is lost with the thread: the records may be durable or not, and nobody can say.
        .catch((error: unknown) => `unknown: ${error instanceof Error ? error.message : String(error)}`);
      if (failure === BACKLOG) throw backlogFull();
      const result: AppendResult = failure === null ? { durable: true } : { durable: false, reason: failure };
      return records.map(() => result);
    },
    scrub: scrubbing(calls),
    close: () => calls.close(),
  };
}

/** A producer that waits so long and tries again finds room as soon as there is some, and costs little until then. */
const RETRY_AFTER_MS = 1_000;

function backlogFull(): CodedError {
  const message = "the log has as many records that wait as it may (PASSBUS_MAX_BACKLOG); try again later";
  return new CodedError("limit.backlog", message, { retryAfterMs: RETRY_AFTER_MS });
}

function recordRows(records: readonly NewRecord[]): RecordRows & { readonly values: Uint8Array<ArrayBuffer> } {
  return {
    // Only our own API writes here: its keys are text.
    keys: records.map(({ key }) => (typeof key === "string" ? key : Buffer.from(key ?? []).toString())),
    headers: records.map(({ headers }) => JSON.stringify(headers)),
    valueBytes: records.map(({ value }) => value.byteLength),
    values: packBytes(records.map(({ value }) => value)),
  };
}

export interface EmbeddedLogReader extends LogReader, Scrubbed {
  lag(): Promise<LogLag>;
  /** Ends this connection, without the manners of `stop`. */
  close(): void;
}

export function embeddedLogReader(port: MessagePort): EmbeddedLogReader {
  const calls = connected(port);
  let pump: LogPump | undefined;
  let paused = false;
  const isOurs = (assignment: Assignment): boolean =>
    pump?.assignment.generation === assignment.generation && assignment.partition === pump.assignment.partition;
  return {
    async start(sink) {
      if (pump !== undefined) throw new CodedError("internal", "the log's reader was started twice");
      const { generation, topic } = await calls.call("open", null);
      pump = new LogPump(calls, sink, { generation, topic, partition: 0 });
      pump.setPaused(paused);
      pump.start();
    },
    setPaused(next) {
      paused = next;
      pump?.setPaused(next);
    },
    async commit(positions) {
      const ours = positions.filter(isOurs);
      if (ours.length === 0) return;
      const offset = Math.max(...ours.map((position) => position.offset));
      const { generation } = ours[0] ?? { generation: 0 };
      await calls.call("commit", { generation, offset });
    },
    isFresh: (assignment) => pump?.isReading === true && isOurs(assignment),
    // The log's thread tells of its own death (CallThread.failure).
    problem: () => (pump?.isReading === true ? undefined : "the event log isn't read"),
    failed: new Promise(() => {}),
    async stop() {
      await pump?.stop();
      pump = undefined;
    },
    async lag() {
      return { records: await calls.call("lag", null) };
    },
    scrub: scrubbing(calls),
    close: () => calls.close(),
  };
}
