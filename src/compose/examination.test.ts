/** What `passbus doctor` asks of an embedded deployment, and that asking changes nothing. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { STORE_FILE } from "../adapters/sqlite/schema.ts";
import { readConfig } from "../config/config.ts";
import { openAdminStore, preparationOf } from "./compose.ts";
import { embeddedStore, encryptionKeyUse, keyFiles, resolveHost, storeClockAheadMs } from "./examination.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-examination-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const config = () => readConfig({ PASSBUS_DATA_DIR: directory });

/** As `passbus init` leaves it. */
async function prepare(): Promise<void> {
  for (const { make } of await preparationOf(config()).survey()) await make?.();
}

test("nothing is made where there is nothing", async () => {
  expect(embeddedStore(config())).toBeUndefined();
  expect(await encryptionKeyUse(config())).toBeUndefined();
  expect(await storeClockAheadMs(config())).toBeUndefined();
  expect(keyFiles(config())).toEqual([join(directory, "encryption.key"), join(directory, "signing.key")]);
  expect(readdirSync(directory)).toEqual([]);
});

test("a store is looked at beside others that have it open", async () => {
  await prepare();
  const open = await openAdminStore(config());
  const { version, newest, damage } = embeddedStore(config()) ?? {};
  expect([version, damage]).toEqual([newest, undefined]);
  expect(await encryptionKeyUse(config())).toMatchObject({ newest: "k1", unopenedCount: 0, subscriptions: 0 });
  await open.close();
});

test("a store of another schema is told and left as it is", async () => {
  await prepare();
  const database = new DatabaseSync(join(directory, STORE_FILE));
  database.exec("PRAGMA user_version = 3");
  database.close();
  expect(embeddedStore(config())).toMatchObject({ version: 3 });
  expect(await encryptionKeyUse(config())).toBeUndefined();
  expect(embeddedStore(config())).toMatchObject({ version: 3 });
});

test("a key file that is missing is not made", async () => {
  await prepare();
  rmSync(join(directory, "encryption.key"));
  expect(await encryptionKeyUse(config())).toBeUndefined();
  expect(readdirSync(directory)).not.toContain("encryption.key");
});

test("a file that is no store throws", () => {
  writeFileSync(join(directory, STORE_FILE), "this is no database, and longer than its header would be");
  expect(() => embeddedStore(config())).toThrow("not a database");
});

test("the names of this machine have addresses", async () => {
  expect(await resolveHost("localhost")).toContain("127.0.0.1");
});
