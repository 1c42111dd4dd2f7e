/**
 * Events in, through the API: checked, completed, written down in one form, and appended to the log. Reads no store:
 * an event is accepted as soon as the log has it, and whatever its id has met before is found out by intake.
 */
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { CodedError, type FieldViolation, invalidField, invalidFields } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { canonicalBytes, completeEvent } from "./canonical.ts";
import { CANONICAL_CONTENT_TYPE, RECORD_HEADERS } from "./content-type.ts";
import type { AppendResult, LogWriter, NewRecord } from "./event-log.ts";
import { validateEvent } from "./validate.ts";

export interface PublisherDeps {
  readonly log: LogWriter;
  readonly ids: IdSource;
  /** Whether the log's topic may speak for the tenant: else intake would bury what was accepted. */
  readonly mayPublish: (tenant: Tenant) => boolean;
}

/** Whether one event is in the log. */
export interface PublishOutcome {
  readonly eventId: string;
  readonly durable: boolean;
}

/** `published`: every event is durable. `partial`: some are not, for `reason`. Outcomes stand in the order asked. */
export interface PublishResult {
  readonly kind: "published" | "partial";
  readonly outcomes: readonly PublishOutcome[];
  /** Why the first one that is not durable is not; empty where all are. For the log, not for the caller. */
  readonly reason: string;
}

export interface Publisher {
  /**
   * Appends the events, or none of them where any breaks a rule: `request.invalid`, `tenant.forbidden` or
   * `limit.event_bytes`, naming each field (`events[3].pass.id`). Completes the events that it was given.
   */
  publish(tenant: Tenant, events: readonly PassEvent[]): Promise<PublishResult>;
}

export function publisher({ log, ids, mayPublish }: PublisherDeps): Publisher {
  return {
    async publish(tenant, events) {
      if (events.length === 0 || events.length > LIMITS.publishBatch) {
        throw invalidField("events", `must hold 1 to ${LIMITS.publishBatch} events, not ${events.length}`);
      }
      refuseUnbound(tenant, mayPublish);
      refuseInvalid(events);
      refuseForeign(tenant, events);
      const batch = batchOf(tenant, events, ids);
      return resultOf(batch, await append(log, batch.records));
    },
  };
}

/** Refuses everything of a tenant that the log's topic may not speak for. */
export function refuseUnbound(tenant: Tenant, mayPublish: PublisherDeps["mayPublish"]): void {
  if (mayPublish(tenant)) return;
  const named = `${tenant.organisation}/${tenant.environment}`;
  throw new CodedError("tenant.forbidden", `the event log may not speak for ${named} (PASSBUS_KAFKA_TENANTS)`);
}

/** What the log is asked to take. An event that stands twice in a batch is one record. */
interface Batch {
  readonly records: readonly NewRecord[];
  /** For each event: its id, and the place of its record. */
  readonly events: readonly { readonly id: string; readonly record: number }[];
}

function refuseInvalid(events: readonly PassEvent[]): void {
  const wrong: FieldViolation[] = [];
  for (let at = 0; at < events.length && wrong.length < LIMITS.namedViolations; at++) {
    const event = events[at];
    if (event !== undefined) wrong.push(...validateEvent(event, `events[${at}]`));
  }
  if (wrong.length > 0) throw invalidFields(wrong.slice(0, LIMITS.namedViolations));
}

/** An event may name its organisation and environment, if they are the key's (design, section 6, rule 7). */
function refuseForeign(tenant: Tenant, events: readonly PassEvent[]): void {
  for (const [at, event] of events.entries()) refuseForeignEvent(tenant, event, `events[${at}]`);
}

function refuseForeignEvent(tenant: Tenant, event: PassEvent, path: string): void {
  const name = foreignField(tenant, event);
  if (name === undefined) return;
  const field = `${path}.${name}`;
  const description = "is not the key's own; leave it empty";
  throw new CodedError("tenant.forbidden", `${field}: ${description}`, { violations: [{ field, description }] });
}

function foreignField(tenant: Tenant, event: PassEvent): string | undefined {
  if (event.organisationId !== "" && event.organisationId !== tenant.organisation) return "organisation_id";
  if (event.environment !== "" && event.environment !== tenant.environment) return "environment";
  return undefined;
}

function batchOf(tenant: Tenant, events: readonly PassEvent[], ids: IdSource): Batch {
  const records: NewRecord[] = [];
  const placed: { id: string; record: number }[] = [];
  const first = new Map<string, { readonly at: number; readonly record: number }>();
  for (const [at, event] of events.entries()) {
    const value = completedValue(tenant, event, `events[${at}]`, ids);
    const earlier = first.get(event.id);
    if (earlier === undefined) {
      first.set(event.id, { at, record: records.length });
      placed.push({ id: event.id, record: records.length });
      records.push(recordOf(tenant, event, value));
    } else if (Buffer.compare(records[earlier.record]?.value ?? new Uint8Array(), value) === 0) {
      placed.push({ id: event.id, record: earlier.record });
    } else {
      throw invalidField(`events[${at}].id`, `events[${earlier.at}] has the same id and other content`);
    }
  }
  return { records, events: placed };
}

/** The record of one event that stands for itself. Completes the event; `path` is how the caller names it. */
export function eventRecord(tenant: Tenant, event: PassEvent, path: string, ids: IdSource): NewRecord {
  const wrong = validateEvent(event, path);
  if (wrong.length > 0) throw invalidFields(wrong.slice(0, LIMITS.namedViolations));
  refuseForeignEvent(tenant, event, path);
  return recordOf(tenant, event, completedValue(tenant, event, path, ids));
}

function completedValue(tenant: Tenant, event: PassEvent, path: string, ids: IdSource): Uint8Array {
  completeEvent(event, tenant, event.id === "" ? ids.next("evt") : event.id);
  const value = canonicalBytes(event);
  if (value.length > LIMITS.eventBytes) throw tooLarge(path, value.length);
  return value;
}

function tooLarge(path: string, bytes: number): CodedError {
  const description = `must be at most ${LIMITS.eventBytes} bytes as protobuf, not ${bytes}`;
  return new CodedError("limit.event_bytes", `${path}: ${description}`, {
    violations: [{ field: path, description }],
  });
}

function recordOf(tenant: Tenant, event: PassEvent, value: Uint8Array): NewRecord {
  return {
    key: event.pass?.id ?? "",
    value,
    headers: {
      [RECORD_HEADERS.contentType]: CANONICAL_CONTENT_TYPE,
      [RECORD_HEADERS.organisation]: tenant.organisation,
      [RECORD_HEADERS.environment]: tenant.environment,
      [RECORD_HEADERS.event]: event.id,
    },
  };
}

/** A writer that broke down has said nothing of any record: the caller must take all as not durable, and may repeat. */
export async function append(log: LogWriter, records: readonly NewRecord[]): Promise<readonly AppendResult[]> {
  try {
    return await log.append(records);
  } catch (error) {
    throw error instanceof CodedError ? error : unanswered(error);
  }
}

function unanswered(cause: unknown): CodedError {
  return new CodedError("log.unavailable", "the event log did not answer", { cause });
}

function resultOf(batch: Batch, appended: readonly AppendResult[]): PublishResult {
  let reason = "";
  const outcomes = batch.events.map(({ id, record }): PublishOutcome => {
    const result = appended[record];
    if (result?.durable === true) return { eventId: id, durable: true };
    if (reason === "") reason = result?.reason ?? "the log gave no result";
    return { eventId: id, durable: false };
  });
  const durable = outcomes.every((outcome) => outcome.durable);
  return { kind: durable ? "published" : "partial", outcomes, reason };
}
