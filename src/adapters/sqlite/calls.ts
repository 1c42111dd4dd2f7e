/**
 * What goes between the store's thread and its callers: tuples of plain values, since a structured clone of objects
 * costs four times as much (1.6 against 0.4 µs a delivery), and the bytes of a whole batch in one buffer, since each
 * typed array is cloned with all of the buffer that it looks into.
 */
import type { ShortenRequest } from "../../delivery/delivery-store.ts";
import type { PurgedKind, TurnRequest } from "../../delivery/retention.ts";
import type { DeliveryStatus, WorkClass } from "../../domain/delivery.ts";
import type { LimitField } from "../../subscriptions/limit-store.ts";
import type { AccessCalls } from "./access-calls.ts";
import type { BinCalls } from "./bin-calls.ts";
import type { ChainCalls } from "./chain-calls.ts";
import type { EndpointCalls } from "./endpoint-calls.ts";
import type { ErasureCalls } from "./erasure-calls.ts";
import type { KindCalls } from "./kind-calls.ts";
import type { ReplayCalls } from "./replay-calls.ts";
import type { StatsCalls } from "./stats-calls.ts";

/** The order is the number that is stored; the indexes of schema.ts rely on it. Only ever append. */
export const STATUSES = [
  "waiting",
  "attempting",
  "held",
  "delivered",
  "failed",
  "cancelled",
] as const satisfies readonly DeliveryStatus[];

/** The order is the number that is stored, and the order of claiming. */
export const WORK_CLASSES = ["live", "retry", "replay"] as const satisfies readonly WorkClass[];

export const WAITING = STATUSES.indexOf("waiting");
export const ATTEMPTING = STATUSES.indexOf("attempting");
export const HELD = STATUSES.indexOf("held");
export const DELIVERED = STATUSES.indexOf("delivered");
export const FAILED = STATUSES.indexOf("failed");
export const CANCELLED = STATUSES.indexOf("cancelled");

export type TenantRow = readonly [organisation: string, environment: string];

/** An event without its value, whose length it has; the values of a batch stand one after the other in one buffer. */
export type EventRow = readonly [
  id: string,
  type: number,
  passId: string,
  entityId: string,
  loggedAtMs: number,
  contentHash: string,
  valueBytes: number,
  payloadDroppedAtMs: number | null,
];

/** `workAtMs` is when it is due while waiting, and when its lease ends while attempting. */
export type DeliveryRow = readonly [
  id: string,
  eventId: string,
  eventType: number,
  passId: string,
  subscriptionId: string,
  status: number,
  workClass: number,
  run: number,
  fence: number,
  runAttempts: number,
  attemptCount: number,
  workAtMs: number | null,
  createdAtMs: number,
  finishedAtMs: number | null,
  attempts: string,
  sequence: number | null,
  replayId: string | null,
  foldedInto: string | null,
  protocolEvent: number | null,
];

/** `workClass` null: it stays; `attempt` null: there was none. */
export type OutcomeRow = readonly [
  id: string,
  fence: number,
  run: number,
  status: number,
  workClass: number | null,
  workAtMs: number | null,
  finishedAtMs: number | null,
  attempt: string | null,
  foldedInto: string | null,
];

export type KnownEventRow = readonly [contentHash: string, loggedAtMs: number, payloadDropped: boolean];

/** `tenant` is the place in the batch's list of tenants. */
export type EventWriteRow = readonly [tenant: number, event: EventRow];
export type FirstRow = readonly [kind: 0, tenant: number, delivery: DeliveryRow];
export type OutcomeWriteRow = readonly [kind: 1, tenant: number, outcome: OutcomeRow];
export type DeliveryWriteRow = FirstRow | OutcomeWriteRow;

export interface FlushRows {
  readonly tenants: readonly TenantRow[];
  readonly events: readonly EventWriteRow[];
  readonly values: Uint8Array;
  readonly deliveries: readonly DeliveryWriteRow[];
}

export interface FlushAnswer {
  /** Places in the batch's list of events. */
  readonly conflicts: readonly number[];
  readonly applied: readonly boolean[];
}

/** A page's order is by time, then id, both falling. */
export type CursorRow = readonly [timeMs: number, id: string];

export interface PageRows<Row> {
  readonly rows: readonly Row[];
  /** There are more behind the last one. */
  readonly more: boolean;
}

