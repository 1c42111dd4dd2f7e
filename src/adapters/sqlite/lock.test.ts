import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDataDirectory } from "./lock.ts";
import { startSqliteStore } from "./sqlite-store.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("one data directory is locked once, until it is released", () => {
  const lock = lockDataDirectory(directory);
  expect(() => lockDataDirectory(directory)).toThrow(
    expect.objectContaining({ code: "data_dir.locked", message: expect.stringContaining(directory) }),
  );
  lockDataDirectory(join(directory, "another")).release();
  lock.release();
  lock.release();
  lockDataDirectory(directory).release();
});

test("a process keeps its lock until it is killed, which leaves the directory free", async () => {
  const script = fileURLToPath(new URL("../../../test/support/hold-lock.ts", import.meta.url));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--expose-gc", script, directory], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  expect(() => lockDataDirectory(directory)).toThrow(expect.objectContaining({ code: "data_dir.locked" }));
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  lockDataDirectory(directory).release();
});

test("the store is opened beside the one who holds the lock", async () => {
  const lock = lockDataDirectory(directory);
  const thread = await startSqliteStore({ directory });
  await thread.stop();
  lock.release();
});

test("what can't be a directory is refused by the setting's name", () => {
  const file = join(directory, "a-file");
  writeFileSync(file, "");
  expect(() => lockDataDirectory(file)).toThrow(
    expect.objectContaining({ code: "config.invalid", message: expect.stringMatching(/^PASSBUS_DATA_DIR: .*a-file/) }),
  );
});
