/** The embedded deployment's files in a directory that others may look into, made under a umask that takes nothing away. */
import { chmodSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DataDirectory, RunningPassbus } from "./support/passbus.ts";

const LAVISH = ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh"];

test("what passbus keeps is its own user's alone, and files of before that aren't are told of", {
  timeout: 60_000,
}, async () => {
  using data = new DataDirectory();
  chmodSync(data.path, 0o755);
  const modes = () =>
    Object.fromEntries(
      readdirSync(data.path).map((name) => [name, (statSync(join(data.path, name)).mode & 0o777).toString(8)]),
    );
  {
    await using passbus = await RunningPassbus.start(data.path, {}, LAVISH);
    await passbus.api.subscriptions.createSubscription({ subscription: { url: "http://127.0.0.1:3/" } });
    const kept = modes();
    expect(Object.keys(kept)).toEqual(
      expect.arrayContaining(["lock.db", "log.db", "log.db-shm", "log.db-wal", "store.db-shm", "store.db-wal"]),
    );
    expect(new Set(Object.values(kept))).toEqual(new Set(["600"]));
    expect(passbus.logged("data_dir.open_to_others")).toEqual([]);
    await passbus.end("SIGTERM");
  }
  const file = join(data.path, "store.db");
  chmodSync(file, 0o644);
  await using passbus = await RunningPassbus.start(data.path, {}, LAVISH);
  const [first, ...others] = passbus.logged("data_dir.open_to_others");
  expect(first).toMatchObject({ level: "warn", file, mode: "644", right: `chmod 600 ${file}` });
  expect(others.map((each) => each.file)).toEqual([`${file}-wal`, `${file}-shm`]);
  await passbus.end("SIGTERM");
});