/** A page of a list that looks at so many rows only: it may be short, or empty, before the last one. */
export interface ListedDeliveries {
  readonly rows: readonly DeliveryRow[];
  /** Where the next page goes on; null behind the last. */
  readonly at: CursorRow | null;
}

export interface EventRows extends PageRows<EventRow> {
  readonly values: Uint8Array;
}

export interface ListEvents {
  readonly tenant: TenantRow;
  readonly passId?: string;
  readonly entityId?: string;
  /** As `kindNumber` has it. */
  readonly type?: number;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly size: number;
  readonly after?: CursorRow;
}

export interface ListDeliveries {
  readonly tenant: TenantRow;
  readonly subscriptionId?: string;
  readonly eventId?: string;
  readonly passId?: string;
  readonly status?: number;
  /** Of the event, as `kindNumber` has it. */
  readonly type?: number;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly size: number;
  readonly after?: CursorRow;
}

export type WatchedRows = "events" | "deliveries";

export interface ChangedDeliveries extends PageRows<DeliveryRow> {
  readonly skipped: number;
}

export interface ChangedEvents extends EventRows {
  readonly skipped: number;
}

export interface ReadChanges {
  readonly reader: number;
  readonly limit: number;
}

export interface ClaimRow {
  readonly nowMs: number;
  readonly leaseMs: number;
  readonly limit: number;
  readonly slots: ReadonlyMap<string, number>;
  readonly defaultSlots: number;
  readonly stopped: readonly string[];
}

export interface ClaimAnswer {
  readonly tenants: readonly TenantRow[];
  readonly events: readonly EventWriteRow[];
  readonly values: Uint8Array;
  /** Each with its tenant and its event, as places in the lists above. */
  readonly deliveries: readonly (readonly [tenant: number, event: number, delivery: DeliveryRow])[];
  readonly nextDueAtMs?: number;
}

export type OpenRow = readonly [
  organisation: string,
  environment: string,
  subscriptionId: string,
  hasWaiting: boolean,
  hasHeld: boolean,
];

export interface MoveRow {
  readonly tenant: TenantRow;
  readonly subscriptionId: string;
  readonly from: number;
  readonly to: number;
  readonly nowMs: number;
  readonly limit: number;
  readonly unsequenced: boolean;
}

export interface SubscriptionRow {
  readonly tenant: TenantRow;
  readonly id: string;
  readonly entityId: string;
  readonly urlKey: string;
  readonly state: string;
  readonly format: string;
  readonly version: number;
  readonly createdAtMs: number;
  /** The whole subscription as JSON. */
  readonly document: string;
}

export interface ListSubscriptions {
  readonly tenant: TenantRow;
  readonly entityId?: string;
  readonly state?: string;
  readonly format?: string;
  readonly size: number;
  readonly after?: CursorRow;
}

/** `null`: the default. Retentions in milliseconds. */
export type LimitsRow = readonly [
  organisationSubscriptions: number | null,
  entitySubscriptions: number | null,
  eventRetention: number | null,
  deliveryRetention: number | null,
  payloadRetention: number | null,
  callsPerSecond: number | null,
  eventsPerSecond: number | null,
];

/** Retentions in milliseconds; `null`: the service's. */
export type RetainedTenantRow = readonly [
  tenant: TenantRow,
  eventRetention: number | null,
  deliveryRetention: number | null,
  payloadRetention: number | null,
];

export interface PurgeRow {
  readonly tenant: TenantRow;
  readonly kind: PurgedKind;
  readonly beforeMs: number;
  /** Pages here go forwards in time. */
  readonly after?: CursorRow;
  readonly limit: number;
  readonly nowMs: number;
}

export interface PurgeAnswer {
  readonly purged: number;
  readonly at: CursorRow | null;
  readonly more: boolean;
}

/** An empty organisation is the service. */
export type StopRow = readonly [organisation: string, reason: string, stoppedAtMs: number, stoppedBy: string];

export type DeadLetterRow = readonly [
  organisation: string,
  environment: string,
  id: string,
  topic: string,
  partition: number,
  offset: number,
  reason: string,
  message: string,
  appendedAtMs: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: string,
  truncated: number,
  redrivenAtMs: number | null,
];

