/** Lists of deliveries, each along the index that its filter names. */
import type { DatabaseSync } from "node:sqlite";
import { DELIVERED, type ListDeliveries, type ListedDeliveries } from "./calls.ts";
import { DELIVERY_COLUMNS, readDelivery } from "./deliveries.ts";
import { Conditions, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** Rows of one page that are looked at: a filter that fits few of them must not hold up the store's thread. */
const LOOKED_AT = 5_000;
/** Likewise where the index says whether a row fits. */
const LOOKED_AT_IN_INDEX = 50_000;

/** Stands before every id: in a list that falls, behind all that was created at a time. */
const BEFORE_IDS = "!";

const COLUMNS = {
  eventId: "event_id",
  passId: "pass_id",
  subscriptionId: "subscription_id",
  status: "status",
  type: "event_type",
} as const;
type Filter = keyof typeof COLUMNS;
const FILTERS = Object.keys(COLUMNS) as readonly Filter[];

interface Path {
  readonly index: string;
  /** Filters that its rows fit, all of them. */
  readonly by: readonly Filter[];
  /** A filter that it knows of each row. */
  readonly says?: Filter;
  /** It holds those alone that are not delivered. */
  readonly isUnsent?: boolean;
}

const BY_EVENT: Path = { index: "deliveries_event", by: ["eventId"] };
const BY_PASS: Path = { index: "deliveries_pass", by: ["passId"] };
const BY_SUBSCRIPTION: Path = { index: "deliveries_subscription", by: ["subscriptionId"], says: "type" };
const BY_TIME: Path = { index: "deliveries_time", by: [], says: "type" };
const UNSENT_OF_SUBSCRIPTION: Path = { index: "deliveries_unsent", by: ["subscriptionId", "status"], isUnsent: true };
const UNSENT: Path = { index: "deliveries_status", by: ["status"], isUnsent: true };

/** The one that leaves the fewest rows: an event has few deliveries, a pass more, a status or a subscription most. */
function pathFor(asked: ListDeliveries): Path {
  if (asked.eventId !== undefined) return BY_EVENT;
  if (asked.passId !== undefined) return BY_PASS;
  const isUnsent = asked.status !== undefined && asked.status !== DELIVERED;
  if (asked.subscriptionId !== undefined) return isUnsent ? UNSENT_OF_SUBSCRIPTION : BY_SUBSCRIPTION;
  return isUnsent ? UNSENT : BY_TIME;
}

export class DeliveryList {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly listDeliveries = (asked: ListDeliveries): ListedDeliveries => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return { rows: [], at: null };
    const path = pathFor(asked);
    const endMs = this.#endOf(tenant, asked, path);
    const where = conditions(tenant, asked, path, FILTERS)
      .span("created_at", endMs ?? asked.fromMs, asked.toMs)
      .page("created_at", asked.after);
    const rows = this.#statements
      .get(
        `SELECT ${DELIVERY_COLUMNS} FROM deliveries INDEXED BY ${path.index} WHERE ${where.sql}
         ORDER BY created_at DESC, id DESC LIMIT ?`,
      )
      .iterate(...where.values, asked.size + 1);
    const { items, more } = takePage(rows, asked.size, readDelivery, (row) => row[14].length);
    const last = items.at(-1);
    if (more && last !== undefined) return { rows: items, at: [last[12], last[0]] };
    return { rows: items, at: endMs === undefined ? null : [endMs, BEFORE_IDS] };
  };

  /** The time down to which this page may look; undefined where there are no more than it may look at. */
  #endOf(tenant: number, asked: ListDeliveries, path: Path): number | undefined {
    const rest = FILTERS.filter((name) => asked[name] !== undefined && !path.by.includes(name));
    // Of one event there are few, which are sorted whatever is asked; where all fit, the page's size is the limit.
    if (path === BY_EVENT || rest.length === 0) return undefined;
    const lookedAt = rest.every((name) => name === path.says) ? LOOKED_AT_IN_INDEX : LOOKED_AT;
    const where = conditions(tenant, asked, path, path.by)
      .span("created_at", asked.fromMs, asked.toMs)
      .add("created_at <= ?", asked.after?.[0]);
    const end = this.#statements
      .get(
        `SELECT created_at FROM deliveries INDEXED BY ${path.index} WHERE ${where.sql}
         ORDER BY created_at DESC LIMIT 1 OFFSET ${lookedAt}`,
      )
      .get(...where.values);
    return end === undefined ? undefined : Number(end.created_at);
  }
}

function conditions(tenant: number, asked: ListDeliveries, path: Path, filters: readonly Filter[]): Conditions {
  const where = new Conditions().add("tenant = ?", tenant);
  for (const name of filters) where.add(`${COLUMNS[name]} = ?`, asked[name]);
  // A partial index is taken only where its own condition stands in the query, word for word.
  return path.isUnsent === true ? where.add(`status <> ${DELIVERED}`) : where;
}
