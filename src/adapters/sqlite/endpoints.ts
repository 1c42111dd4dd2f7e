/** How endpoints are doing, and what is left of their rates: a row each, as the ports' rules have it. */
import type { DatabaseSync } from "node:sqlite";
import { reserve } from "../../delivery/rate.ts";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

export class EndpointTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly readEndpoints: StoreCalls["readEndpoints"] = (keys) => {
    const select = this.#statements.get("SELECT document FROM endpoints WHERE tenant = ? AND subscription_id = ?");
    return keys.map(({ tenant, id }) => {
      const number = this.#tenants.find(tenant);
      const row = number === undefined ? undefined : select.get(number, id);
      return row === undefined ? null : String(row.document);
    });
  };

  readonly openEndpoints: StoreCalls["openEndpoints"] = (limit) => {
    const rows = this.#statements
      .get(
        `SELECT tenant, subscription_id, document FROM endpoints INDEXED BY endpoints_open
         WHERE breaker <> 'closed' ORDER BY json_extract(document, '$.openedAtMs') DESC LIMIT ?`,
      )
      .all(limit);
    return rows.map((row) => [
      ...this.#tenants.row(Number(row.tenant)),
      String(row.subscription_id),
      String(row.document),
    ]);
  };

  readonly writeEndpoints: StoreCalls["writeEndpoints"] = (rows) => {
    const insert = this.#statements.get(
      `INSERT OR IGNORE INTO endpoints (tenant, subscription_id, version, breaker, document)
       SELECT tenant, id, 1, ?, ? FROM subscriptions WHERE tenant = ? AND id = ?`,
    );
    const update = this.#statements.get(
      `UPDATE endpoints SET version = ?, breaker = ?, document = ?
       WHERE tenant = ? AND subscription_id = ? AND version = ?`,
    );
    return rows.map(({ tenant, id, version, breaker, document }) => {
      const number = this.#tenants.find(tenant);
      if (number === undefined) return false;
      const { changes } =
        version === 1
          ? insert.run(breaker, document, number, id)
          : update.run(version, breaker, document, number, id, version - 1);
      return changes > 0;
    });
  };

  readonly removeEndpoints: StoreCalls["removeEndpoints"] = (keys) => {
    const remove = this.#statements.get("DELETE FROM endpoints WHERE tenant = ? AND subscription_id = ?");
    for (const { tenant, id } of keys) {
      const number = this.#tenants.find(tenant);
      if (number !== undefined) remove.run(number, id);
    }
    return null;
  };

  readonly reserveRates: StoreCalls["reserveRates"] = (requests) => {
    const select = this.#statements.get("SELECT arrival_at FROM rates WHERE tenant = ? AND subscription_id = ?");
    const upsert = this.#statements.get(
      `INSERT INTO rates (tenant, subscription_id, arrival_at) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET arrival_at = excluded.arrival_at`,
    );
    return requests.map(({ tenant, id, ...request }) => {
      const number = this.#tenants.ensure(tenant);
      const row = select.get(number, id);
      const { arrivalMs, grant } = reserve(row === undefined ? undefined : Number(row.arrival_at), request);
      if (grant.granted > 0) upsert.run(number, id, arrivalMs);
      return grant;
    });
  };

  /** All probes are of a dead process: the next may go at `nowMs`. */
  releaseProbes(nowMs: number): void {
    this.#statements
      .get(
        `UPDATE endpoints SET version = version + 1, breaker = 'open', document = json_set(document,
           '$.version', version + 1, '$.breaker', 'open', '$.probeAtMs', CAST(? AS INTEGER))
         WHERE breaker <> 'closed' AND breaker = 'halfOpen'`,
      )
      .run(nowMs);
  }

  /** Its subscription is deleted. */
  forget(tenant: number, subscriptionId: string): void {
    for (const table of ["endpoints", "rates"]) {
      this.#statements.get(`DELETE FROM ${table} WHERE tenant = ? AND subscription_id = ?`).run(tenant, subscriptionId);
    }
  }
}
