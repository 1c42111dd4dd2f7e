/** DeliveryStore and DeliveryLog over the thread's calls. */

import type { ChainStore } from "../../delivery/chains-store.ts";
import type { ClaimResult, DeliveryLog, DeliveryStore, FlushBatch } from "../../delivery/delivery-store.ts";
import { type EventKey, isOfKind, kindNumber, type StoredEvent } from "../../domain/event.ts";
import { keptBytes } from "../../kernel/kept-bytes.ts";
import type { Page, PageRequest } from "../../kernel/page.ts";
import type { Tenant } from "../../kernel/tenant.ts";
import { type CallClient, cutBytes, packBytes } from "../../kernel/thread-call.ts";
import {
  type ClaimAnswer,
  type CursorRow,
  type EventRow,
  type FlushRows,
  STATUSES,
  type StoreCalls,
  type TenantId,
} from "./calls.ts";
import { deliveryOf, deliveryWriteRow, eventOf, eventRow, TenantPlaces, tenantOf, tenantRow } from "./rows.ts";

type Calls = CallClient<StoreCalls>;

export function cursorRow(page: PageRequest): { readonly size: number; readonly after?: CursorRow } {
  if (page.after === undefined) return { size: page.size };
  return { size: page.size, after: [page.after.timeMs, page.after.id] };
}

const tenantId = ({ tenant, id }: EventKey): TenantId => ({ tenant: tenantRow(tenant), id });

export function deliveryStore(calls: Calls): Omit<DeliveryStore, keyof ChainStore> {
  return {
    async flush(batch) {
      const rows = flushRows(batch);
      const answer = await calls.call("flush", rows, [rows.values.buffer]);
      const conflicts = answer.conflicts.flatMap((place): EventKey[] => {
        const event = batch.events[place];
        return event === undefined ? [] : [{ tenant: event.tenant, id: event.id }];
      });
      return { conflicts, applied: answer.applied };
    },
    async knownEvents(keys) {
      const known = await calls.call("knownEvents", keys.map(tenantId));
      return known.map((row) =>
        row === null
          ? undefined
          : { contentHash: row[0], loggedAtMs: row[1], ...(row[2] && { payloadDropped: true as const }) },
      );
    },
    async knownDeliveries(tenant, ids) {
      return new Set(await calls.call("knownDeliveries", { tenant: tenantRow(tenant), ids }));
    },
    async claim(request) {
      const { nowMs, leaseMs, limit, slots, defaultSlots, stopped } = request;
      return claimOf(await calls.call("claim", { nowMs, leaseMs, limit, slots, defaultSlots, stopped }));
    },
    async turnBack({ nowMs, byMs }) {
      let step = await calls.call("turnBack", { nowMs, byMs });
      let { moved } = step;
      while (step.at !== null) {
        step = await calls.call("turnBack", { nowMs, byMs, after: step.at });
        moved += step.moved;
      }
      return moved;
    },
    shortenLeases(request) {
      return calls.call("shortenLeases", request);
    },
    async openSubscriptions() {
      const rows = await calls.call("openSubscriptions", null);
      return rows.map(([organisation, environment, subscriptionId, hasWaiting, hasHeld]) => ({
        tenant: tenantOf([organisation, environment]),
        subscriptionId,
        hasWaiting,
        hasHeld,
      }));
    },
    moveOpen(request) {
      return calls.call("moveOpen", {
        tenant: tenantRow(request.tenant),
        subscriptionId: request.subscriptionId,
        from: STATUSES.indexOf(request.from),
        to: STATUSES.indexOf(request.to),
        nowMs: request.nowMs,
        limit: request.limit,
        unsequenced: request.unsequenced === true,
      });
    },
  };
}

function flushRows(batch: FlushBatch): FlushRows & { readonly values: Uint8Array<ArrayBuffer> } {
  const tenants = new TenantPlaces();
  return {
    events: batch.events.map((event) => [tenants.place(event.tenant), eventRow(event)] as const),
    values: packBytes(batch.events.map((event) => event.value)),
    deliveries: batch.deliveries.map((write) => deliveryWriteRow(tenants, write)),
    tenants: tenants.rows,
  };
}

