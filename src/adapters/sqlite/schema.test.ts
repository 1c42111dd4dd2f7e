import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deadLetterId } from "../../intake/dead-letters.ts";
import { migrate, openStore } from "./schema.ts";
import { storeService } from "./service.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-schema-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Back to schema 1: the dead letters as passbus 0.1.0 made them, and without what came later. */
const FIRST_DEAD_LETTERS = `
  DROP TABLE organisations;
  DROP TABLE dead_letters;
  CREATE TABLE dead_letters (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    key BLOB,
    value BLOB,
    headers TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX dead_letters_place ON dead_letters (topic, partition, "offset");
  PRAGMA user_version = 1;
`;

test("dead letters of the first schema get their id, and the tenant that their headers name", () => {
  const database = openStore(directory);
  database.exec(FIRST_DEAD_LETTERS);
  const insert = database.prepare("INSERT INTO dead_letters VALUES ('t', 0, ?, 'event.conflict', 'm', 5, ?, ?, ?)");
  const value = Uint8Array.of(1);
  insert.run(1, Uint8Array.of(7), value, JSON.stringify({ "organisation-id": "acme", environment: "test" }));
  insert.run(2, null, null, JSON.stringify({ "organisation-id": "acme", environment: "test" }));
  insert.run(3, null, null, JSON.stringify({ "organisation-id": "" }));
  migrate(database);
  const service = storeService(database);
  const id = (offset: number) => deadLetterId({ topic: "t", partition: 0, offset, appendedAtMs: 5 });
  const rowsOf = (organisation: string, environment: string) =>
    service.handlers.listDeadLetters({ tenant: [organisation, environment], size: 10 });
  const headers = '{"organisation-id":"acme","environment":"test"}';
  const first = ["acme", "test", id(1), "t", 0, 1, "event.conflict", "m", 5, Uint8Array.of(7), value, headers, 0, null];
  const second = ["acme", "test", id(2), "t", 0, 2, "event.conflict", "m", 5, null, null, headers, 0, null];
  expect(rowsOf("acme", "test")).toEqual({
    rows: id(1) > id(2) ? [first, second] : [second, first],
    more: false,
  });
  const third = [
    "default",
    "production",
    id(3),
    "t",
    0,
    3,
    "event.conflict",
    "m",
    5,
    null,
    null,
    '{"organisation-id":""}',
  ];
  expect(rowsOf("default", "production")).toEqual({ rows: [[...third, 0, null]], more: false });
  service.close();
});
