/** Which deliveries are stopped. */
import type { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

export class SwitchTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly stops: StoreCalls["stops"] = () =>
    this.#statements
      .get("SELECT organisation, reason, stopped_at, stopped_by FROM delivery_stops ORDER BY organisation")
      .all()
      .map((row) => [String(row.organisation), String(row.reason), Number(row.stopped_at), String(row.stopped_by)]);

  /** What is stopped already keeps its time. */
  readonly putStop: StoreCalls["putStop"] = (row) => {
    this.#statements
      .get(
        `INSERT INTO delivery_stops (organisation, reason, stopped_at, stopped_by) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET reason = excluded.reason, stopped_by = excluded.stopped_by`,
      )
      .run(...row);
    return null;
  };

  readonly removeStop: StoreCalls["removeStop"] = (organisation) => {
    this.#statements.get("DELETE FROM delivery_stops WHERE organisation = ?").run(organisation);
    return null;
  };
}
