/** The commands as processes beside a running passbus: a key is made, and events are published with it. */
import { execFile, type PromiseWithChild } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type Passbus, startPassbus } from "../../src/compose/compose.ts";
import { type Config, readConfig } from "../../src/config/config.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { CHILD_ENV } from "../support/child-env.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

let config: Config;
let passbus: Passbus;
/** Shown by the first start. */
let firstKey: string;

beforeAll(async () => {
  config = readConfig({
    PASSBUS_DATA_DIR: await mkdtemp(join(tmpdir(), "passbus-cli-")),
    PASSBUS_LISTEN: "127.0.0.1:0",
    PASSBUS_LOG_LEVEL: "silent",
  });
  passbus = await startPassbus(config, { showKey: (key) => (firstKey = key), log: silentLog });
});

afterAll(async () => {
  await passbus.stop();
  await rm(config.dataDir, { recursive: true });
});

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], key = "", input = ""): PromiseWithChild<Output> {
  const running = promisify(execFile)(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    env: { ...CHILD_ENV, PASSBUS_DATA_DIR: config.dataDir, PASSBUS_KEY: key },
    timeout: 15_000,
  });
  running.child.stdin?.end(input);
  return running;
}

const EVENT = JSON.stringify({ id: "evt_cli", type: "PASS_EVENT_TYPE_SCANNED", pass: { id: "p1" } });

describe("the commands beside a running passbus", () => {
  it("make a key that the server takes at once, and publish with it", async () => {
    const made = await run(["keys", "create", "--organisation", "acme", "--environment", "test", "--role", "admin"]);
    const key = made.stdout.trim();
    const published = await run(["publish", "--url", passbus.url], key, `${EVENT}\n`);
    expect(published).toEqual({ stdout: "", stderr: "published 1 event\n" });
    const client = createClient(EventService, createGrpcTransport({ baseUrl: passbus.url }));
    const read = () => client.getEvent({ id: "evt_cli" }, { headers: { authorization: `Bearer ${key}` } });
    await expect.poll(read, { timeout: 5_000 }).toMatchObject({
      event: { event: { organisationId: "acme", environment: "test" } },
    });
  });

  it("say with their exit code that it went wrong", async () => {
    await expect(run(["publish", "--url", passbus.url], firstKey, "{}\n")).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("line 1: pass: is required"),
    });
    await expect(run(["publish", "--url", passbus.url], "", EVENT)).rejects.toMatchObject({ code: 2 });
    await expect(run(["serve"])).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("data_dir.locked") });
  });
});
