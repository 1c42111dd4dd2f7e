import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CHANGE_KINDS, CHANGED_IDS } from "../../delivery/kind-feed.ts";
import { KindTable } from "./kinds.ts";
import { openStore } from "./schema.ts";

let directory: string;
let database: DatabaseSync;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-kinds-"));
  database = openStore(directory);
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

const TENANT = 1;

const bin = (id: string, into = database) =>
  into.prepare("INSERT INTO bins VALUES (?, ?, 0, 0, 200, '')").run(TENANT, id);

const triggers = () => database.prepare("SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'").all().length;

test("a write through another connection may have changed anything, once", () => {
  const kinds = new KindTable(database);
  const reader = kinds.open(TENANT, "bins");
  const other = openStore(directory);
  bin("bin_1", other);
  other.close();
  expect(kinds.changedIds(reader)).toEqual({ ids: [], more: true });
  expect(kinds.changedIds(reader)).toEqual({ ids: [], more: false });
  bin("bin_2");
  expect(kinds.changedIds(reader)).toEqual({ ids: ["bin_2"], more: false });
});

test("a reader that nobody reads keeps so many ids, and that there are more", () => {
  const kinds = new KindTable(database);
  const reader = kinds.open(TENANT, "bins");
  for (let at = 0; at < CHANGED_IDS; at++) bin(`bin_${at}`);
  database.prepare("UPDATE bins SET description = 'x' WHERE id = 'bin_0'").run();
  bin("bin_more");
  const { ids, more } = kinds.changedIds(reader);
  expect([ids.length, ids.at(-1), more]).toEqual([CHANGED_IDS, `bin_${CHANGED_IDS - 1}`, true]);
  expect(kinds.changedIds(reader)).toEqual({ ids: [], more: false });
});

test("writes are noted only while somebody watches their kind", () => {
  const kinds = new KindTable(database);
  for (const kind of CHANGE_KINDS) {
    const readers = [kinds.open(TENANT, kind), kinds.open(TENANT, kind)];
    expect(triggers()).toBeGreaterThan(0);
    for (const reader of readers) kinds.unwatchKind(reader);
    expect(triggers()).toBe(0);
  }
  bin("bin_1");
});
