/**
 * Records that could not become events: kept as they came, with the reason, until someone has looked at them. They can
 * be listed, and sent again once what was wrong has been mended.
 */
import type { ErrorCode } from "../kernel/errors.ts";
import { derivedId } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { LogRecord } from "./event-log.ts";

/** Why a record could not become an event. */
export const DEAD_REASONS = [
  "event.empty",
  "event.unreadable",
  "event.invalid",
  "event.conflict",
  "tenant.forbidden",
  "limit.event_bytes",
] as const satisfies readonly ErrorCode[];

export type DeadReason = (typeof DEAD_REASONS)[number];

/** A record that could not become an event, as it came, with the reason. */
export interface DeadLetter {
  readonly record: LogRecord;
  readonly reason: DeadReason;
  readonly message: string;
  /** Who may see it and send it again: whom the record speaks for, or may speak for where it claims another. */
  readonly tenant: Tenant;
  /** Set where the value is what is to be kept already: it was cut, or it was not. */
  readonly truncated?: boolean;
}

/** A dead letter as it is kept. */
export interface KeptDeadLetter extends DeadLetter {
  readonly id: string;
  /** The value was too large to be kept whole: it is cut, and can't be sent again. */
  readonly truncated: boolean;
  /** When it was last sent again. */
  readonly redrivenAtMs?: number;
}

export interface DeadLetterFilter {
  readonly reason?: DeadReason;
}

/** Where intake puts dead letters. */
export interface DeadLetterSink {
  /** Resolves when all are durable. Putting one twice leaves one (protocol, rule 11). */
  put(letters: readonly DeadLetter[]): Promise<void>;
}

/** Where dead letters are kept for people. */
export interface DeadLetterStore extends DeadLetterSink {
  /** Newest first, by the time the log took the record, then id. */
  list(tenant: Tenant, filter: DeadLetterFilter, page: PageRequest): Promise<Page<KeptDeadLetter>>;
  /** In the order asked; undefined where the tenant has none of this id. */
  find(tenant: Tenant, ids: readonly string[]): Promise<ReadonlyArray<KeptDeadLetter | undefined>>;
  /** Notes that they were sent again. */
  noteRedriven(tenant: Tenant, ids: readonly string[], nowMs: number): Promise<void>;
}

/** What a letter holds of memory, and takes on its way to a store; text is counted by its characters. */
export function letterBytes({ record, message }: DeadLetter): number {
  const { key, value, headers, rawHeaders = Object.entries(headers) } = record;
  const ofHeaders = rawHeaders.reduce((sum, [name, text]) => sum + name.length + text.length, 0);
  return (key?.length ?? 0) + (value?.length ?? 0) + ofHeaders + message.length;
}

/** The same for the same record, in any process. A recreated topic repeats offsets, hence the time. */
export function deadLetterId({
  topic,
  partition,
  offset,
  appendedAtMs,
  claimedTime,
}: Pick<LogRecord, "topic" | "partition" | "offset" | "appendedAtMs" | "claimedTime">): string {
  return derivedId("dead", [topic, String(partition), String(offset), claimedTime ?? String(appendedAtMs)]);
}

/**
 * A letter as every store keeps it: under its id, with no more of its value and words than LIMITS allow. What a store
 * can't take would hold up all that comes after it.
 */
export function letterToKeep({ message, ...rest }: DeadLetter): KeptDeadLetter {
  const letter = { ...rest, message: message.slice(0, LIMITS.messageCharacters).toWellFormed() };
  const { record, truncated } = letter;
  const id = deadLetterId(record);
  if (truncated !== undefined) return { ...letter, id, truncated };
  if (record.value === null || record.value.length <= LIMITS.deadLetterBytes)
    return { ...letter, id, truncated: false };
  return {
    ...letter,
    record: { ...record, value: record.value.subarray(0, LIMITS.deadLetterBytes) },
    id,
    truncated: true,
  };
}
