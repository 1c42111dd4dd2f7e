import type { Assignment, LogRecord, RecordSink } from "../../intake/event-log.ts";
import { keptBytes } from "../../kernel/kept-bytes.ts";
import { type CallClient, cutBytes } from "../../kernel/thread-call.ts";
import type { LogCalls, ReadRows } from "./calls.ts";

/** One assignment as it is read: asks for records, one batch at a time, so that whoever is slow or paused gets no more. */
export class LogPump {
  readonly assignment: Assignment;
  readonly #calls: CallClient<LogCalls>;
  readonly #sink: RecordSink;
  #reading = true;
  #paused = false;
  #resume: (() => void) | undefined;
  #ended: Promise<void> = Promise.resolve();
  #lastHeaders: readonly [text: string, headers: Readonly<Record<string, string>>] = ["{}", {}];

  constructor(calls: CallClient<LogCalls>, sink: RecordSink, assignment: Assignment) {
    this.#calls = calls;
    this.#sink = sink;
    this.assignment = assignment;
  }

  /** False as soon as reading ends, for whatever reason. */
  get isReading(): boolean {
    return this.#reading;
  }

  start(): void {
    this.#sink.assigned([this.assignment]);
    this.#ended = this.#run();
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.#wake();
  }

  async stop(): Promise<void> {
    this.setPaused(false);
    // Answers the read that waits, with nothing; where the thread is gone there is nothing to end.
    await this.#calls.call("close", this.assignment.generation).catch(() => undefined);
    await this.#ended;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        while (this.#paused) await new Promise<void>((resolve) => (this.#resume = resolve));
        // Where the thread is gone, its `failure` tells whoever runs it; here it is the end of the assignment.
        const rows = await this.#calls.call("read", this.assignment.generation).catch(() => null);
        if (rows === null) break;
        if (rows.offsets.length > 0) this.#sink.records(this.assignment, this.#recordsOf(rows));
      }
    } finally {
      this.#reading = false;
      this.#sink.revoked([this.assignment]);
    }
  }

  #wake(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  #recordsOf(rows: ReadRows): readonly LogRecord[] {
    return cutBytes(rows.values, rows.valueBytes).map((value, index) => ({
      topic: this.assignment.topic,
      partition: this.assignment.partition,
      offset: rows.offsets[index] ?? 0,
      appendedAtMs: rows.appendedAtMs[index] ?? 0,
      key: Buffer.from(rows.keys[index] ?? ""),
      value: keptBytes(value),
      headers: this.#headersOf(rows.headers[index] ?? "{}"),
    }));
  }

  /** Most records in a row have the same headers. */
  #headersOf(text: string): Readonly<Record<string, string>> {
    if (this.#lastHeaders[0] !== text) this.#lastHeaders = [text, Object.freeze(JSON.parse(text))];
    return this.#lastHeaders[1];
  }
}
