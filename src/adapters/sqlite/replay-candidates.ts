/** What fits a replay's filter, the oldest first, along the index that its filter names. */
import type { DatabaseSync } from "node:sqlite";
import type { ReplayCursor, ReplayFilter } from "../../delivery/replay.ts";
import { DELIVERED, STATUSES } from "./calls.ts";
import type { CandidateRow, CandidateRows, FindCandidates } from "./replay-calls.ts";
import { Conditions, type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** Rows looked at in one call: what it keeps the store's thread for stays in the tens of milliseconds. */
const LOOK_ROWS = 5_000;

export class CandidateList {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly replayCandidates = ({ tenant, source, after, limit }: FindCandidates): CandidateRows => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [] };
    const { filter } = source;
    const rows =
      source.kind === "deliveries" ? this.#deliveries(number, filter, after) : this.#events(number, filter, after);
    const kinds = new Set<number>(filter.eventTypes);
    const found: CandidateRow[] = [];
    let looked = 0;
    let last: ReplayCursor | undefined;
    for (const row of rows) {
      if (found.length === limit || looked === LOOK_ROWS)
        return last === undefined ? { rows: found } : { rows: found, next: last };
      const candidate = source.kind === "deliveries" ? deliveryCandidate(row) : eventCandidate(row);
      const [timeMs, sequence, id] = candidate;
      last = { timeMs, sequence, id };
      looked += 1;
      if (fits(candidate, filter, kinds)) found.push(candidate);
    }
    return { rows: found };
  };

  #deliveries(tenant: number, filter: ReplayFilter, after: ReplayCursor | undefined): Iterable<Row> {
    const { passId, subscriptionId, status } = filter;
    const index = indexFor(filter);
    const isUnsent = index === "deliveries_unsent" || index === "deliveries_status";
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("pass_id = ?", passId)
      .add("subscription_id = ?", passId === undefined ? subscriptionId : undefined)
      .add("status = ?", isUnsent && status !== undefined ? STATUSES.indexOf(status) : undefined)
      .span("created_at", filter.fromMs, filter.toMs);
    // A partial index is taken only where its own condition stands in the query, word for word.
    if (isUnsent) where.add(`status <> ${DELIVERED}`);
    if (after !== undefined) {
      where.add("created_at >= ?", after.timeMs);
      where.add("(created_at > ? OR (coalesce(sequence, -1), id) > (?, ?))", after.timeMs, after.sequence, after.id);
    }
    return this.#statements
      .get(
        `SELECT id, event_id, event_type, pass_id, subscription_id, status, created_at, sequence, replay_id
         FROM deliveries INDEXED BY ${index} WHERE ${where.sql}
         ORDER BY created_at, coalesce(sequence, -1), id LIMIT ${LOOK_ROWS + 1}`,
      )
      .iterate(...where.values);
  }

  #events(tenant: number, filter: ReplayFilter, after: ReplayCursor | undefined): Iterable<Row> {
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("pass_id = ?", filter.passId)
      .span("logged_at", filter.fromMs, filter.toMs);
    if (after !== undefined) {
      where.add("logged_at >= ?", after.timeMs);
      where.add("(logged_at > ? OR id > ?)", after.timeMs, after.id);
    }
    const index = filter.passId === undefined ? "events_time" : "events_pass";
    return this.#statements
      .get(
        `SELECT id, type, pass_id, logged_at FROM events INDEXED BY ${index} WHERE ${where.sql}
         ORDER BY logged_at, id LIMIT ${LOOK_ROWS + 1}`,
      )
      .iterate(...where.values);
  }
}

/** As lists of deliveries choose theirs; a pass has fewer than a subscription. */
function indexFor({ passId, subscriptionId, status }: ReplayFilter): string {
  if (passId !== undefined) return "deliveries_pass";
  const unsent = status !== undefined && status !== "delivered";
  if (subscriptionId !== undefined) return unsent ? "deliveries_unsent" : "deliveries_subscription";
  return unsent ? "deliveries_status" : "deliveries_time";
}

/** What the index didn't ask. */
function fits([, , , , kind, , delivery]: CandidateRow, filter: ReplayFilter, kinds: ReadonlySet<number>): boolean {
  if (kinds.size > 0 && !kinds.has(kind)) return false;
  if (delivery === null) return true;
  const [subscriptionId, status] = delivery;
  const isOf = filter.subscriptionId === undefined || filter.subscriptionId === subscriptionId;
  return isOf && (filter.status === undefined || STATUSES[status] === filter.status);
}

function deliveryCandidate(row: Row): CandidateRow {
  return [
    Number(row.created_at),
    row.sequence === null ? -1 : Number(row.sequence),
    String(row.id),
    String(row.event_id),
    Number(row.event_type),
    String(row.pass_id),
    [String(row.subscription_id), Number(row.status), row.replay_id === null ? null : String(row.replay_id)],
  ];
}

function eventCandidate(row: Row): CandidateRow {
  const id = String(row.id);
  return [Number(row.logged_at), -1, id, id, Number(row.type), String(row.pass_id), null];
}
