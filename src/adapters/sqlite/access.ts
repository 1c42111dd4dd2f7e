import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import type { AccessCalls, AuditRow, KeyRow, SessionRow } from "./access-calls.ts";
import type { CursorRow } from "./calls.ts";
import { Conditions, type Row, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** API keys: their hashes, never their text. */
export class KeyTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly findKey: AccessCalls["findKey"] = (id) => {
    const row = this.#statements.get("SELECT * FROM keys WHERE id = ?").get(id);
    return row === undefined ? null : keyRow(row);
  };

  readonly hasKeys: AccessCalls["hasKeys"] = () =>
    this.#statements.get("SELECT 1 FROM keys LIMIT 1").get() !== undefined;

  readonly insertKey: AccessCalls["insertKey"] = (row) => {
    const inserted = this.#statements
      .get(
        `INSERT INTO keys (id, organisation, environment, role, hash, created_at, expires_at, revoked_at, description,
           last_used_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .run(...row);
    if (inserted.changes === 0) throw new CodedError("internal", `key id ${row[0]} was given twice`);
    return null;
  };

  readonly listKeys: AccessCalls["listKeys"] = ({ tenant, size, after }) => {
    const where = new Conditions().add("organisation = ? AND environment = ?", ...tenant).page("created_at", after);
    const rows = this.#statements
      .get(`SELECT * FROM keys WHERE ${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, size + 1);
    const page = takePage(rows, size, keyRow, () => 0);
    return { rows: page.items, more: page.more };
  };

  readonly countLiveKeys: AccessCalls["countLiveKeys"] = ({ tenant, nowMs }) => {
    const sql = `SELECT count(*) AS live FROM keys WHERE organisation = ? AND environment = ? AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > ?)`;
    return Number(this.#statements.get(sql).get(...tenant, nowMs)?.live);
  };

  readonly revokeKey: AccessCalls["revokeKey"] = ({ tenant, id, nowMs }) =>
    this.#statements
      .get(`UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? AND organisation = ? AND environment = ?`)
      .run(nowMs, id, ...tenant).changes === 1;

  readonly noteKeyUses: AccessCalls["noteKeyUses"] = (uses) => {
    const note = this.#statements.get(
      "UPDATE keys SET last_used_at = ?1 WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)",
    );
    for (const { id, atMs } of uses) note.run(atMs, id);
    return null;
  };
}

const numberOrNull = (value: unknown): number | null => (typeof value === "number" ? value : null);

function keyRow(row: Row): KeyRow {
  return [
    String(row.id),
    String(row.organisation),
    String(row.environment),
    String(row.role),
    String(row.hash),
    Number(row.created_at),
    numberOrNull(row.expires_at),
    numberOrNull(row.revoked_at),
    typeof row.description === "string" ? row.description : null,
    numberOrNull(row.last_used_at),
  ];
}

/** Portal sessions: the hashes of their tokens. */
export class SessionTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly findSession: AccessCalls["findSession"] = (id) => {
    const row = this.#statements.get("SELECT * FROM portal_sessions WHERE id = ?").get(id);
    return row === undefined ? null : this.#read(row);
  };

  readonly insertSession: AccessCalls["insertSession"] = ([organisation, environment, ...columns]) => {
    const inserted = this.#statements
      .get(
        `INSERT INTO portal_sessions (tenant, id, entity_id, hash, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .run(this.#tenants.ensure([organisation, environment]), ...columns);
    if (inserted.changes === 0) throw new CodedError("internal", `session id ${columns[0]} was given twice`);
    return null;
  };

  readonly listSessions: AccessCalls["listSessions"] = ({ tenant, size, after }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [], more: false };
    const where = new Conditions().add("tenant = ?", number).page("created_at", after);
    const rows = this.#statements
      .get(`SELECT * FROM portal_sessions WHERE ${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, size + 1);
    const page = takePage(rows, size, this.#read, () => 0);
    return { rows: page.items, more: page.more };
  };

  readonly countLiveSessions: AccessCalls["countLiveSessions"] = ({ tenant, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return 0;
    const sql = `SELECT count(*) AS live FROM portal_sessions INDEXED BY portal_sessions_end
       WHERE tenant = ? AND expires_at > ? AND revoked_at IS NULL`;
    return Number(this.#statements.get(sql).get(number, nowMs)?.live);
  };

  readonly revokeSession: AccessCalls["revokeSession"] = ({ tenant, id, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return false;
    const sql = "UPDATE portal_sessions SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? AND tenant = ?";
    return this.#statements.get(sql).run(nowMs, id, number).changes === 1;
  };

  readonly #read = (row: Row): SessionRow => [
    ...this.#tenants.row(Number(row.tenant)),
    String(row.id),
    String(row.entity_id),
    String(row.hash),
    Number(row.created_at),
    Number(row.expires_at),
    numberOrNull(row.revoked_at),
  ];
}

/** Rows of one page that are looked at: a filter that fits few of them must not hold up the store's thread. */
const LOOKED_AT = 5_000;

/** Changes and refusals. */
export class AuditTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly putAudit: AccessCalls["putAudit"] = (rows) => {
    const put = this.#statements.get(
      `INSERT INTO audit_records (tenant, id, happened_at, actor, action, target, peer, refused, code, count)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (tenant, id) DO UPDATE SET count = excluded.count`,
    );
    for (const [organisation, environment, ...columns] of rows) {
      put.run(this.#tenants.ensure([organisation, environment]), ...columns);
    }
    return null;
  };

  readonly listAudit: AccessCalls["listAudit"] = ({ tenant, filter, size, after }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [], at: null };
    const where = new Conditions()
      .add("tenant = ?", number)
      .span("happened_at", filter.fromMs, filter.toMs)
      .page("happened_at", after);
    const wanted: readonly (readonly [column: string, value: SQLInputValue | undefined])[] = [
      ["actor", filter.actor],
      ["action", filter.action],
      ["target", filter.target],
      ["refused", filter.refused === undefined ? undefined : Number(filter.refused)],
    ];
    const rows = this.#statements
      .get(
        `SELECT * FROM audit_records INDEXED BY audit_records_time WHERE ${where.sql}
         ORDER BY happened_at DESC, id DESC LIMIT ?`,
      )
      .iterate(...where.values, LOOKED_AT + 1);
    const fitting: AuditRow[] = [];
    let looked = 0;
    let at: CursorRow | null = null;
    for (const row of rows) {
      if (fitting.length === size || looked === LOOKED_AT) return { rows: fitting, at };
      looked += 1;
      at = [Number(row.happened_at), String(row.id)];
      if (wanted.every(([column, value]) => value === undefined || row[column] === value))
        fitting.push(this.#read(row));
    }
    return { rows: fitting, at: null };
  };

  readonly #read = (row: Row): AuditRow => [
    ...this.#tenants.row(Number(row.tenant)),
    String(row.id),
    Number(row.happened_at),
    String(row.actor),
    String(row.action),
    String(row.target),
    String(row.peer),
    Number(row.refused),
    String(row.code),
    Number(row.count),
  ];
}
