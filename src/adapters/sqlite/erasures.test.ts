import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { TENANT_TABLES } from "./erasures.ts";
import { migrate } from "./schema.ts";

/** Of the service itself, or erased in a way of their own. */
const OTHERS = ["tenants", "subscriptions", "endpoints", "rates", "keys", "organisations", "delivery_stops"];
const OF_NOBODY = ["upkeep", "worker_reports", "erasures"];

test("an organisation that is erased is erased from every table that there is", () => {
  const database = new DatabaseSync(":memory:");
  migrate(database);
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  const known = [...TENANT_TABLES.map(({ table }) => table), ...OTHERS, ...OF_NOBODY];
  expect(tables.map(({ name }) => String(name)).toSorted()).toEqual(known.toSorted());
  for (const { table, since } of TENANT_TABLES) {
    const columns = database.prepare("SELECT name FROM pragma_table_info(?)").all(table);
    expect(columns.map(({ name }) => name)).toEqual(expect.arrayContaining(["tenant", since]));
  }
  database.close();
});
