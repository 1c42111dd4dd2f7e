/** Subscriptions: the whole one as JSON, and beside it the columns that are searched or must be unique. */
import type { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import type { ListSubscriptions, PageRows, StoreCalls, TenantRow } from "./calls.ts";
import { Conditions, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

export class SubscriptionTable {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #onRemoved: (tenant: number, id: string) => void;

  /** @param onRemoved called within the transaction that deletes a subscription. */
  constructor(database: DatabaseSync, tenants: Tenants, onRemoved: (tenant: number, id: string) => void) {
    this.#database = database;
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#onRemoved = onRemoved;
  }

  /** Inside a transaction: nobody can come between the counting and the insert. */
  readonly insertSubscription: StoreCalls["insertSubscription"] = ({ row, scopeLimit }) => {
    const tenant = this.#tenants.ensure(row.tenant);
    if (this.#urlOwner(tenant, row.entityId, row.urlKey) !== undefined) return "duplicateUrl";
    const inScope = this.#statements
      .get("SELECT count(*) AS n FROM subscriptions WHERE tenant = ? AND entity_id = ?")
      .get(tenant, row.entityId);
    if (Number(inScope?.n) >= scopeLimit) return "limitReached";
    const inserted = this.#statements
      .get(
        `INSERT INTO subscriptions (tenant, id, entity_id, url_key, state, format, version, created_at, document)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .run(tenant, row.id, row.entityId, row.urlKey, row.state, row.format, row.version, row.createdAtMs, row.document);
    if (inserted.changes === 0) throw new CodedError("internal", `subscription id ${row.id} was given twice`);
    this.#countUp(tenant);
    return "inserted";
  };

  readonly getSubscription: StoreCalls["getSubscription"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return null;
    const row = this.#statements.get("SELECT document FROM subscriptions WHERE tenant = ? AND id = ?").get(number, id);
    return row === undefined ? null : String(row.document);
  };

  readonly listSubscriptions = (asked: ListSubscriptions): PageRows<string> => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return { rows: [], more: false };
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("entity_id = ?", asked.entityId)
      .add("state = ?", asked.state)
      .add("format = ?", asked.format)
      .page("created_at", asked.after);
    const rows = this.#statements
      .get(`SELECT document FROM subscriptions WHERE ${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, asked.size + 1);
    const page = takePage(
      rows,
      asked.size,
      (row) => String(row.document),
      (document) => document.length,
    );
    return { rows: page.items, more: page.more };
  };

  /** In the order of the unique index on tenant and id. */
  readonly everySubscription: StoreCalls["everySubscription"] = ({ after, limit }) => {
    const place = after === null ? [-1, ""] : [this.#tenants.find(after.tenant) ?? -1, after.id];
    const rows = this.#statements
      .get("SELECT document FROM subscriptions WHERE (tenant, id) > (?, ?) ORDER BY tenant, id LIMIT ?")
      .all(...place, limit);
    return rows.map((row) => String(row.document));
  };

  readonly replaceSubscription: StoreCalls["replaceSubscription"] = (row) => {
    const tenant = this.#tenants.find(row.tenant);
    const known =
      tenant === undefined
        ? undefined
        : this.#statements
            .get("SELECT version, entity_id FROM subscriptions WHERE tenant = ? AND id = ?")
            .get(tenant, row.id);
    if (tenant === undefined || known === undefined) return "missing";
    if (Number(known.version) !== row.version - 1) return "changed";
    const owner = this.#urlOwner(tenant, row.entityId, row.urlKey);
    if (owner !== undefined && owner !== row.id) return "duplicateUrl";
    this.#statements
      .get(
        `UPDATE subscriptions SET url_key = ?, state = ?, format = ?, version = ?, document = ?
         WHERE tenant = ? AND id = ?`,
      )
      .run(row.urlKey, row.state, row.format, row.version, row.document, tenant, row.id);
    this.#countUp(tenant);
    return "replaced";
  };

  readonly removeSubscription: StoreCalls["removeSubscription"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    return number !== undefined && this.remove(number, id);
  };

  /** Inside a transaction. False where there is none. */
  remove(tenant: number, id: string): boolean {
    const removed = this.#statements.get("DELETE FROM subscriptions WHERE tenant = ? AND id = ?").run(tenant, id);
    if (removed.changes === 0) return false;
    this.#onRemoved(tenant, id);
    this.#countUp(tenant);
    return true;
  }

  readonly versions: StoreCalls["versions"] = (tenants) => tenants.map((tenant) => this.#version(tenant));

  /** One read transaction, since another process (the command line) may write between two reads. */
  readonly load: StoreCalls["load"] = (tenant) => {
    this.#database.exec("BEGIN");
    try {
      const number = this.#tenants.find(tenant);
      if (number === undefined) return [0, []];
      const rows = this.#statements.get("SELECT document FROM subscriptions WHERE tenant = ?").all(number);
      return [this.#version(tenant), rows.map((row) => String(row.document))];
    } finally {
      this.#database.exec("COMMIT");
    }
  };

  #version(tenant: TenantRow): number {
    const row = this.#statements
      .get("SELECT subscriptions_version FROM tenants WHERE organisation = ? AND environment = ?")
      .get(tenant[0], tenant[1]);
    return row === undefined ? 0 : Number(row.subscriptions_version);
  }

  #countUp(tenant: number): void {
    this.#statements
      .get("UPDATE tenants SET subscriptions_version = subscriptions_version + 1 WHERE tenant = ?")
      .run(tenant);
  }

  #urlOwner(tenant: number, entityId: string, urlKey: string): string | undefined {
    const row = this.#statements
      .get("SELECT id FROM subscriptions WHERE tenant = ? AND entity_id = ? AND url_key = ?")
      .get(tenant, entityId, urlKey);
    return row === undefined ? undefined : String(row.id);
  }
}
