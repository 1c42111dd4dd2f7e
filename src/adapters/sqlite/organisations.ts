/** What organisations were given. */
import type { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "./calls.ts";
import { Statements } from "./statements.ts";

export class OrganisationTable {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  readonly limits: StoreCalls["limits"] = (organisation) => {
    const row = this.#statements
      .get("SELECT organisation_subscriptions, entity_subscriptions FROM organisations WHERE organisation = ?")
      .get(organisation);
    return [numberOrNull(row?.organisation_subscriptions), numberOrNull(row?.entity_subscriptions)];
  };

  readonly setLimits: StoreCalls["setLimits"] = ({ organisation, limits: [ofOrganisation, ofEntity] }) => {
    this.#statements
      .get(
        `INSERT INTO organisations (organisation, organisation_subscriptions, entity_subscriptions) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET organisation_subscriptions = excluded.organisation_subscriptions,
           entity_subscriptions = excluded.entity_subscriptions`,
      )
      .run(organisation, ofOrganisation, ofEntity);
    return null;
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
