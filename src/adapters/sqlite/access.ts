import type { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../kernel/errors.ts";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

/** API keys: their hashes, never their text. */
export class KeyTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly findKey: StoreCalls["findKey"] = (id) => {
    const row = this.#statements.get("SELECT * FROM keys WHERE id = ?").get(id);
    if (row === undefined) return null;
    return [
      String(row.id),
      String(row.organisation),
      String(row.environment),
      String(row.role),
      String(row.hash),
      Number(row.created_at),
      row.expires_at === null ? null : Number(row.expires_at),
      row.revoked_at === null ? null : Number(row.revoked_at),
    ];
  };

  readonly hasKeys: StoreCalls["hasKeys"] = () =>
    this.#statements.get("SELECT 1 FROM keys LIMIT 1").get() !== undefined;

  readonly insertKey: StoreCalls["insertKey"] = (row) => {
    const inserted = this.#statements
      .get(
        `INSERT INTO keys (id, organisation, environment, role, hash, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .run(...row);
    if (inserted.changes === 0) throw new CodedError("internal", `key id ${row[0]} was given twice`);
    return null;
  };
}