/** The events of an answer with their values, which came in one buffer; who keeps one of them keeps none of the others. */
export function eventsOf(
  rows: readonly (readonly [tenant: Tenant, row: EventRow])[],
  values: Uint8Array,
): readonly StoredEvent[] {
  const cut = cutBytes(
    values,
    rows.map(([, row]) => row[6]),
  );
  return rows.map(([tenant, row], place) => eventOf(tenant, row, keptBytes(cut[place] ?? new Uint8Array())));
}

export function claimOf(answer: ClaimAnswer): ClaimResult {
  const tenants = answer.tenants.map(tenantOf);
  const tenantAt = (place: number) => tenants[place] ?? { organisation: "", environment: "" };
  const events = eventsOf(
    answer.events.map(([tenant, row]) => [tenantAt(tenant), row] as const),
    answer.values,
  );
  const claimed = answer.deliveries.flatMap(([tenant, place, row]) => {
    const event = events[place];
    return event === undefined ? [] : [{ delivery: deliveryOf(tenantAt(tenant), row), event }];
  });
  return answer.nextDueAtMs === undefined ? { claimed } : { claimed, nextDueAtMs: answer.nextDueAtMs };
}

export function pageFrom<T extends { readonly id: string }>(
  items: readonly T[],
  more: boolean,
  timeMs: (item: T) => number,
): Page<T> {
  const last = items.at(-1);
  if (!more || last === undefined) return { items };
  return { items, next: { timeMs: timeMs(last), id: last.id } };
}

export function deliveryLog(calls: Calls): DeliveryLog {
  return {
    async getEvent(key) {
      const found = await calls.call("getEvent", tenantId(key));
      return found === null ? undefined : eventOf(key.tenant, found[0], found[1]);
    },
    async listEvents(tenant, filter, page) {
      const { passId, entityId, fromMs, toMs, ...kind } = filter;
      const answer = await calls.call("listEvents", {
        ...(passId === undefined ? {} : { passId }),
        ...(entityId === undefined ? {} : { entityId }),
        ...(fromMs === undefined ? {} : { fromMs }),
        ...(toMs === undefined ? {} : { toMs }),
        ...(isOfKind(kind) ? { type: kindNumber(kind) } : {}),
        ...cursorRow(page),
        tenant: tenantRow(tenant),
      });
      const items = eventsOf(
        answer.rows.map((row) => [tenant, row] as const),
        answer.values,
      );
      return pageFrom<StoredEvent>(items, answer.more, (event) => event.loggedAtMs);
    },
    async getDelivery(tenant, id) {
      const row = await calls.call("getDelivery", { tenant: tenantRow(tenant), id });
      return row === null ? undefined : deliveryOf(tenant, row);
    },
    async listDeliveries(tenant, filter, page) {
      const { status, type, operationalType, ...rest } = filter;
      const kind = kindNumber({
        ...(type !== undefined && { type }),
        ...(operationalType !== undefined && { operationalType }),
      });
      const { rows, at } = await calls.call("listDeliveries", {
        ...rest,
        ...(kind === 0 ? {} : { type: kind }),
        ...(status === undefined ? {} : { status: STATUSES.indexOf(status) }),
        ...cursorRow(page),
        tenant: tenantRow(tenant),
      });
      const items = rows.map((row) => deliveryOf(tenant, row));
      return at === null ? { items } : { items, next: { timeMs: at[0], id: at[1] } };
    },
    async cancel(tenant, id, nowMs) {
      const answer = await calls.call("cancel", { tenant: tenantRow(tenant), id, nowMs });
      return answer === null ? undefined : { cancelled: answer[0], delivery: deliveryOf(tenant, answer[1]) };
    },
    async retry(tenant, id, nowMs) {
      const row = await calls.call("retry", { tenant: tenantRow(tenant), id, nowMs });
      if (row === "attempting" || row === "payloadDropped") return row;
      return row === null ? undefined : deliveryOf(tenant, row);
    },
  };
}
