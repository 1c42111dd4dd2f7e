/** What is past its time, in short steps; and whose turn it is to take them. The rules are those of RetentionStore. */
import type { DatabaseSync } from "node:sqlite";
import type { Attempt } from "../../domain/delivery.ts";
import { type CursorRow, HELD, type PurgeAnswer, type PurgeRow, type StoreCalls } from "./calls.ts";
import type { DeliveryTable } from "./deliveries.ts";
import { Conditions, type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** A step ends early that holds up the store's thread for so long. */
const STEP_MS = 15;

/** How one kind is gone over: in the order of `time`, then id. */
interface Walk {
  readonly from: string;
  readonly time: string;
  readonly columns: string;
  /** Whether the row went. */
  readonly remove: (row: Row) => boolean;
}

export class ExpiryTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #deliveries: DeliveryTable;

  constructor(database: DatabaseSync, tenants: Tenants, deliveries: DeliveryTable) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#deliveries = deliveries;
  }

  readonly retainedTenants: StoreCalls["retainedTenants"] = () =>
    this.#statements
      .get(
        `SELECT tenants.organisation, environment, event_retention, delivery_retention, payload_retention
         FROM tenants LEFT JOIN organisations USING (organisation) ORDER BY tenant`,
      )
      .all()
      .map((row) => [
        [String(row.organisation), String(row.environment)],
        numberOrNull(row.event_retention),
        numberOrNull(row.delivery_retention),
        numberOrNull(row.payload_retention),
      ]);

  readonly purge: StoreCalls["purge"] = (asked) => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return { purged: 0, at: null, more: false };
    return this.#walk(tenant, asked, this.#walkOf(tenant, asked));
  };

  #walkOf(tenant: number, { kind, beforeMs, nowMs }: PurgeRow): Walk {
    switch (kind) {
      case "deliveries":
        return this.#ended("deliveries", "deliveries_time", beforeMs);
      case "replays":
        return this.#ended("replays", "replays_time", beforeMs);
      case "portalSessions":
        return this.#all("portal_sessions", "portal_sessions_end", "expires_at");
      case "auditRecords":
        return this.#all("audit_records", "audit_records_time", "happened_at");
      case "binRequests":
        return this.#all("bin_requests", "bin_requests_end", "expires_at");
      case "bins":
        return this.#all("bins", "bins_end", "expires_at");
      case "deliveryStats":
        return this.#all("delivery_stats", "delivery_stats_end", "expires_at");
      case "deadLetters":
        return this.#all("dead_letters", "dead_letters_time", "appended_at");
      case "events": {
        const { remove, ...walk } = this.#all("events", "events_time", "logged_at");
        return { ...walk, remove: (row) => this.#isDone(tenant, String(row.id), beforeMs) && remove(row) };
      }
      case "payloads": {
        const drop = this.#statements.get("UPDATE events SET value = x'', payload_dropped_at = ? WHERE rowid = ?");
        return {
          ...this.#all("events", "events_time", "logged_at"),
          // Those that are gone already are passed over here, not in the query: they count for the step's limit.
          columns: "payload_dropped_at",
          remove: ({ rowid, id, payload_dropped_at: droppedAt }) =>
            droppedAt === null &&
            this.#isDone(tenant, String(id), beforeMs) &&
            drop.run(nowMs, Number(rowid)).changes === 1,
        };
      }
    }
  }

  #all(table: string, index: string, time: string): Walk {
    const remove = this.#statements.get(`DELETE FROM ${table} WHERE rowid = ?`);
    return {
      from: `${table} INDEXED BY ${index}`,
      time,
      columns: time,
      remove: ({ rowid }) => remove.run(Number(rowid)).changes === 1,
    };
  }

  /** By creation, which has an index: what was created later was finished later still. */
  #ended(table: string, index: string, beforeMs: number): Walk {
    const { remove, ...walk } = this.#all(table, index, "created_at");
    const isOver = ({ finished_at }: Row) => finished_at !== null && Number(finished_at) <= beforeMs;
    return { ...walk, columns: "finished_at", remove: (row) => isOver(row) && remove(row) };
  }

  #walk(tenant: number, { beforeMs, after, limit }: PurgeRow, walk: Walk): PurgeAnswer {
    const { from, time, columns } = walk;
    const where = new Conditions().add("tenant = ?", tenant).add(`${time} <= ?`, beforeMs);
    if (after !== undefined) where.add(`${time} >= ? AND (${time} > ? OR id > ?)`, after[0], after[0], after[1]);
    const rows = this.#statements
      .get(
        `SELECT rowid, id, ${time} AS walked_at, ${columns} FROM ${from} WHERE ${where.sql} ORDER BY ${time}, id LIMIT ?`,
      )
      .all(...where.values, limit);
    const endMs = performance.now() + STEP_MS;
    let purged = 0;
    let at: CursorRow | null = null;
    let looked = 0;
    for (const row of rows) {
      if (looked > 0 && performance.now() > endMs) break;
      looked += 1;
      if (walk.remove(row)) purged += 1;
      at = [Number(row.walked_at), String(row.id)];
    }
    return { purged, at, more: looked < rows.length || looked === limit };
  }

  /** No delivery of the event is open, and none that is still there ended later than that. */
  #isDone(tenant: number, eventId: string, beforeMs: number): boolean {
    const open = this.#statements
      .get(
        `SELECT 1 FROM deliveries INDEXED BY deliveries_event
         WHERE tenant = ? AND event_id = ? AND (status <= ${HELD} OR finished_at > ?) LIMIT 1`,
      )
      .get(tenant, eventId, beforeMs);
    return open === undefined;
  }

  readonly expireHeld: StoreCalls["expireHeld"] = ({ tenant, ids, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return 0;
    const record = (fence: number): Attempt => ({
      id: `att_hold_expired_${fence}`,
      startedAtMs: nowMs,
      durationMs: 0,
      errorCode: "hold.expired",
      errorMessage: "the delivery was held for longer than it may be",
    });
    let expired = 0;
    for (const id of ids) if (this.#deliveries.endHeld(number, id, nowMs, record)) expired += 1;
    return expired;
  };

  readonly takeTurn: StoreCalls["takeTurn"] = ({ holder, nowMs, leaseMs }) => {
    const row = this.#statements.get("SELECT holder, held_until, state FROM upkeep").get();
    const leftMs = Number(row?.held_until) - nowMs;
    // A lease that ends later than any may was taken by a clock that was wrong.
    if (row !== undefined && row.holder !== holder && leftMs > 0 && leftMs <= leaseMs) return null;
    this.#statements
      .get(
        `INSERT INTO upkeep (only, holder, held_until) VALUES (0, ?, ?)
         ON CONFLICT DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until`,
      )
      .run(holder, nowMs + leaseMs);
    return { state: typeof row?.state === "string" ? row.state : null };
  };

  readonly keepState: StoreCalls["keepState"] = ({ holder, state }) => {
    this.#statements.get("UPDATE upkeep SET state = ? WHERE holder = ?").run(state, holder);
    return null;
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
