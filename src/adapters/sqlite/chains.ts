/** Chains: the open deliveries of one pass at one subscription, by sequence, along the partial index `deliveries_chain`. */
import type { DatabaseSync } from "node:sqlite";
import type { Transferring } from "../../kernel/thread-call.ts";
import { ATTEMPTING, CANCELLED, type ClaimAnswer, HELD, type StoreCalls, WAITING } from "./calls.ts";
import type { FoldRows } from "./chain-calls.ts";
import { ClaimedBatch } from "./claims.ts";
import { DELIVERY_COLUMNS, readDelivery } from "./deliveries.ts";
import type { EventTable } from "./events.ts";
import { type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

const OPEN = "deliveries INDEXED BY deliveries_chain WHERE sequence IS NOT NULL AND status < 3 AND run = 1";

/** It goes by its age, and never later than now, whatever the clock of who made it said. */
const PROMOTE = `UPDATE deliveries SET status = ${WAITING}, work_at = min(created_at, ?), fence = fence + 1 WHERE rowid = ?`;

export class Chains {
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #events: EventTable;

  constructor(database: DatabaseSync, tenants: Tenants, events: EventTable) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#events = events;
  }

  readonly openInChains: StoreCalls["openInChains"] = ({ tenants, chains, limit }) => {
    const numbers = tenants.map((tenant) => this.#tenants.find(tenant));
    const open = this.#statements.get(
      `SELECT id, event_type, status, sequence, fence, protocol_event FROM ${OPEN}
       AND tenant = ? AND subscription_id = ? AND pass_id = ? AND sequence >= ? ORDER BY sequence LIMIT ?`,
    );
    return chains.map(([place, subscriptionId, passId, fromSequence]) => {
      const tenant = numbers[place];
      if (tenant === undefined) return [];
      const rows: readonly Row[] = open.all(tenant, subscriptionId, passId, fromSequence, limit);
      return rows.map(
        (row) =>
          [
            String(row.id),
            Number(row.event_type),
            Number(row.status),
            Number(row.sequence),
            Number(row.fence),
            row.protocol_event !== null,
          ] as const,
      );
    });
  };

  readonly promote: StoreCalls["promote"] = ({ tenants, chains, nowMs }) => {
    const numbers = tenants.map((tenant) => this.#tenants.find(tenant));
    const lowest = this.#statements.get(
      `SELECT rowid, status FROM ${OPEN} AND tenant = ? AND subscription_id = ? AND pass_id = ?
       ORDER BY sequence LIMIT 1`,
    );
    let promoted = 0;
    for (const [place, subscriptionId, passId] of chains) {
      const tenant = numbers[place];
      const head = tenant === undefined ? undefined : lowest.get(tenant, subscriptionId, passId);
      if (head !== undefined) promoted += this.#promote(head, nowMs);
    }
    return promoted;
  };

  readonly promoteNext: StoreCalls["promoteNext"] = ({ tenant, subscriptionId, afterPassId, limit, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [0, null];
    const rows: readonly Row[] = this.#statements
      .get(
        `SELECT rowid, status, pass_id FROM ${OPEN} AND tenant = ? AND subscription_id = ? AND pass_id > ?
         ORDER BY pass_id, sequence LIMIT ?`,
      )
      .all(number, subscriptionId, afterPassId, limit);
    let promoted = 0;
    let passId: string | null = null;
    for (const row of rows) {
      if (String(row.pass_id) === passId) continue;
      passId = String(row.pass_id);
      promoted += this.#promote(row, nowMs);
    }
    return [promoted, rows.length < limit ? null : passId];
  };

  #promote(head: Row, nowMs: number): number {
    if (head.status !== HELD) return 0;
    return Number(this.#statements.get(PROMOTE).run(nowMs, Number(head.rowid)).changes);
  }

  fold({ tenants, folds, nowMs, leaseMs }: FoldRows): Transferring<ClaimAnswer> {
    const numbers = tenants.map((tenant) => this.#tenants.find(tenant));
    const cancel = this.#statements.get(
      `UPDATE deliveries SET status = ${CANCELLED}, work_at = NULL, finished_at = ?, folded_into = ?, fence = fence + 1
       WHERE tenant = ? AND id = ? AND fence = ? AND run = 1 AND status < 3`,
    );
    const batch = new ClaimedBatch(this.#tenants);
    for (const [place, folded, [into, intoFence], isToClaim] of folds) {
      const tenant = numbers[place];
      if (tenant === undefined) continue;
      for (const [id, fence] of folded) cancel.run(nowMs, into, tenant, id, fence);
      if (isToClaim) this.#claim(batch, tenant, into, intoFence, nowMs + leaseMs);
    }
    return batch.answer(Number.POSITIVE_INFINITY);
  }

  #claim(batch: ClaimedBatch, tenant: number, id: string, fence: number, leaseUntilMs: number): void {
    const found = this.#statements
      .get(
        `SELECT ${DELIVERY_COLUMNS.replace(", attempts", "")} FROM deliveries
         WHERE tenant = ? AND id = ? AND fence = ? AND run = 1 AND status IN (${WAITING}, ${HELD})`,
      )
      .get(tenant, id, fence);
    if (found === undefined) return;
    const row = readDelivery(found);
    const place = batch.eventPlace(tenant, row[1]) ?? batch.addEvent(tenant, this.#events.read(tenant, row[1]));
    // Without its event it can't be sent: the claim that comes upon it ends it.
    if (place === undefined) return;
    this.#statements
      .get(`UPDATE deliveries SET status = ${ATTEMPTING}, fence = fence + 1, work_at = ? WHERE tenant = ? AND id = ?`)
      .run(leaseUntilMs, tenant, id);
    batch.addDelivery(tenant, place, row, leaseUntilMs);
  }
}
