import type { ErrorCode } from "../kernel/errors.ts";
import type { LogRecord } from "./event-log.ts";

/** Why a record could not become an event. */
export type DeadReason = Extract<
  ErrorCode,
  "event.empty" | "event.unreadable" | "event.invalid" | "event.conflict" | "tenant.forbidden" | "limit.event_bytes"
>;

/** A record that could not become an event, as it came, with the reason. */
export interface DeadLetter {
  readonly record: LogRecord;
  readonly reason: DeadReason;
  readonly message: string;
}

/** Where dead letters go. Keyed by topic, partition and offset: putting one twice leaves one (protocol, rule 11). */
export interface DeadLetterStore {
  /** Resolves when all are durable. */
  put(letters: readonly DeadLetter[]): Promise<void>;
}
