import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ChangeTable } from "./changes.ts";
import { DeliveryTable } from "./deliveries.ts";
import { EventTable } from "./events.ts";
import { openStore } from "./schema.ts";
import { Tenants } from "./tenants.ts";

let directory: string;
let database: DatabaseSync;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-changes-"));
  database = openStore(directory);
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

const TENANT = 1;

function setUp() {
  const tenants = new Tenants(database);
  const events = new EventTable(database, tenants);
  const changes = new ChangeTable(database, events, new DeliveryTable(database, tenants));
  const store = (...ids: readonly string[]) => {
    database.exec("BEGIN");
    for (const id of ids) events.insert(TENANT, [id, 1, "p", "", 0, "hash", 1, null], new Uint8Array(1));
    database.exec("COMMIT");
  };
  const read = (reader: number, limit: number) => {
    const { rows, more, skipped } = changes.changedEvents({ reader, limit }).value;
    return { ids: rows.map(([id]) => id), more, skipped };
  };
  return { events, changes, store, read };
}

const triggers = () => database.prepare("SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'").all().length;

test("a reader that nobody reads keeps the newest 16,384, and tells how many it let go of", () => {
  const { changes, store, read } = setUp();
  const reader = changes.open(TENANT, "events");
  store(...Array.from({ length: 16_384 + 3 }, (_, at) => `evt_${at}`));
  expect(read(reader, 2)).toEqual({ ids: ["evt_3", "evt_4"], more: true, skipped: 3 });
  expect(read(reader, 1)).toEqual({ ids: ["evt_5"], more: true, skipped: 0 });
});

test("what others store neither comes to a reader nor pushes out what is its own", () => {
  const { changes, store, read } = setUp();
  const reader = changes.open(2, "events");
  store(...Array.from({ length: 16_384 + 3 }, (_, at) => `evt_${at}`));
  expect(read(reader, 2)).toEqual({ ids: [], more: false, skipped: 0 });
});

test("writes are noted only while somebody watches", () => {
  const { changes } = setUp();
  expect(triggers()).toBe(0);
  const [one, two] = [changes.open(TENANT, "events"), changes.open(2, "events")];
  const deliveries = changes.open(TENANT, "deliveries");
  expect(triggers()).toBe(3);
  changes.unwatch(one);
  expect(triggers()).toBe(3);
  changes.unwatch(two);
  expect(triggers()).toBe(2);
  changes.unwatch(deliveries);
  changes.unwatch(deliveries);
  expect(triggers()).toBe(0);
});

test("what was rolled back is not told, and is when it comes after all", () => {
  const { events, changes, store, read } = setUp();
  const reader = changes.open(TENANT, "events");
  database.exec("BEGIN");
  events.insert(TENANT, ["evt_1", 1, "p", "", 0, "hash", 1, null], new Uint8Array(1));
  database.exec("ROLLBACK");
  expect(read(reader, 10)).toEqual({ ids: [], more: false, skipped: 0 });
  store("evt_1");
  expect(read(reader, 10)).toEqual({ ids: ["evt_1"], more: false, skipped: 0 });
});
