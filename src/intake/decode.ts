/** From a record of the log to an event, or to a dead letter that says why not. Pure; nothing here throws. */
import { hash } from "node:crypto";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import { type DecodedEvent, isEventId, type StoredEvent } from "../domain/event.ts";
import { CodedError } from "../kernel/errors.ts";
import { derivedId } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { isTenantName, type Tenant } from "../kernel/tenant.ts";
import { canonicalBytes, completeEvent } from "./canonical.ts";
import { CANONICAL_CONTENT_TYPE, RECORD_HEADERS } from "./content-type.ts";
import { DEAD_REASONS, type DeadLetter, type DeadReason } from "./dead-letters.ts";
import type { LogRecord } from "./event-log.ts";
import { readEvent } from "./forms/read-event.ts";
import { reasonIn } from "./forms/refusals.ts";
import type { TenantRule } from "./tenants.ts";
import { validateEvent } from "./validate.ts";

export type Decoded =
  | { readonly kind: "event"; readonly event: DecodedEvent }
  | { readonly kind: "dead"; readonly letter: DeadLetter };

export type RecordDecoder = (record: LogRecord) => Decoded;

export interface DecoderOptions {
  /** Only our own API writes to this log, and it has checked every event: what it marked as canonical isn't checked again. */
  readonly isOwnLog?: boolean;
  /** SHA-256 in base64url, where it is left out. */
  readonly contentHash?: (value: Uint8Array) => string;
}

const NOTHING = new Uint8Array();
const sha256 = (value: Uint8Array): string => hash("sha256", value, "base64url");

export function recordDecoder(tenants: TenantRule, options: DecoderOptions = {}): RecordDecoder {
  const { contentHash = sha256 } = options;
  const isChecked = (record: LogRecord) =>
    options.isOwnLog === true && record.headers[RECORD_HEADERS.contentType] === CANONICAL_CONTENT_TYPE;
  return (record) => {
    const refuse = (reason: DeadReason, message: string, tenant = claimedTenant(record, tenants)): Decoded => ({
      kind: "dead",
      letter: { record, reason, message, tenant },
    });
    if (record.value === null || record.value.length === 0) return refuse("event.empty", "the record has no value");
    if (record.value.length > LIMITS.eventBytes) {
      const bytes = record.value.length;
      return refuse("limit.event_bytes", `the value has ${bytes} bytes, more than ${LIMITS.eventBytes}`);
    }
    let event: PassEvent;
    try {
      event = readEvent(record.headers, record.value);
    } catch (error) {
      return refuse(reasonOf(error), reasonIn(error));
    }
    const tenant = tenantOf(record, event, tenants.fallback(record.topic));
    if (tenant === undefined) return refuse("tenant.forbidden", "the headers and the value name different tenants");
    if (!isTenantName(tenant.organisation)) return refuse("event.invalid", `organisation_id: ${TENANT_NAME}`);
    if (!isTenantName(tenant.environment)) return refuse("event.invalid", `environment: ${TENANT_NAME}`);
    if (!tenants.allows(record.topic, tenant)) {
      return refuse("tenant.forbidden", `topic ${record.topic} may not speak for the tenant that the record names`);
    }
    const wrong = headersInto(event, record);
    if (wrong !== undefined) return refuse("event.invalid", wrong, tenant);
    const violations = isChecked(record) ? [] : validateEvent(event, "");
    if (violations.length > 0) {
      const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
      return refuse("event.invalid", message, tenant);
    }
    const completed = complete(record, event, tenant, contentHash);
    // JSON can say in few bytes what is many as protobuf.
    const { length } = completed.stored.value;
    if (length > LIMITS.eventBytes) {
      return refuse(
        "limit.event_bytes",
        `the event has ${length} bytes as protobuf, more than ${LIMITS.eventBytes}`,
        tenant,
      );
    }
    return { kind: "event", event: completed };
  };
}

/** What reads a value throws for much: what it throws without a code of ours, it could not decode. */
function reasonOf(error: unknown): DeadReason {
  const code = error instanceof CodedError ? error.code : undefined;
  return DEAD_REASONS.find((reason) => reason === code) ?? "event.unreadable";
}

const TENANT_NAME = "must be 1 to 64 letters, digits, dots, underscores and dashes, beginning with a letter or digit";

/**
 * Whose a record is that could not be read: its headers' tenant where its topic may speak for that one, else the
 * topic's own. So a record that claims another's tenant is seen by those who may speak on its topic.
 */
function claimedTenant({ topic, headers }: LogRecord, tenants: TenantRule): Tenant {
  const fallback = tenants.fallback(topic);
  const claimed = {
    organisation: headers[RECORD_HEADERS.organisation] || fallback.organisation,
    environment: headers[RECORD_HEADERS.environment] || fallback.environment,
  };
  const isName = isTenantName(claimed.organisation) && isTenantName(claimed.environment);
  return isName && tenants.allows(topic, claimed) ? claimed : fallback;
}

/** The headers win over what the value leaves empty; undefined where both are set and differ. */
function tenantOf(record: LogRecord, event: PassEvent, fallback: Tenant): Tenant | undefined {
  const organisation = agreed(record.headers[RECORD_HEADERS.organisation], event.organisationId);
  const environment = agreed(record.headers[RECORD_HEADERS.environment], event.environment);
  if (organisation === undefined || environment === undefined) return undefined;
  return { organisation: organisation || fallback.organisation, environment: environment || fallback.environment };
}

/** Fills entity and id from the headers; what is wrong with them, if anything is. */
function headersInto(event: PassEvent, record: LogRecord): string | undefined {
  const entity = agreed(record.headers[RECORD_HEADERS.entity], event.entityId);
  if (entity === undefined) return "entity_id: the header and the value differ";
  const id = agreed(record.headers[RECORD_HEADERS.event], event.id);
  if (id === undefined) return "id: the header event-id and the value differ";
  event.entityId = entity;
  event.id = id;
  return id === "" || isEventId(id) ? undefined : "id: must be 1 to 128 visible ASCII characters";
}

function agreed(header: string | undefined, value: string): string | undefined {
  if (header === undefined || header === "" || header === value) return value;
  return value === "" ? header : undefined;
}

function complete(
  record: LogRecord,
  event: PassEvent,
  tenant: Tenant,
  contentHash: (value: Uint8Array) => string,
): DecodedEvent {
  const isOurs = record.headers[RECORD_HEADERS.contentType] === CANONICAL_CONTENT_TYPE;
  completeEvent(event, tenant, event.id === "" ? hashedId(record, contentHash) : event.id);
  const value = isOurs && record.value !== null ? record.value : canonicalBytes(event);
  const stored: StoredEvent = {
    tenant,
    id: event.id,
    type: event.type,
    passId: event.pass?.id ?? "",
    entityId: event.entityId,
    loggedAtMs: record.appendedAtMs,
    value,
    contentHash: contentHash(value),
  };
  return decodeStored(stored, event);
}

/**
 * For an event without an id: the same record always gets the same one. A recreated topic repeats offsets, hence the rest.
 * Ids stay in the clear, so what is in the record is hashed with a key where nobody is to check a guess.
 */
function hashedId(record: LogRecord, contentHash: (value: Uint8Array) => string): string {
  return derivedId("evt", [
    record.topic,
    String(record.partition),
    String(record.offset),
    record.claimedTime ?? String(record.appendedAtMs),
    contentHash(record.key ?? NOTHING),
    contentHash(record.value ?? NOTHING),
  ]);
}
