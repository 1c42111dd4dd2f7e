/** Lists of deliveries, each along the index that its filter names. */
import type { DatabaseSync } from "node:sqlite";
import { DELIVERED, type DeliveryRow, type ListDeliveries, type PageRows } from "./calls.ts";
import { DELIVERY_COLUMNS, readDelivery } from "./deliveries.ts";
import { Conditions, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** The index that leaves the fewest rows: an event has few deliveries, a pass more, a status or a subscription most. */
function indexFor(asked: ListDeliveries): string {
  if (asked.eventId !== undefined) return "deliveries_event";
  if (asked.passId !== undefined) return "deliveries_pass";
  const unsent = asked.status !== undefined && asked.status !== DELIVERED;
  if (asked.subscriptionId !== undefined) return unsent ? "deliveries_unsent" : "deliveries_subscription";
  return unsent ? "deliveries_status" : "deliveries_time";
}

export class DeliveryList {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly listDeliveries = (asked: ListDeliveries): PageRows<DeliveryRow> => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return { rows: [], more: false };
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("event_id = ?", asked.eventId)
      .add("pass_id = ?", asked.passId)
      .add("subscription_id = ?", asked.subscriptionId)
      .add("status = ?", asked.status)
      .add("event_type = ?", asked.type)
      .span("created_at", asked.fromMs, asked.toMs)
      .page("created_at", asked.after);
    const index = indexFor(asked);
    // A partial index is taken only where its own condition stands in the query, word for word.
    if (index === "deliveries_unsent" || index === "deliveries_status") where.add(`status <> ${DELIVERED}`);
    const rows = this.#statements
      .get(
        `SELECT ${DELIVERY_COLUMNS} FROM deliveries INDEXED BY ${index} WHERE ${where.sql}
         ORDER BY created_at DESC, id DESC LIMIT ?`,
      )
      .iterate(...where.values, asked.size + 1);
    const page = takePage(rows, asked.size, readDelivery, (row) => row[14].length);
    return { rows: page.items, more: page.more };
  };
}
