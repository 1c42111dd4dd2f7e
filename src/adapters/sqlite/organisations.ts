/** What organisations were given. */
import type { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

const COLUMNS = [
  "organisation_subscriptions",
  "entity_subscriptions",
  "event_retention",
  "delivery_retention",
  "payload_retention",
  "calls_per_second",
  "events_per_second",
];

export class OrganisationTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly limits: StoreCalls["limits"] = (organisation) => {
    const row = this.#statements.get("SELECT * FROM organisations WHERE organisation = ?").get(organisation);
    return [
      numberOrNull(row?.organisation_subscriptions),
      numberOrNull(row?.entity_subscriptions),
      numberOrNull(row?.event_retention),
      numberOrNull(row?.delivery_retention),
      numberOrNull(row?.payload_retention),
      numberOrNull(row?.calls_per_second),
      numberOrNull(row?.events_per_second),
    ];
  };

  readonly setLimits: StoreCalls["setLimits"] = ({ organisation, limits }) => {
    this.#statements
      .get(
        `INSERT INTO organisations (organisation, ${COLUMNS.join(", ")}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET ${COLUMNS.map((column) => `${column} = excluded.${column}`).join(", ")}`,
      )
      .run(organisation, ...limits);
    return null;
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
