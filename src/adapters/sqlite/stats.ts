/** What is counted, a row a tenant, subscription and span; what waits; and what workers say of themselves. */
import type { DatabaseSync } from "node:sqlite";
import { histogramOf, histogramText, mergeInto } from "../../delivery/histogram.ts";
import { BACKLOG_COUNTED, type Backlog, SPAN_MS, STATS_KEPT_MS, type StatsSpan } from "../../delivery/stats-store.ts";
import { ATTEMPTING, HELD, WAITING } from "./calls.ts";
import { type Row, Statements } from "./statements.ts";
import type { CountsRow, StatsCalls } from "./stats-calls.ts";
import type { Tenants } from "./tenants.ts";
import { beforeGroupsOf, groupBehind } from "./work-groups.ts";

const SPANS: readonly StatsSpan[] = ["minute", "hour"];
const REPORTS_KEPT_MS = 24 * 3_600_000;

export class StatsTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly addCounts: StatsCalls["addCounts"] = (rows) => {
    for (const row of rows) for (const span of SPANS) this.#add(row, span);
    return null;
  };

  #add(row: CountsRow, span: StatsSpan): void {
    const [organisation, environment, subscription, minuteMs, ...counted] = row;
    const [delivered, failed, attempts, failedAttempts, events, durations, delays] = counted;
    const tenant = this.#tenants.ensure([organisation, environment]);
    const spanMs = SPAN_MS[span];
    const atMs = minuteMs - (minuteMs % spanMs);
    const found = this.#statements
      .get("SELECT rowid, durations, delays FROM delivery_stats WHERE tenant = ? AND id = ? AND span = ? AND at = ?")
      .get(tenant, subscription, spanMs, atMs);
    const numbers = [delivered, failed, attempts, failedAttempts, events] as const;
    if (found === undefined) {
      this.#statements
        .get(
          `INSERT INTO delivery_stats (tenant, id, span, at, expires_at, delivered, failed, attempts, failed_attempts,
             events, durations, delays) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(tenant, subscription, spanMs, atMs, atMs + spanMs + STATS_KEPT_MS[span], ...numbers, durations, delays);
      return;
    }
    this.#statements
      .get(
        `UPDATE delivery_stats SET delivered = delivered + ?, failed = failed + ?, attempts = attempts + ?,
           failed_attempts = failed_attempts + ?, events = events + ?, durations = ?, delays = ? WHERE rowid = ?`,
      )
      .run(...numbers, merged(found.durations, durations), merged(found.delays, delays), Number(found.rowid));
  }

  readonly readCounts: StatsCalls["readCounts"] = ({ tenant, subscriptionId, spanMs, fromMs, toMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [];
    return this.#statements
      .get("SELECT * FROM delivery_stats WHERE tenant = ? AND id = ? AND span = ? AND at >= ? AND at < ? ORDER BY at")
      .all(number, subscriptionId, spanMs, fromMs, toMs)
      .map((row) => [...tenant, ...countsOf(row)]);
  };

  readonly backlog: StatsCalls["backlog"] = ({ tenant, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { waiting: 0, attempting: 0, held: 0, due: 0 };
    const counted = this.#statements.get(
      `SELECT count(*) AS n FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_status
         WHERE tenant = ? AND status = ? AND status <> 3 LIMIT ${BACKLOG_COUNTED})`,
    );
    const count = (status: number) => Number(counted.get(number, status)?.n);
    return {
      waiting: count(WAITING),
      attempting: count(ATTEMPTING),
      held: count(HELD),
      ...this.#due(number, nowMs),
    };
  };

  /** Group by group: what is due stands first in each, however much waits for a later time. */
  #due(tenant: number, nowMs: number): Pick<Backlog, "due" | "oldestDueAtMs"> {
    const ofGroup = this.#statements.get(
      `SELECT count(*) AS n, min(work_at) AS oldest FROM (SELECT work_at FROM deliveries INDEXED BY deliveries_work
         WHERE tenant = ? AND subscription_id = ? AND work_class = ? AND work_at <= ? AND status = ${WAITING} AND status < 2
         ORDER BY work_at LIMIT ?)`,
    );
    let due = 0;
    let oldestMs = Number.POSITIVE_INFINITY;
    let group = groupBehind(this.#statements, beforeGroupsOf(tenant));
    for (; group?.tenant === tenant; group = groupBehind(this.#statements, group)) {
      if (group.workAtMs > nowMs) continue;
      // Where enough are counted, the oldest of a group may still be the oldest of all.
      const limit = Math.max(1, BACKLOG_COUNTED - due);
      const found = ofGroup.get(tenant, group.subscriptionId, group.workClass, nowMs, limit);
      if (typeof found?.oldest === "number") oldestMs = Math.min(oldestMs, found.oldest);
      due = Math.min(BACKLOG_COUNTED, due + Number(found?.n));
    }
    return Number.isFinite(oldestMs) ? { due, oldestDueAtMs: oldestMs } : { due };
  }

  readonly putReport: StatsCalls["putReport"] = ([worker, reportedAtMs, document]) => {
    this.#statements
      .get(
        `INSERT INTO worker_reports (worker, reported_at, document) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET reported_at = excluded.reported_at, document = excluded.document`,
      )
      .run(worker, reportedAtMs, document);
    this.#statements.get("DELETE FROM worker_reports WHERE reported_at < ?").run(reportedAtMs - REPORTS_KEPT_MS);
    return null;
  };

  readonly reports: StatsCalls["reports"] = (sinceMs) =>
    this.#statements
      .get("SELECT document FROM worker_reports WHERE reported_at >= ? ORDER BY worker")
      .all(sinceMs)
      .map((row) => String(row.document));
}

function merged(stored: unknown, added: string): string {
  const histogram = histogramOf(String(stored));
  mergeInto(histogram, histogramOf(added));
  return histogramText(histogram);
}

type Counted = CountsRow extends readonly [string, string, ...infer Rest] ? Rest : never;

function countsOf(row: Row): Counted {
  return [
    String(row.id),
    Number(row.at),
    Number(row.delivered),
    Number(row.failed),
    Number(row.attempts),
    Number(row.failed_attempts),
    Number(row.events),
    String(row.durations),
    String(row.delays),
  ];
}
