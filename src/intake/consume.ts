/**
 * The way from the log to the engine: read, decode, hand over, and commit what is durable. Nothing here decides about a
 * delivery; nothing here waits for one.
 */

import { exponentialWait } from "../kernel/backoff.ts";
import { type BatchLimits, firstBatch } from "../kernel/batch.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import type { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { type DeadLetter, type DeadLetterSink, letterBytes } from "./dead-letters.ts";
import type { RecordDecoder } from "./decode.ts";
import type { Assignment, LogReader, LogRecord, Position, RecordSink } from "./event-log.ts";
import type { EventTaker, IncomingEvent } from "./incoming.ts";
import { OffsetWindow, type WindowEntry } from "./offset-window.ts";

export interface IntakeDeps {
  readonly reader: LogReader;
  readonly decode: RecordDecoder;
  readonly deadLetters: DeadLetterSink;
  readonly taker: EventTaker;
  readonly clock: Clock;
  readonly log: Log;
  /** How long released offsets may gather before they are committed. */
  readonly commitEveryMs?: number;
}

/** Dead letters in memory, while their store doesn't take them, before the log is read no further. */
const MAX_DEAD = 1_000;
/** Their bytes. */
const MAX_DEAD_BYTES = 32 * 1024 * 1024;
/** Of one call of their store. */
const BURIED_TOGETHER: BatchLimits<DeadRecord> = {
  maxItems: 500,
  maxBytes: 4 * 1024 * 1024,
  bytesOf: ({ bytes }) => bytes,
};

interface DeadRecord {
  readonly letter: DeadLetter;
  readonly entry: WindowEntry;
  readonly bytes: number;
}

export class Intake implements RecordSink {
  readonly #deps: IntakeDeps;
  readonly #windows = new Map<string, OffsetWindow>();
  readonly #committed = new Map<string, number>();
  readonly #stopping = new AbortController();
  #dead: DeadRecord[] = [];
  #deadBytes = 0;
  #burying: Promise<void> | undefined;
  #commitTimer: (() => void) | undefined;
  #committing: Promise<void> = Promise.resolve();

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
    deps.taker.onRoom(() => this.#noteRoom());
  }

  async start(): Promise<void> {
    await this.#deps.reader.start(this);
  }

  /** Stops reading. Work that is open goes on to be released; call `finish` when it has been. */
  pause(): void {
    this.#stopping.abort();
    this.#deps.reader.setPaused(true);
  }

  /** Commits what has been released and lets go of the log. */
  async finish(): Promise<void> {
    this.pause();
    await this.#burying;
    this.#commitTimer?.();
    this.#commitTimer = undefined;
    await this.#commit();
    await this.#deps.reader.stop();
  }

  /** Records read whose work is not all durable. */
  get openRecords(): number {
    let open = 0;
    for (const window of this.#windows.values()) open += window.size;
    return open;
  }

  assigned(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) this.#windows.set(windowKey(assignment), new OffsetWindow(assignment));
  }

