/**
 * What goes between the log's thread and its callers. The values of a batch stand one after the other in one buffer,
 * which is handed over; keys and headers go as text.
 */

/** Why an append was refused: too many records wait for their work to be durable. */
export const BACKLOG = "backlog";

export interface RecordRows {
  readonly keys: readonly string[];
  /** JSON, one for each record. */
  readonly headers: readonly string[];
  readonly valueBytes: readonly number[];
  readonly values: Uint8Array;
}

export interface ReadRows extends RecordRows {
  readonly offsets: readonly number[];
  readonly appendedAtMs: readonly number[];
}

/** All calls that the log's thread answers. */
export interface LogCalls {
  /** null: all are durable; else the reason why none is, which is `BACKLOG` where the log has as much as it may. */
  append(records: RecordRows): string | null;
  /** Begins a reader, which ends the one before. */
  open(none: null): { readonly generation: number; readonly topic: string };
  /** Answers when there are records behind those that were read; null once the generation has passed. */
  read(generation: number): ReadRows | null;
  commit(position: { readonly generation: number; readonly offset: number }): null;
  /** Ends the reader of this generation. */
  close(generation: number): null;
  /** Records appended and not yet committed. */
  lag(none: null): number;
  /** Whether the files hold nothing any more but records that are not committed. */
  scrub(none: null): boolean;
}
