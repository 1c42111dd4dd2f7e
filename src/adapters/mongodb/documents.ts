/**
 * How the domain's objects lie in MongoDB. An `_id` is the tenant's key and the id, so that every look-up by id has the
 * tenant in it; lists have it as a field. Times are numbers, milliseconds since 1970, but for those that an expiry reads.
 *
 * Attempts are JSON text beside their id: header names may hold dots and dollars, a lone surrogate in a response stays
 * what it was, and it is a little quicker (6.8 against 7.7 µs of our CPU a delivery, written in batches of 500).
 */
import type { Attempt, Delivery, DeliveryStatus, WorkClass } from "../../domain/delivery.ts";
import { type EventKey, kindNumber, kindOf, type StoredEvent } from "../../domain/event.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import type { Stored } from "./wire.ts";

/**
 * The order is the number that is stored, and partial indexes rely on it: what is open comes first, then what went
 * wrong, and last what was delivered, which is most of it and in none of them. Only ever append within these limits.
 */
export const STATUSES = [
  "waiting",
  "attempting",
  "held",
  "failed",
  "cancelled",
  "delivered",
] as const satisfies readonly DeliveryStatus[];

export const WAITING = STATUSES.indexOf("waiting");
export const ATTEMPTING = STATUSES.indexOf("attempting");
export const HELD = STATUSES.indexOf("held");
export const DELIVERED = STATUSES.indexOf("delivered");

/** Every status below this one is open: it waits, is held or is being attempted. */
export const FIRST_TERMINAL = STATUSES.indexOf("failed");

/** The order is the number that is stored, and the order of claiming. */
export const WORK_CLASSES = ["live", "retry", "replay"] as const satisfies readonly WorkClass[];

export const COLLECTIONS = {
  events: "events",
  deliveries: "deliveries",
  subscriptions: "subscriptions",
  tenants: "tenants",
  organisations: "organisations",
  keys: "keys",
  keyCertificates: "key_certificates",
  portalSessions: "portal_sessions",
  auditRecords: "audit_records",
  deadLetters: "dead_letters",
  endpoints: "endpoints",
  rates: "rates",
  replays: "replays",
  replaySlots: "replay_slots",
  stops: "delivery_stops",
  upkeep: "upkeep",
  bins: "bins",
  binRequests: "bin_requests",
  deliveryStats: "delivery_stats",
  workerReports: "worker_reports",
  workers: "workers",
  erasures: "erasures",
} as const;

export interface EventDocument extends Stored {
  readonly tenant: string;
  readonly type: number;
  readonly pass: string;
  readonly entity: string;
  readonly loggedAt: number;
  readonly hash: string;
  readonly value: Uint8Array;
  /** Its retention runs from here. Absent while it is pinned, so that no expiry sees it. */
  readonly retainedFrom?: Date;
  /** It is pinned, for deliveries of it are open or were: when to look next whether they still are. */
  readonly pinned?: number;
  /** Its value is empty. Only while it is not pinned, or pinned for a delivery that could not be. */
  readonly payloadDroppedAt?: number;
}

export interface AttemptDocument {
  readonly id: string;
  readonly json: string;
}

export interface DeliveryDocument extends Stored {
  readonly tenant: string;
  /** The tenant's key and the subscription: one field, since `distinct` knows no others. */
  readonly lane: string;
  readonly event: string;
  readonly type: number;
  readonly pass: string;
  readonly status: number;
  readonly class: number;
  readonly run: number;
  readonly fence: number;
  readonly runAttempts: number;
  readonly attemptCount: number;
  readonly attempts: readonly AttemptDocument[];
  /** When it is due while waiting, and when its lease ends while attempting; else absent. */
  readonly workAt?: number;
  /** Only where order or conflation was asked for. */
  readonly sequence?: number;
  readonly protocolEvent?: true;
  readonly replay?: string;
  readonly foldedInto?: string;
  readonly createdAt: number;
  /** Only when terminal. The expiry reads it. */
  readonly finishedAt?: Date;
  /** The last write that changed its state: whoever repeats that write learns that it was applied. */
  readonly token: string;
}