  revoked(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) {
      this.#windows.delete(windowKey(assignment));
      this.#committed.delete(windowKey(assignment));
    }
    this.#deps.taker.drop(assignments);
  }

  /** What is in hand goes on, and holds no position: it could not be read again. */
  restarted(assignment: Assignment): void {
    const key = windowKey(assignment);
    if (!this.#windows.has(key)) return;
    this.#windows.set(key, new OffsetWindow(assignment));
    this.#committed.delete(key);
  }

  settled(): Promise<void> {
    return this.#deps.taker.settled();
  }

  records(assignment: Assignment, records: readonly LogRecord[]): void {
    const window = this.#windows.get(windowKey(assignment));
    if (window === undefined || this.#stopping.signal.aborted) return;
    const events: IncomingEvent[] = [];
    for (const record of records) {
      const entry = window.open(record.offset);
      if (entry === undefined) continue;
      const decoded = this.#deps.decode(record);
      if (decoded.kind === "dead") this.#bury(decoded.letter, entry);
      else events.push(this.#incoming(assignment, record, entry, decoded.event));
    }
    if (events.length > 0) this.#deps.taker.take(events);
    if (this.#isFull()) this.#deps.reader.setPaused(true);
  }

  #isFull(): boolean {
    const isFullOfDead = this.#dead.length >= MAX_DEAD || this.#deadBytes >= MAX_DEAD_BYTES;
    return isFullOfDead || this.#deps.taker.isFull();
  }

  #noteRoom(): void {
    if (!this.#stopping.signal.aborted) this.#deps.reader.setPaused(this.#isFull());
  }

  #incoming(
    assignment: Assignment,
    record: LogRecord,
    entry: WindowEntry,
    event: Pick<IncomingEvent, "stored" | "event">,
  ): IncomingEvent {
    let isSettled = false;
    return {
      ...event,
      assignment,
      offset: record.offset,
      done: () => {
        isSettled = true;
        this.#release(entry);
      },
      conflict: () => {
        if (isSettled) return;
        isSettled = true;
        const message = "an event of this id with other content was there first";
        this.#bury({ record, reason: "event.conflict", message, tenant: event.stored.tenant }, entry);
      },
    };
  }

  #release(entry: WindowEntry): void {
    entry.released = true;
    this.#commitSoon();
  }

  #commitSoon(): void {
    this.#commitTimer ??= this.#deps.clock.after(this.#deps.commitEveryMs ?? 50, () => {
      this.#commitTimer = undefined;
      void this.#commit();
    });
  }

  /** One at a time, so that a position never overtakes a later one. */
  #commit(): Promise<void> {
    this.#committing = this.#committing.then(async () => {
      const positions: Position[] = [];
      for (const [key, window] of this.#windows) {
        const position = window.advance();
        if (position !== undefined && this.#committed.get(key) !== position.offset) positions.push(position);
      }
      if (positions.length === 0) return;
      try {
        await this.#deps.reader.commit(positions);
        for (const position of positions) this.#committed.set(windowKey(position), position.offset);
      } catch (error) {
        // Nothing is lost: the next try commits a position at least as far.
        this.#deps.log.warn("intake.commit_failed", { err: error });
        if (!this.#stopping.signal.aborted) this.#commitSoon();
      }
    });
    return this.#committing;
  }

  #bury(letter: DeadLetter, entry: WindowEntry): void {
    const { reason, record } = letter;
    this.#deps.log.warn("intake.dead_letter", { reason, partition: record.partition, offset: record.offset });
    const bytes = letterBytes(letter);
    this.#dead.push({ letter, entry, bytes });
    this.#deadBytes += bytes;
    this.#burying ??= this.#buryAll().finally(() => {
      this.#burying = undefined;
    });
  }

  /** A dead letter is durable before its offset goes (protocol, rule 11), however long the store needs. */
  async #buryAll(): Promise<void> {
    await Promise.resolve();
    for (let failures = 0; this.#dead.length > 0; ) {
      const batch = firstBatch(this.#dead, BURIED_TOGETHER);
      try {
        await this.#deps.deadLetters.put(batch.map((dead) => dead.letter));
        this.#dead.splice(0, batch.length);
        for (const { entry, bytes } of batch) {
          this.#deadBytes -= bytes;
          this.#release(entry);
        }
        failures = 0;
        this.#noteRoom();
      } catch (error) {
        this.#deps.log.error("intake.dead_letters_failed", { err: error as CodedError, count: batch.length });
        if (this.#stopping.signal.aborted) return;
        await sleep(this.#deps.clock, exponentialWait(failures++, 100, 5_000), this.#stopping.signal);
      }
    }
  }
}

function windowKey(assignment: Assignment): string {
  return `${assignment.topic}/${assignment.partition}/${assignment.generation}`;
}
