import type { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

/** Dead letters, one a place in the log (protocol, rule 11). */
export class DeadLetterTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly putDeadLetters: StoreCalls["putDeadLetters"] = (rows) => {
    const insert = this.#statements.get(
      `INSERT INTO dead_letters (topic, partition, "offset", reason, message, appended_at, key, value, headers)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    for (const row of rows) insert.run(...row);
    return null;
  };
}