export interface ListDeadLetters {
  readonly tenant: TenantRow;
  readonly reason?: string;
  readonly size: number;
  readonly after?: CursorRow;
}

export interface TenantIds {
  readonly tenant: TenantRow;
  readonly ids: readonly string[];
}

export interface TenantId {
  readonly tenant: TenantRow;
  readonly id: string;
}

/** A delivery that waits: where a walk over all of them stands. */
export interface WaitingPlace {
  readonly tenant: number;
  readonly createdAtMs: number;
  readonly row: number;
  /** Rows that were written since the walk began are behind it. */
  readonly lastRow: number;
}

export interface TurnBackStep {
  readonly nowMs: number;
  readonly byMs: number;
  /** Where the step before ended; the first has none. */
  readonly after?: WaitingPlace;
}

export interface TurnedBack {
  readonly moved: number;
  /** Null where all have been looked at. */
  readonly at: WaitingPlace | null;
}

/** All calls that the store's thread answers. */
export interface StoreCalls
  extends AccessCalls,
    ChainCalls,
    EndpointCalls,
    ErasureCalls,
    KindCalls,
    ReplayCalls,
    BinCalls,
    StatsCalls {
  flush(batch: FlushRows): FlushAnswer;
  knownEvents(keys: readonly TenantId[]): readonly (KnownEventRow | null)[];
  knownDeliveries(asked: TenantIds): readonly string[];
  claim(request: ClaimRow): ClaimAnswer;
  turnBack(request: TurnBackStep): TurnedBack;
  shortenLeases(request: ShortenRequest): number;
  openSubscriptions(none: null): readonly OpenRow[];
  moveOpen(request: MoveRow): number;
  getEvent(key: TenantId): readonly [event: EventRow, value: Uint8Array] | null;
  listEvents(request: ListEvents): EventRows;
  getDelivery(key: TenantId): DeliveryRow | null;
  listDeliveries(request: ListDeliveries): ListedDeliveries;
  retry(request: TenantId & { readonly nowMs: number }): DeliveryRow | "attempting" | "payloadDropped" | null;
  /** Whether it was cancelled now, and what it is then. */
  cancel(request: TenantId & { readonly nowMs: number }): readonly [cancelled: boolean, row: DeliveryRow] | null;
  insertSubscription(asked: {
    readonly row: SubscriptionRow;
    readonly scopeLimit: number;
  }): "inserted" | "duplicateUrl" | "limitReached";
  getSubscription(key: TenantId): string | null;
  listSubscriptions(request: ListSubscriptions): PageRows<string>;
  replaceSubscription(row: SubscriptionRow): "replaced" | "changed" | "missing" | "duplicateUrl";
  removeSubscription(key: TenantId): boolean;
  /** Of every tenant, those behind the one named. */
  everySubscription(asked: { readonly after: TenantId | null; readonly limit: number }): readonly string[];
  versions(tenants: readonly TenantRow[]): readonly number[];
  load(tenant: TenantRow): readonly [version: number, documents: readonly string[]];
  limits(organisation: string): LimitsRow;
  setLimits(asked: {
    readonly organisation: string;
    readonly limits: LimitsRow;
    readonly fields: readonly LimitField[];
  }): null;
  retainedTenants(none: null): readonly RetainedTenantRow[];
  purge(request: PurgeRow): PurgeAnswer;
  expireHeld(asked: TenantIds & { readonly nowMs: number }): number;
  takeTurn(request: TurnRequest): { readonly state: string | null } | null;
  keepState(asked: { readonly holder: string; readonly state: string }): null;
  stops(none: null): readonly StopRow[];
  putStop(row: StopRow): null;
  removeStop(organisation: string): null;
  putDeadLetters(rows: readonly DeadLetterRow[]): null;
  listDeadLetters(request: ListDeadLetters): PageRows<DeadLetterRow>;
  findDeadLetters(asked: TenantIds): readonly (DeadLetterRow | null)[];
  /** Answers the reader's number. */
  watch(asked: { readonly tenant: TenantRow; readonly rows: WatchedRows }): number;
  changedEvents(asked: ReadChanges): ChangedEvents;
  changedDeliveries(asked: ReadChanges): ChangedDeliveries;
  unwatch(reader: number): null;
  noteRedriven(asked: TenantIds & { readonly nowMs: number }): null;
}
