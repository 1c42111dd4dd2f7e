/** Erasures, and the steps that they are made in. What is deleted is overwritten too (`secure_delete` in schema.ts). */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import {
  type ErasureRequest,
  type ErasureRow,
  type ErasureStep,
  type ErasureTarget,
  FOUND_FROM_CHARACTERS,
} from "../../delivery/erasure.ts";
import type { Cursor } from "../../kernel/page.ts";
import type { ErasureCalls } from "./erasure-calls.ts";
import { BUSY_TIMEOUT_MS } from "./schema.ts";
import { Conditions, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/**
 * What is a tenant's own, and since when, in the order in which an organisation's goes: first what new rows are made by.
 * `subscriptions` are deleted through the table that counts their versions.
 */
export const TENANT_TABLES = [
  { table: "key_certificates", since: "bound_at" },
  { table: "portal_sessions", since: "created_at" },
  { table: "bins", since: "created_at" },
  { table: "bin_requests", since: "received_at" },
  { table: "deliveries", since: "created_at" },
  { table: "events", since: "logged_at" },
  { table: "dead_letters", since: "appended_at" },
  { table: "replays", since: "created_at" },
  { table: "delivery_stats", since: "at" },
  { table: "audit_records", since: "happened_at" },
] as const;

/** Of endpoints nothing is dated: they go with their subscription. */
const ENDPOINT_TABLES = ["endpoints", "rates"] as const;

/** Of dead letters that are looked through in one step, beside how many they are. */
const LETTER_BYTES = 4 * 1024 * 1024;

/** A larger store is not written anew while it serves: a third of a second or so. */
const REWRITTEN_BYTES = 32 * 1024 * 1024;

/** SQLITE_BUSY and SQLITE_LOCKED: another connection reads or writes. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && (error.errcode === 5 || error.errcode === 6);
}

type PassTarget = ErasureTarget & { readonly kind: "pass" };

/** Takes rows away until the limit of its step is reached. */
class Step {
  left: number;
  /** Where it stopped among the dead letters, and whether there are more behind it. */
  lettersAt: Cursor | undefined;
  hasMoreLetters = false;
  readonly #statements: Statements;
  #counts = { events: 0, deliveries: 0, deadLetters: 0, others: 0 };

  constructor(statements: Statements, limit: number) {
    this.#statements = statements;
    this.left = limit;
  }

  /** Deletes rows of a table that has row ids. */
  remove(table: string, index: string, where: string, ...values: readonly SQLInputValue[]): void {
    if (this.left <= 0) return;
    const from = index === "" ? table : `${table} INDEXED BY ${index}`;
    const { changes } = this.#statements
      .get(`DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${from} WHERE ${where} LIMIT ?)`)
      .run(...values, this.left);
    this.count(table, Number(changes));
  }

  /** Deletes rows of a table that has none, which are few. */
  removeAll(table: string, where: string, ...values: readonly SQLInputValue[]): void {
    if (this.left <= 0) return;
    this.count(table, Number(this.#statements.get(`DELETE FROM ${table} WHERE ${where}`).run(...values).changes));
  }

  count(table: string, rows: number): void {
    this.left -= rows;
    if (table === "events") this.#counts.events += rows;
    else if (table === "deliveries") this.#counts.deliveries += rows;
    else if (table === "dead_letters") this.#counts.deadLetters += rows;
    else this.#counts.others += rows;
  }

  get result(): ErasureStep {
    const { lettersAt } = this;
    const more = this.left <= 0 || this.hasMoreLetters;
    return { ...this.#counts, more, ...(lettersAt !== undefined && { lettersAt }) };
  }
}

export class ErasureTable {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #removeSubscription: (tenant: number, id: string) => void;

  /** @param removeSubscription deletes one, with all that goes with it, within the transaction. */
  constructor(database: DatabaseSync, tenants: Tenants, removeSubscription: (tenant: number, id: string) => void) {
    this.#database = database;
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#removeSubscription = removeSubscription;
  }

  readonly putErasure: ErasureCalls["putErasure"] = ({ id, sealed, askedAtMs, nextAtMs }) => {
    this.#statements
      .get(
        `INSERT INTO erasures (id, sealed, asked_at, next_at) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE
         SET sealed = excluded.sealed, asked_at = max(asked_at, excluded.asked_at), next_at = excluded.next_at`,
      )
      .run(id, sealed, askedAtMs, nextAtMs);
    return null;
  };

  readonly dueErasures: ErasureCalls["dueErasures"] = ({ nowMs, limit }) =>
    this.#statements
      .get("SELECT id, sealed, asked_at, next_at FROM erasures WHERE next_at <= ? ORDER BY next_at, id LIMIT ?")
      .all(nowMs, limit)
      .map(
        (row): ErasureRow => ({
          id: String(row.id),
          sealed: String(row.sealed),
          askedAtMs: Number(row.asked_at),
          nextAtMs: Number(row.next_at),
        }),
      );

  readonly postponeErasure: ErasureCalls["postponeErasure"] = ({ read: { id, askedAtMs }, nextAtMs }) => {
    this.#statements.get("UPDATE erasures SET next_at = ? WHERE id = ? AND asked_at = ?").run(nextAtMs, id, askedAtMs);
    return null;
  };

  readonly resealErasure: ErasureCalls["resealErasure"] = ({ id, sealed }) => {
    this.#statements.get("UPDATE erasures SET sealed = ? WHERE id = ?").run(sealed, id);
    return null;
  };

  readonly removeErasure: ErasureCalls["removeErasure"] = ({ id, askedAtMs }) => {
    this.#statements.get("DELETE FROM erasures WHERE id = ? AND asked_at = ?").run(id, askedAtMs);
    return null;
  };

  readonly erase: ErasureCalls["erase"] = (request) => {
    const { target, beforeMs } = request;
    const step = new Step(this.#statements, request.limit);
    switch (target.kind) {
      case "pass":
        this.#erasePass(target, request, step);
        break;
      case "subscription":
        this.#eraseSubscription(target, step);
        break;
      case "organisation":
        this.#eraseOrganisation(target.organisation, beforeMs, step);
    }
    return step.result;
  };

  /**
   * Writes the file anew, where that takes no longer than others may wait, and empties the log of writes. SQLite zeroes
   * what it deletes; but pages that it balanced earlier keep copies of cells in parts that are unused since, and nothing
   * else gets at those. Not within a transaction. While another process has the file open for reading, nothing of it is
   * done: the next time then.
   */
  readonly settleErased: ErasureCalls["settleErased"] = () => {
    const { used } = this.#database
      .prepare(
        "SELECT (page_count - freelist_count) * page_size AS used FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
      )
      .get() ?? { used: 0 };
    this.#database.exec("PRAGMA busy_timeout = 0");
    try {
      if (Number(used) <= REWRITTEN_BYTES) this.#database.exec("VACUUM");
      this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    } catch (error) {
      if (!isBusy(error)) throw error;
    } finally {
      this.#database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
    return null;
  };

  #erasePass(target: PassTarget, request: ErasureRequest, step: Step): void {
    const { organisation, environment } = target.tenant;
    const tenant = this.#tenants.find([organisation, environment]);
    if (tenant === undefined) return;
    if (request.lettersAfter === undefined) this.#eraseEvents(tenant, target.passId, request.beforeMs, step);
    this.#eraseLetters(tenant, target.passId, request, step);
    if (step.hasMoreLetters) return;
    const isOfPass = "tenant = ? AND json_extract(document, '$.filter.passId') = ?";
    step.remove("replays", "replays_time", isOfPass, tenant, target.passId);
    const { letterIds = [] } = request;
    if (letterIds.length > 0) {
      const which = "tenant = ? AND id IN (SELECT value FROM json_each(?))";
      step.remove("dead_letters", "dead_letters_id", which, tenant, JSON.stringify(letterIds));
    }
    step.remove("bin_requests", "bin_requests_time", "tenant = ? AND received_at <= ?", tenant, request.madeAtMs);
  }

  #eraseEvents(tenant: number, passId: string, beforeMs: number, step: Step): void {
    const events = this.#statements
      .get("SELECT id FROM events INDEXED BY events_pass WHERE tenant = ? AND pass_id = ? AND logged_at <= ? LIMIT ?")
      .all(tenant, passId, beforeMs, step.left);
    for (const { id } of events) {
      step.remove("deliveries", "deliveries_event", "tenant = ? AND event_id = ?", tenant, String(id));
      step.remove("events", "events_id", "tenant = ? AND id = ?", tenant, String(id));
    }
    // Those whose event is gone already, or was never stored with them.
    step.remove(
      "deliveries",
      "deliveries_pass",
      `tenant = ? AND pass_id = ? AND (created_at <= ?
         OR NOT EXISTS (SELECT 1 FROM events WHERE events.tenant = deliveries.tenant AND events.id = event_id))`,
      tenant,
      passId,
      beforeMs,
    );
  }

  /** Nothing but their bytes says what they hold: a step looks through as many as it may still take away, up to a size. */
  #eraseLetters(tenant: number, passId: string, { beforeMs, lettersAfter: after }: ErasureRequest, step: Step): void {
    if (step.left <= 0) return;
    const where = new Conditions().add("tenant = ?", tenant).add("appended_at <= ?", beforeMs);
    if (after !== undefined) {
      where.add("appended_at >= ? AND (appended_at > ? OR id > ?)", after.timeMs, after.timeMs, after.id);
    }
    const next = this.#statements
      .get(
        `SELECT rowid, id, appended_at, coalesce(octet_length(value), 0) + octet_length(headers) AS bytes
         FROM dead_letters INDEXED BY dead_letters_time WHERE ${where.sql} ORDER BY appended_at, id LIMIT ?`,
      )
      .all(...where.values, step.left);
    const rows: number[] = [];
    let bytes = 0;
    for (const { rowid, id, appended_at: timeMs, bytes: own } of next) {
      if (bytes >= LETTER_BYTES) break;
      bytes += Number(own);
      rows.push(Number(rowid));
      step.lettersAt = { timeMs: Number(timeMs), id: String(id) };
    }
    step.hasMoreLetters = rows.length < next.length || next.length === step.left;
    const isWithin = passId.length < FOUND_FROM_CHARACTERS ? "" : "OR instr(value, ?2) > 0 OR instr(headers, ?3) > 0";
    const { changes } = this.#statements
      .get(
        `DELETE FROM dead_letters WHERE rowid IN (SELECT value FROM json_each(?1)) AND (key = ?2 ${isWithin}) AND ?3 <> ''`,
      )
      .run(JSON.stringify(rows), Buffer.from(passId), passId);
    step.count("dead_letters", Number(changes));
  }

  #eraseSubscription({ tenant, subscriptionId: id }: ErasureTarget & { kind: "subscription" }, step: Step): void {
    const number = this.#tenants.find([tenant.organisation, tenant.environment]);
    if (number === undefined) return;
    const isThere = this.#statements.get("SELECT 1 FROM subscriptions WHERE tenant = ? AND id = ?").get(number, id);
    if (isThere !== undefined) return;
    step.remove("deliveries", "deliveries_subscription", "tenant = ? AND subscription_id = ?", number, id);
    step.remove(
      "replays",
      "replays_time",
      `tenant = ? AND ? IN (json_extract(document, '$.filter.subscriptionId'),
         json_extract(document, '$.targetSubscriptionId'))`,
      number,
      id,
    );
    step.remove("delivery_stats", "delivery_stats_span", "tenant = ? AND id = ?", number, id);
    for (const table of ENDPOINT_TABLES) step.removeAll(table, "tenant = ? AND subscription_id = ?", number, id);
  }

  #eraseOrganisation(organisation: string, beforeMs: number, step: Step): void {
    const numbers = this.#statements
      .get("SELECT tenant FROM tenants WHERE organisation = ?")
      .all(organisation)
      .map(({ tenant }) => Number(tenant));
    step.removeAll("keys", "organisation = ? AND created_at <= ?", organisation, beforeMs);
    for (const tenant of numbers) this.#removeSubscriptions(tenant, beforeMs, step);
    for (const { table, since } of TENANT_TABLES) {
      for (const tenant of numbers) {
        if (table === "key_certificates") step.removeAll(table, `tenant = ? AND ${since} <= ?`, tenant, beforeMs);
        else step.remove(table, "", `tenant = ? AND ${since} <= ?`, tenant, beforeMs);
      }
    }
    for (const tenant of numbers) {
      const orphans =
        "tenant = ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.tenant = deliveries.tenant AND events.id = event_id)";
      step.remove("deliveries", "", orphans, tenant);
      for (const table of ENDPOINT_TABLES) {
        const gone = `NOT EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.tenant = ${table}.tenant AND id = subscription_id)`;
        step.removeAll(table, `tenant = ? AND ${gone}`, tenant);
      }
    }
    // Who has been given keys since is another organisation of the same name.
    const unclaimed = "organisation = ?1 AND NOT EXISTS (SELECT 1 FROM keys WHERE keys.organisation = ?1)";
    for (const table of ["organisations", "delivery_stops"]) step.removeAll(table, unclaimed, organisation);
  }

  #removeSubscriptions(tenant: number, beforeMs: number, step: Step): void {
    if (step.left <= 0) return;
    const rows = this.#statements
      .get("SELECT id FROM subscriptions WHERE tenant = ? AND created_at <= ? LIMIT ?")
      .all(tenant, beforeMs, step.left);
    for (const { id } of rows) this.#removeSubscription(tenant, String(id));
    step.count("subscriptions", rows.length);
  }
}
