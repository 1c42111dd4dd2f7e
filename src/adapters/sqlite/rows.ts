/** Between the domain's objects and the rows that go to the thread. Runs on the caller's side. */

import type { DeliveryWrite, NextState } from "../../delivery/delivery-store.ts";
import type { Delivery } from "../../domain/delivery.ts";
import { kindNumber, kindOf, type StoredEvent } from "../../domain/event.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import {
  type DeliveryRow,
  type DeliveryWriteRow,
  type EventRow,
  type OutcomeRow,
  STATUSES,
  type TenantRow,
  WORK_CLASSES,
} from "./calls.ts";

export function tenantRow(tenant: Tenant): TenantRow {
  return [tenant.organisation, tenant.environment];
}

export function tenantOf(row: TenantRow): Tenant {
  return { organisation: row[0], environment: row[1] };
}

/** The tenants of one batch, each once; rows name them by place. */
export class TenantPlaces {
  readonly rows: TenantRow[] = [];
  readonly #places = new Map<string, number>();

  place(tenant: Tenant): number {
    const key = tenantKey(tenant);
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const place = this.rows.push(tenantRow(tenant)) - 1;
    this.#places.set(key, place);
    return place;
  }
}

export function eventRow(event: StoredEvent): EventRow {
  return [
    event.id,
    kindNumber(event),
    event.passId,
    event.entityId,
    event.loggedAtMs,
    event.contentHash,
    event.value.byteLength,
    event.payloadDroppedAtMs ?? null,
  ];
}

export function eventOf(tenant: Tenant, row: EventRow, value: Uint8Array): StoredEvent {
  const [id, kind, passId, entityId, loggedAtMs, contentHash, , droppedAtMs] = row;
  const dropped = droppedAtMs === null ? {} : { payloadDroppedAtMs: droppedAtMs };
  return { tenant, id, ...kindOf(kind), passId, entityId, loggedAtMs, contentHash, value, ...dropped };
}

function attemptsText(delivery: Delivery): string {
  const { attempts } = delivery;
  const [first] = attempts;
  if (first === undefined) return "[]";
  if (attempts.length <= LIMITS.attemptsKept) return JSON.stringify(attempts);
  return JSON.stringify([first, ...attempts.slice(attempts.length - LIMITS.attemptsKept + 1)]);
}

export function deliveryRow(delivery: Delivery): DeliveryRow {
  return [
    delivery.id,
    delivery.eventId,
    kindNumber({ ...delivery, type: delivery.eventType }),
    delivery.passId,
    delivery.subscriptionId,
    STATUSES.indexOf(delivery.status),
    WORK_CLASSES.indexOf(delivery.workClass),
    delivery.run,
    delivery.fence,
    delivery.runAttempts,
    delivery.attemptCount,
    delivery.dueAtMs ?? delivery.leaseUntilMs ?? null,
    delivery.createdAtMs,
    delivery.finishedAtMs ?? null,
    attemptsText(delivery),
    delivery.sequence ?? null,
    delivery.replayId ?? null,
    delivery.foldedInto ?? null,
    delivery.protocolEvent === true ? 1 : null,
  ];
}

export function deliveryOf(tenant: Tenant, row: DeliveryRow): Delivery {
  const [id, eventId, eventType, passId, subscriptionId, status, workClass] = row;
  const [, , , , , , , run, fence, runAttempts, attemptCount, workAtMs, createdAtMs, finishedAtMs, attempts] = row;
  const [, , , , , , , , , , , , , , , sequence, replayId, foldedInto, protocolEvent] = row;
  const name = STATUSES[status] ?? "failed";
  const { type, operationalType } = kindOf(eventType);
  return {
    id,
    tenant,
    eventId,
    eventType: type,
    ...(operationalType === undefined ? {} : { operationalType }),
    passId,
    subscriptionId,
    status: name,
    workClass: WORK_CLASSES[workClass] ?? "live",
    run,
    fence,
    runAttempts,
    attemptCount,
    attempts: JSON.parse(attempts),
    ...(name === "waiting" && workAtMs !== null ? { dueAtMs: workAtMs } : {}),
    ...(name === "attempting" && workAtMs !== null ? { leaseUntilMs: workAtMs } : {}),
    ...(sequence === null ? {} : { sequence }),
    ...(replayId === null ? {} : { replayId }),
    ...(foldedInto === null ? {} : { foldedInto }),
    ...(protocolEvent === null ? {} : { protocolEvent: true }),
    createdAtMs,
    ...(finishedAtMs === null ? {} : { finishedAtMs }),
  };
}

function outcomeRow(write: Extract<DeliveryWrite, { kind: "outcome" }>): OutcomeRow {
  const attempt = write.attempt === undefined ? null : JSON.stringify(write.attempt);
  const [status, workClass, workAtMs, finishedAtMs] = nextRow(write.next);
  const foldedInto = write.next.status === "cancelled" ? (write.next.foldedInto ?? null) : null;
  return [write.id, write.fence, write.run, status, workClass, workAtMs, finishedAtMs, attempt, foldedInto];
}

function nextRow(next: NextState): readonly [number, number | null, number | null, number | null] {
  const status = STATUSES.indexOf(next.status);
  switch (next.status) {
    case "waiting":
      return [status, WORK_CLASSES.indexOf(next.workClass), next.dueAtMs, null];
    case "held":
      return [status, null, null, null];
    case "delivered":
    case "failed":
    case "cancelled":
      return [status, null, null, next.finishedAtMs];
  }
}

export function deliveryWriteRow(tenants: TenantPlaces, write: DeliveryWrite): DeliveryWriteRow {
  return write.kind === "first"
    ? [0, tenants.place(write.delivery.tenant), deliveryRow(write.delivery)]
    : [1, tenants.place(write.tenant), outcomeRow(write)];
}
