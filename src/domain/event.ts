import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Tenant } from "../kernel/tenant.ts";

/** An event's identity: the id is unique in an organisation and environment. */
export interface EventKey {
  readonly tenant: Tenant;
  readonly id: string;
}

/** An event as the store has it. Every event is stored, matched or not; retries and replays read it from there. */
export interface StoredEvent extends EventKey {
  readonly type: PassEventType;
  /** Only of passbus's own events, whose `type` is UNSPECIFIED and whose `passId` is empty. */
  readonly operationalType?: OperationalEventType;
  readonly passId: string;
  readonly entityId: string;
  /** When the log took the earliest known record of it. What "younger than the event" is decided by (protocol, rule 9). */
  readonly loggedAtMs: number;
  /** A `passbus.v1.PassEvent` in canonical protobuf: fields in the order of their numbers, map keys sorted. */
  readonly value: Uint8Array;
  /**
   * SHA-256 of `value`, in base64url; where payloads are encrypted, a keyed hash behind its key's id, or a payload could be
   * guessed from it; of one of passbus's own, of its id. `isSameContent` compares them.
   */
  readonly contentHash: string;
  /** Its payload is kept no longer: `value` is empty. Never while a delivery of it is open. */
  readonly payloadDroppedAtMs?: number;
}

/**
 * Whether two events of one id are the same event, as far as their hashes tell. Those under different keys, or of which
 * one is under none, tell nothing: a record that comes again after the keys were changed is no conflict.
 */
export function isSameContent(left: string, right: string): boolean {
  return left === right || hashedUnder(left) !== hashedUnder(right);
}

const hashedUnder = (contentHash: string): string => contentHash.slice(0, contentHash.indexOf(".") + 1);

/** A stored event and its message, decoded once. */
export interface DecodedEvent {
  readonly stored: StoredEvent;
  /** `occurred_at`, `entity_id`, `organisation_id` and `environment` are always set. */
  readonly event: PassEvent;
}

/** What happened: to a pass, or, where `operationalType` is there, at an endpoint. */
export type EventKind = Pick<StoredEvent, "type" | "operationalType">;

/**
 * The one number that stores keep of an event's kind: a PassEventType's, or an OperationalEventType's below zero. So one
 * column and one index serve both, and no question for one finds the other.
 */
export function kindNumber({ type = 0, operationalType = 0 }: Partial<EventKind>): number {
  return operationalType === 0 ? type : -operationalType;
}

/** Whether a filter asks for a kind. */
export function isOfKind(kind: Partial<EventKind>): boolean {
  return kindNumber(kind) !== 0;
}

export function kindOf(number: number): EventKind {
  if (number >= 0) return { type: number as PassEventType };
  return { type: PassEventType.UNSPECIFIED, operationalType: -number as OperationalEventType };
}

export const EVENT_TYPES = [
  PassEventType.CREATED,
  PassEventType.INSTALLED,
  PassEventType.UPDATED,
  PassEventType.UNINSTALLED,
  PassEventType.INVALIDATED,
  PassEventType.DELETED,
  PassEventType.SCANNED,
] as const;

/** 1 to 128 visible ASCII characters. */
export function isEventId(id: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(id);
}
