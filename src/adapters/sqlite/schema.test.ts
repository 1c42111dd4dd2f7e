import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { deadLetterId } from "../../intake/dead-letters.ts";
import { migrate, STEPS } from "./schema.ts";
import { storeService } from "./service.ts";

test("dead letters of the first schema get their id, and the tenant that their headers name", () => {
  const database = new DatabaseSync(":memory:");
  database.exec(`${STEPS[0]} PRAGMA user_version = 1`);
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
