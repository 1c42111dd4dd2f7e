/**
 * Claiming what is due, and the sweeps over what is open. Both walk the subscriptions that have such work, group by
 * group along a partial index, so that their cost follows the number of those and not of their rows.
 */
import type { DatabaseSync } from "node:sqlite";
import { ClaimTurns, type DueQueue, sharesOf } from "../../delivery/claim-shares.ts";
import { packBytes, Transferring } from "../../kernel/thread-call.ts";
import {
  ATTEMPTING,
  CANCELLED,
  type ClaimAnswer,
  type ClaimRow,
  type DeliveryRow,
  type EventWriteRow,
  FAILED,
  HELD,
  type StoreCalls,
  type TenantRow,
  WAITING,
  type WaitingPlace,
} from "./calls.ts";
import { DELIVERY_COLUMNS, type DeliveryTable, readDelivery } from "./deliveries.ts";
import type { EventTable, ReadEvent } from "./events.ts";
import { Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";
import { beforeGroupsOf, END, groupBehind, type WorkGroup } from "./work-groups.ts";

/** Bytes of events in one claim; what is over it stays due. */
const CLAIM_BYTES = 16 * 1024 * 1024;

/** Waiting rows that one step looks at after a clock was set back. */
export const TURNED_AT_ONCE = 1_000;

/** Behind every subscription's id, which is ASCII. */
const BEHIND_ALL = "\u{10ffff}";

/** A subscription that has due work, and what was taken of it. */
interface Queue extends DueQueue {
  readonly tenant: number;
  readonly subscriptionId: string;
  /** How many of its deliveries may still start. */
  free: number;
  taken: number;
  /** Due classes, the most urgent first; those that are used up are gone. */
  readonly classes: { readonly workClass: number; taken: number }[];
}

interface Candidate {
  readonly rowid: number;
  readonly tenant: number;
  readonly row: DeliveryRow;
}

export class Claims {
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #events: EventTable;
  readonly #deliveries: DeliveryTable;
  readonly #turns = new ClaimTurns();

  constructor(database: DatabaseSync, tenants: Tenants, events: EventTable, deliveries: DeliveryTable) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#events = events;
    this.#deliveries = deliveries;
  }

  claim(request: ClaimRow): Transferring<ClaimAnswer> {
    const queues = new Map<string, Queue>();
    let nextDueAtMs = Number.POSITIVE_INFINITY;
    for (const group of this.#groups(new Set(request.stopped))) {
      if (group.workAtMs > request.nowMs) {
        nextDueAtMs = Math.min(nextDueAtMs, group.workAtMs);
        continue;
      }
      nextDueAtMs = Math.min(nextDueAtMs, this.#firstAfter(group, request.nowMs));
      this.#addToQueue(queues, group, request);
    }
    const candidates = this.#choose(this.#turns.inTurn([...queues.values()]), request);
    return this.#take(candidates, request, nextDueAtMs);
  }

  /** Stopped organisations are stepped over. */
  *#groups(stopped: ReadonlySet<string>): Generator<WorkGroup> {
    let group = groupBehind(this.#statements, beforeGroupsOf(-1));
    while (group !== undefined) {
      const { tenant } = group;
      const isStopped = stopped.has(this.#tenants.row(tenant)[0]);
      if (!isStopped) yield group;
      const behind = isStopped ? { tenant, subscriptionId: BEHIND_ALL, workClass: -1 } : group;
      group = groupBehind(this.#statements, behind);
    }
  }

  #firstAfter(group: WorkGroup, nowMs: number): number {
    const row = this.#statements
      .get(
        `SELECT work_at FROM deliveries INDEXED BY deliveries_work
         WHERE status < 2 AND tenant = ? AND subscription_id = ? AND work_class = ? AND work_at > ?
         ORDER BY work_at LIMIT 1`,
      )
      .get(group.tenant, group.subscriptionId, group.workClass, nowMs);
    return row === undefined ? Number.POSITIVE_INFINITY : Number(row.work_at);
  }

  #addToQueue(queues: Map<string, Queue>, { tenant, subscriptionId, workClass }: WorkGroup, request: ClaimRow): void {
    const [organisation] = this.#tenants.row(tenant);
    const lane = `${tenant} ${subscriptionId}`;
    const part = { workClass, taken: 0 };
    const known = queues.get(lane);
    if (known !== undefined) {
      known.classes.push(part);
      return;
    }
    const free = request.slots.get(subscriptionId) ?? request.defaultSlots;
    if (free > 0) queues.set(lane, { organisation, lane, tenant, subscriptionId, free, taken: 0, classes: [part] });
  }

  /** Up to the limit, in shares; what one does not use goes round again to those that can use more. */
  #choose(queues: readonly Queue[], request: ClaimRow): readonly Candidate[] {
    const chosen: Candidate[] = [];
    let open = queues;
    while (open.length > 0 && chosen.length < request.limit) {
      const shares = sharesOf(open, request.limit - chosen.length);
      if (!shares.some((want) => want > 0)) break;
      open = open.filter((queue, at) => {
        const want = shares[at] ?? 0;
        if (want === 0) return true;
        const rows = this.#due(queue, want, request.nowMs);
        chosen.push(...rows);
        if (rows.length > 0) this.#turns.served(queue);
        return rows.length === want && queue.free > 0;
      });
    }
    return chosen;
  }

  /** The next `want` due rows of one subscription, by class, then by time. */
  #due(queue: Queue, want: number, nowMs: number): readonly Candidate[] {
    const due = this.#statements.get(
      `SELECT rowid, ${DELIVERY_COLUMNS.replace(", attempts", "")} FROM deliveries INDEXED BY deliveries_work
       WHERE status < 2 AND tenant = ? AND subscription_id = ? AND work_class = ? AND work_at <= ?
       ORDER BY work_at, rowid LIMIT ? OFFSET ?`,
    );
    const candidates: Candidate[] = [];
    for (const part of queue.classes) {
      const left = want - candidates.length;
      if (left === 0) break;
      const rows = due.all(queue.tenant, queue.subscriptionId, part.workClass, nowMs, left, part.taken);
      part.taken += rows.length;
      for (const row of rows) {
        candidates.push({ rowid: Number(row.rowid), tenant: queue.tenant, row: readDelivery(row) });
      }
    }
    queue.free -= candidates.length;
    queue.taken += candidates.length;
    return candidates;
  }

  #take(candidates: readonly Candidate[], request: ClaimRow, nextDueAtMs: number): Transferring<ClaimAnswer> {
    const lease = this.#statements.get(
      `UPDATE deliveries SET status = ${ATTEMPTING}, fence = fence + 1, work_at = ? WHERE rowid = ?`,
    );
    const leaseUntilMs = request.nowMs + request.leaseMs;
    const batch = new ClaimedBatch(this.#tenants);
    let nextMs = nextDueAtMs;
    for (const { rowid, tenant, row } of candidates) {
      if (batch.bytes >= CLAIM_BYTES) {
        nextMs = request.nowMs; // What is left out for its size is due at once.
        break;
      }
      const place = batch.eventPlace(tenant, row[1]) ?? batch.addEvent(tenant, this.#events.read(tenant, row[1]));
      if (place === undefined) {
        this.#deliveries.failWithoutEvent(tenant, row[0], FAILED, request.nowMs);
        nextMs = request.nowMs; // It took a place in this claim, so there may be more that is due.
        continue;
      }
      lease.run(leaseUntilMs, rowid);
      batch.addDelivery(tenant, place, row, leaseUntilMs);
      nextMs = Math.min(nextMs, leaseUntilMs);
    }
    return batch.answer(nextMs);
  }

  /** Every subscription with waiting or held rows, three look-ups each at most. */
  readonly openSubscriptions: StoreCalls["openSubscriptions"] = () => {
    const next = this.#statements.get(
      `SELECT tenant, subscription_id, status FROM deliveries INDEXED BY deliveries_unsent
       WHERE status <> 3 AND (tenant, subscription_id, status, created_at) > (?, ?, ?, ${END})
       ORDER BY tenant, subscription_id, status LIMIT 1`,
    );
    const open = new Map<string, [string, string, string, boolean, boolean]>();
    let row = next.get(-1, "", -1);
    while (row !== undefined) {
      const tenant = Number(row.tenant);
      const subscriptionId = String(row.subscription_id);
      const status = Number(row.status);
      if (status === WAITING || status === HELD) {
        const name = `${tenant} ${subscriptionId}`;
        const known = open.get(name) ?? [...this.#tenants.row(tenant), subscriptionId, false, false];
        known[status === WAITING ? 3 : 4] = true;
        open.set(name, known);
      }
      // Behind held come only terminal ones, which may be many: on to the next subscription.
      row = next.get(tenant, subscriptionId, status >= HELD ? CANCELLED : status);
    }
    return [...open.values()];
  };

  /**
   * One process alone works on the store, and tells of a step once. Tenant by tenant, by creation, which stays as it is:
   * each row is looked at once.
   */
  readonly turnBack: StoreCalls["turnBack"] = ({ nowMs, byMs, after }) => {
    const behind = this.#statements.get(
      `SELECT rowid, created_at FROM deliveries INDEXED BY deliveries_status
       WHERE status <> 3 AND status = ${WAITING} AND tenant = ? AND created_at >= ? AND (created_at > ? OR rowid > ?)
       ORDER BY created_at, rowid LIMIT ?`,
    );
    const turn = this.#statements.get(
      "UPDATE deliveries SET work_at = max(?, work_at - ?) WHERE rowid = ? AND rowid <= ? AND work_at > ?",
    );
    let place = after ?? this.#placeBefore(0);
    let moved = 0;
    for (let left = TURNED_AT_ONCE; left > 0; ) {
      const rows = behind.all(place.tenant, place.createdAtMs, place.createdAtMs, place.row, left);
      for (const { rowid } of rows) moved += Number(turn.run(nowMs, byMs, Number(rowid), place.lastRow, nowMs).changes);
      const last = rows.at(-1);
      if (last !== undefined) place = { ...place, createdAtMs: Number(last.created_at), row: Number(last.rowid) };
      if (rows.length === left) break;
      left -= rows.length;
      const next = this.#statements.get("SELECT min(tenant) AS tenant FROM tenants WHERE tenant > ?").get(place.tenant);
      if (typeof next?.tenant !== "number") return { moved, at: null };
      place = { ...place, tenant: next.tenant, createdAtMs: -1, row: 0 };
    }
    return { moved, at: place };
  };

  #placeBefore(tenant: number): WaitingPlace {
    const last = this.#statements.get("SELECT max(rowid) AS row FROM deliveries").get();
    return { tenant, createdAtMs: -1, row: 0, lastRow: Number(last?.row ?? 0) };
  }

  /** By tenant and status: what is under a lease is little, while any number may wait for a time as late. */
  readonly shortenLeases: StoreCalls["shortenLeases"] = ({ beyondMs, toMs }) => {
    const shortened = this.#statements
      .get(
        `UPDATE deliveries SET work_at = ? WHERE rowid IN (
           SELECT deliveries.rowid FROM tenants CROSS JOIN deliveries INDEXED BY deliveries_status
           WHERE deliveries.tenant = tenants.tenant AND status <> 3 AND status = ${ATTEMPTING} AND work_at > ?)`,
      )
      .run(toMs, beyondMs);
    return Number(shortened.changes);
  };

  readonly moveOpen: StoreCalls["moveOpen"] = (request) => {
    const { tenant, subscriptionId, from, to, nowMs, limit, unsequenced } = request;
    const number = this.#tenants.find(tenant);
    if (number === undefined) return 0;
    // Any number of a chain's rows may be held before those that are wanted.
    const isIndexed = unsequenced && from === HELD;
    const moved = this.#statements
      .get(
        `UPDATE deliveries SET status = ?, work_at = ?, finished_at = ?, fence = fence + 1 WHERE rowid IN (
           SELECT rowid FROM deliveries INDEXED BY ${isIndexed ? "deliveries_unchained" : "deliveries_unsent"}
           WHERE status <> 3 AND tenant = ? AND subscription_id = ? AND status = ?
             ${unsequenced ? "AND (sequence IS NULL OR run > 1)" : ""} ${isIndexed ? `AND status = ${HELD}` : ""}
           ORDER BY created_at, rowid LIMIT ?)`,
      )
      .run(to, to === WAITING ? nowMs : null, to === CANCELLED ? nowMs : null, number, subscriptionId, from, limit);
    return Number(moved.changes);
  };
}

