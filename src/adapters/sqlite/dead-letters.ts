import type { DatabaseSync } from "node:sqlite";
import type { DeadLetterRow, ListDeadLetters, PageRows, StoreCalls } from "./calls.ts";
import { Conditions, type Row, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** All but the tenant's number, which comes first. */
const COLUMNS = `id, topic, partition, "offset", reason, message, appended_at, key, value, headers, truncated, redriven_at`;

const bytes = (value: unknown): Uint8Array | null => (value instanceof Uint8Array ? value : null);

/** Dead letters, one a record of the log (protocol, rule 11). */
export class DeadLetterTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  /** A letter that is there already stays as it is, with what is noted of it. */
  readonly putDeadLetters: StoreCalls["putDeadLetters"] = (rows) => {
    const insert = this.#statements.get(
      `INSERT INTO dead_letters (tenant, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    );
    for (const [organisation, environment, ...columns] of rows) {
      insert.run(this.#tenants.ensure([organisation, environment]), ...columns);
    }
    return null;
  };

  readonly listDeadLetters = (asked: ListDeadLetters): PageRows<DeadLetterRow> => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return { rows: [], more: false };
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("reason = ?", asked.reason)
      .page("appended_at", asked.after);
    const index = asked.reason === undefined ? "dead_letters_time" : "dead_letters_reason";
    const rows = this.#statements
      .get(
        `SELECT tenant, ${COLUMNS} FROM dead_letters INDEXED BY ${index} WHERE ${where.sql}
         ORDER BY appended_at DESC, id DESC LIMIT ?`,
      )
      .iterate(...where.values, asked.size + 1);
    const page = takePage(rows, asked.size, this.#read, bytesOf);
    return { rows: page.items, more: page.more };
  };

  readonly findDeadLetters: StoreCalls["findDeadLetters"] = ({ tenant, ids }) => {
    const number = this.#tenants.find(tenant);
    const select = this.#statements.get(`SELECT tenant, ${COLUMNS} FROM dead_letters WHERE id = ? AND tenant = ?`);
    return ids.map((id) => {
      const row = number === undefined ? undefined : select.get(id, number);
      return row === undefined ? null : this.#read(row);
    });
  };

  readonly noteRedriven: StoreCalls["noteRedriven"] = ({ tenant, ids, nowMs }) => {
    const number = this.#tenants.find(tenant);
    const update = this.#statements.get("UPDATE dead_letters SET redriven_at = ? WHERE id = ? AND tenant = ?");
    if (number !== undefined) for (const id of ids) update.run(nowMs, id, number);
    return null;
  };

  readonly #read = (row: Row): DeadLetterRow => {
    const [organisation, environment] = this.#tenants.row(Number(row.tenant));
    return [
      organisation,
      environment,
      String(row.id),
      String(row.topic),
      Number(row.partition),
      Number(row.offset),
      String(row.reason),
      String(row.message),
      Number(row.appended_at),
      bytes(row.key),
      bytes(row.value),
      String(row.headers),
      Number(row.truncated),
      row.redriven_at === null ? null : Number(row.redriven_at),
    ];
  };
}

function bytesOf([, , , , , , , message, , key, value, headers]: DeadLetterRow): number {
  return message.length + (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
}
