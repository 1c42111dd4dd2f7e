/**
 * The encryption keys change under a service that goes on delivering, as docs/keys.md says: the new key behind the old,
 * then before it, then `passbus keys reencrypt` beside the running server, then without the old one.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { CHILD_ENV } from "../support/child-env.ts";
import { Deployment } from "../support/distributed.ts";
import { type Endpoint, subscribe } from "../support/endpoints.ts";
import { numberedEvent } from "../support/paced-publisher.ts";
import { type Clients, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const SLOW = { timeout: 120_000 };
const SOON_MS = 30_000;

const key = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;

async function embeddedCommand(dataDir: string, keys: string, ...args: readonly string[]): Promise<string> {
  const main = join(ROOT, "src", "main.ts");
  const env = { ...CHILD_ENV, PASSBUS_DATA_DIR: dataDir, PASSBUS_ENCRYPTION_KEYS: keys };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", main, ...args],
    { cwd: ROOT, env, timeout: 60_000 },
  );
  return stdout;
}

/** One event, and every endpoint has it, signed with the secret that it was given at its creation. */
async function delivers(api: Clients, sink: Sink, endpoints: readonly Endpoint[], number: number): Promise<void> {
  // A type that every format can say.
  await api.events.publishEvents({ events: [{ ...numberedEvent(number), type: PassEventType.INSTALLED }] });
  for (const { path } of endpoints) {
    const receipts = await sink.requests(path, number, SOON_MS);
    expect(receipts.at(-1)?.verifiedBy, path).toEqual([0]);
  }
}

const subscribeAll = async (api: Clients, sink: Sink) => [
  await subscribe(api, sink, "/standard"),
  await subscribe(api, sink, "/ethpass", {
    format: Format.ETHPASS,
    formatOptions: { ethpassAuthorization: "Bearer static" },
  }),
];

const [older, newer] = [key("k1"), key("k2")];

test(
  "a rotation of the encryption keys: what was sealed under the old one is sealed anew beside a running server",
  SLOW,
  async () => {
    using data = new DataDirectory();
    await using sink = await Sink.start();
    let endpoints: readonly Endpoint[];
    {
      await using passbus = await RunningPassbus.start(data.path, { PASSBUS_ENCRYPTION_KEYS: older });
      endpoints = await subscribeAll(passbus.api, sink);
      await delivers(passbus.api, sink, endpoints, 1);
      await passbus.end("SIGTERM");
    }
    const both = `${newer},${older}`;
    {
      await using passbus = await RunningPassbus.start(data.path, { PASSBUS_ENCRYPTION_KEYS: both });
      await delivers(passbus.api, sink, endpoints, 2);
      const before = await embeddedCommand(data.path, both, "keys", "reencrypt", "--dry-run");
      expect(before).toContain("key k1: 3 sealed texts");
      const done = await embeddedCommand(data.path, both, "keys", "reencrypt");
      expect(done).toContain("key k2: 3 sealed texts (the newest)");
      expect(done).toContain("key k1: 0 sealed texts (nothing is sealed under it any more");
      await delivers(passbus.api, sink, endpoints, 3);
      await passbus.end("SIGTERM");
    }
    await using passbus = await RunningPassbus.start(data.path, { PASSBUS_ENCRYPTION_KEYS: newer });
    await delivers(passbus.api, sink, endpoints, 4);
    await passbus.end("SIGTERM");
  },
);

const needed = allOf(kafka, mongodb);

describe.skipIf(!needed.present)(needed.title("a rotation on two processes"), SLOW, () => {
  test("one after the other gets the new key, and no webhook waits for it", async () => {
    const servers = { brokers: kafkaBrokers(), mongodbUri: mongodbUri() };
    await using deployment = await Deployment.make(servers, { PASSBUS_ENCRYPTION_KEYS: `${newer},${older}` });
    await using sink = await Sink.start();
    const start = (role: "api" | "worker", keys: string) => deployment.start(role, { PASSBUS_ENCRYPTION_KEYS: keys });
    await using api = await start("api", `${older},${newer}`);
    await using worker = await start("worker", `${older},${newer}`);
    const endpoints = await subscribeAll(api.api, sink);
    await delivers(api.api, sink, endpoints, 1);
    // What the next API seals under the new key, the worker that was not restarted yet can open.
    await using next = await start("api", `${newer},${older}`);
    const [standard] = endpoints;
    if (standard === undefined) throw new Error("there is no endpoint");
    const { secret } = await next.api.subscriptions.rotateSecret({ id: standard.id, overlap: { seconds: 0n } });
    await sink.expectSecrets(standard.path, secret);
    await delivers(next.api, sink, endpoints, 2);
    expect(await deployment.command("keys", "reencrypt")).toContain("key k1: 0 sealed texts");
    await delivers(next.api, sink, endpoints, 3);
    await worker.end("SIGTERM");
    await using last = await start("worker", newer);
    await delivers(next.api, sink, endpoints, 4);
    expect(last.hasEnded).toBe(false);
  });
});