/** What a claim answers, each tenant and event in it once. */
export class ClaimedBatch {
  readonly #tenants: Tenants;
  readonly #tenantPlaces = new Map<number, number>();
  readonly #tenantRows: TenantRow[] = [];
  readonly #eventPlaces = new Map<string, number>();
  readonly #events: EventWriteRow[] = [];
  readonly #values: Uint8Array[] = [];
  readonly #deliveries: [number, number, DeliveryRow][] = [];
  bytes = 0;

  constructor(tenants: Tenants) {
    this.#tenants = tenants;
  }

  eventPlace(tenant: number, id: string): number | undefined {
    return this.#eventPlaces.get(`${tenant} ${id}`);
  }

  addEvent(tenant: number, read: ReadEvent | undefined): number | undefined {
    if (read === undefined) return undefined;
    const [event, value] = read;
    // Without its payload it can be sent as little as without its event.
    if (event[7] !== null) return undefined;
    const place = this.#events.push([this.#tenantPlace(tenant), event]) - 1;
    this.#values.push(value);
    this.bytes += value.byteLength;
    this.#eventPlaces.set(`${tenant} ${event[0]}`, place);
    return place;
  }

  addDelivery(tenant: number, event: number, row: DeliveryRow, leaseUntilMs: number): void {
    const [id, eventId, type, passId, subscriptionId, , workClass, run, fence, runAttempts, count] = row;
    const [, , , , , , , , , , , , createdAtMs, finishedAtMs, attempts, ...rest] = row;
    this.#deliveries.push([
      this.#tenantPlace(tenant),
      event,
      [
        id,
        eventId,
        type,
        passId,
        subscriptionId,
        ATTEMPTING,
        workClass,
        run,
        fence + 1,
        runAttempts,
        count,
        leaseUntilMs,
        createdAtMs,
        finishedAtMs,
        attempts,
        ...rest,
      ],
    ]);
  }

  answer(nextDueAtMs: number): Transferring<ClaimAnswer> {
    const values = packBytes(this.#values);
    const found = {
      tenants: this.#tenantRows,
      events: this.#events,
      values,
      deliveries: this.#deliveries,
    };
    const answer = Number.isFinite(nextDueAtMs) ? { ...found, nextDueAtMs } : found;
    return new Transferring<ClaimAnswer>(answer, [values.buffer]);
  }

  #tenantPlace(tenant: number): number {
    const known = this.#tenantPlaces.get(tenant);
    if (known !== undefined) return known;
    const place = this.#tenantRows.push(this.#tenants.row(tenant)) - 1;
    this.#tenantPlaces.set(tenant, place);
    return place;
  }
}
