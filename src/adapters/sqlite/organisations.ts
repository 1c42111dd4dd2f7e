/** What organisations were given. */
import type { DatabaseSync } from "node:sqlite";
import type { LimitField } from "../../subscriptions/limit-store.ts";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

/** In the order of a `LimitsRow`. */
const COLUMNS: ReadonlyMap<LimitField, string> = new Map([
  ["organisation", "organisation_subscriptions"],
  ["entity", "entity_subscriptions"],
  ["eventRetentionMs", "event_retention"],
  ["deliveryRetentionMs", "delivery_retention"],
  ["payloadRetentionMs", "payload_retention"],
  ["callsPerSecond", "calls_per_second"],
  ["eventsPerSecond", "events_per_second"],
]);

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

  readonly setLimits: StoreCalls["setLimits"] = ({ organisation, limits, fields }) => {
    const written = [...COLUMNS]
      .map(([field, column], at) => ({ field, column, value: limits[at] ?? null }))
      .filter(({ field }) => fields.length === 0 || fields.includes(field));
    const columns = written.map(({ column }) => column);
    this.#statements
      .get(
        `INSERT INTO organisations (organisation, ${columns.join(", ")}) VALUES (?${", ?".repeat(columns.length)})
         ON CONFLICT DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}`,
      )
      .run(organisation, ...written.map(({ value }) => value));
    return null;
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