/** Neither part of a tenant may hold a slash, so no two of them make one `_id`. */
export function idIn(tenant: Tenant, id: string): string {
  return `${tenantKey(tenant)}/${id}`;
}

/** What stands behind the tenant in an `_id` or a lane. */
export const idOf = (key: string, tenant: string): string => key.slice(tenant.length + 1);

export function tenantOf(key: string): Tenant {
  const slash = key.indexOf("/");
  return { organisation: key.slice(0, slash), environment: key.slice(slash + 1) };
}

/** The tenant of a lane: what stands before the second slash. */
export const tenantOfLane = (lane: string): string => lane.slice(0, lane.indexOf("/", lane.indexOf("/") + 1));

export const eventIdOf = ({ tenant, id }: EventKey): string => idIn(tenant, id);

/** `pinnedUntilMs` undefined: its retention begins now. */
export function eventDocument(event: StoredEvent, nowMs: number, pinnedUntilMs: number | undefined): EventDocument {
  const tenant = tenantKey(event.tenant);
  const document = {
    _id: `${tenant}/${event.id}`,
    tenant,
    type: kindNumber(event),
    pass: event.passId,
    entity: event.entityId,
    loggedAt: event.loggedAtMs,
    hash: event.contentHash,
    value: event.value,
  };
  return pinnedUntilMs === undefined
    ? { ...document, retainedFrom: new Date(nowMs) }
    : { ...document, pinned: pinnedUntilMs };
}

export function eventOf(document: EventDocument): StoredEvent {
  return {
    tenant: tenantOf(document.tenant),
    id: idOf(document._id, document.tenant),
    ...kindOf(document.type),
    passId: document.pass,
    entityId: document.entity,
    loggedAtMs: document.loggedAt,
    // The driver's bytes look into the whole answer, which would live as long as each of its events.
    value: new Uint8Array(document.value),
    contentHash: document.hash,
    ...(document.payloadDroppedAt === undefined ? {} : { payloadDroppedAtMs: document.payloadDroppedAt }),
  };
}

export function attemptDocument(attempt: Attempt): AttemptDocument {
  return { id: attempt.id, json: JSON.stringify(attempt) };
}

export function deliveryOf(document: DeliveryDocument): Delivery {
  const { tenant, workAt, finishedAt } = document;
  const { type, operationalType } = kindOf(document.type);
  const status = STATUSES[document.status] ?? "failed";
  return {
    id: idOf(document._id, tenant),
    tenant: tenantOf(tenant),
    eventId: document.event,
    eventType: type,
    ...(operationalType === undefined ? {} : { operationalType }),
    passId: document.pass,
    subscriptionId: idOf(document.lane, tenant),
    status,
    workClass: WORK_CLASSES[document.class] ?? "live",
    run: document.run,
    fence: document.fence,
    runAttempts: document.runAttempts,
    attemptCount: document.attemptCount,
    attempts: document.attempts.map((attempt): Attempt => JSON.parse(attempt.json)),
    ...(status === "waiting" && workAt !== undefined ? { dueAtMs: workAt } : {}),
    ...(status === "attempting" && workAt !== undefined ? { leaseUntilMs: workAt } : {}),
    ...(document.sequence === undefined ? {} : { sequence: document.sequence }),
    ...(document.protocolEvent === undefined ? {} : { protocolEvent: true }),
    ...(document.replay === undefined ? {} : { replayId: document.replay }),
    ...(document.foldedInto === undefined ? {} : { foldedInto: document.foldedInto }),
    createdAtMs: document.createdAt,
    ...(finishedAt === undefined ? {} : { finishedAtMs: finishedAt.getTime() }),
  };
}
