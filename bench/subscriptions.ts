/**
 * `npm run bench:subscriptions`: the memory of a passbus whose store has a million subscriptions of ten thousand
 * organisations, with a thousand of them hot (issue 6, "Many workers": under 512 MiB). Exit 1: above it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { EventService } from "../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../gen/passbus/v1/pass_event_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import { makeKey } from "../src/access/keys.ts";
import { systemClock } from "../src/kernel/clock.ts";
import { idSource } from "../src/kernel/ids.ts";
import { systemRandom } from "../src/kernel/random.ts";
import { benchEvent } from "./events.ts";
import type { PassbusCalls } from "./passbus-process.ts";
import { BenchProcess } from "./process-call.ts";
import { startIn, type Target } from "./stage.ts";
import { idle } from "./windows.ts";

const ORGANISATIONS = 10_000;
const EACH = 100;
const HOT = 1_000;
const MOST_MIB = 512;
const MIB = 1_048_576;
const PATIENCE_MS = 60_000;
const CALLS_AT_ONCE = 16;

type Passbus = BenchProcess<PassbusCalls>;

const material = { clock: systemClock, random: systemRandom, ids: idSource(systemClock, systemRandom) };

/** One through the API, so that every other is a copy of a real one. It asks for another type than the events have. */
async function makeTemplate({ url, key }: Target): Promise<void> {
  const client = createClient(SubscriptionService, createGrpcTransport({ baseUrl: url }));
  const subscription = {
    url: "https://endpoint.example/hooks/passes",
    eventTypes: [PassEventType.DELETED],
    description: "copied by bench/subscriptions.ts",
  };
  await client.createSubscription({ subscription }, { headers: { authorization: `Bearer ${key}` } });
}

/** Fills the store's file. Answers a publisher's key of each hot organisation. */
function fill(dataDir: string): readonly string[] {
  const database = new DatabaseSync(join(dataDir, "store.db"));
  const template = database.prepare("SELECT * FROM subscriptions").get();
  if (template === undefined) throw new Error("there is no subscription to copy");
  const tenantOf = database.prepare("SELECT max(tenant) AS last FROM tenants").get();
  const addTenant = database.prepare(
    "INSERT INTO tenants (tenant, organisation, environment, subscriptions_version) VALUES (?, ?, 'production', 1)",
  );
  const add = database.prepare(
    "INSERT INTO subscriptions (tenant, id, entity_id, url_key, state, format, version, created_at, document) VALUES (?, ?, '', ?, ?, ?, 1, ?, ?)",
  );
  const addKey = database.prepare(
    "INSERT INTO keys (id, organisation, environment, role, hash, created_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const keys: string[] = [];
  const document = JSON.parse(String(template.document));
  const { state = "enabled", format = "STANDARD", created_at: createdAt = 0 } = template;
  database.exec("PRAGMA synchronous = OFF; BEGIN");
  for (let number = 0; number < ORGANISATIONS; number += 1) {
    const tenant = Number(tenantOf?.last) + 1 + number;
    const organisation = `organisation-${number}`;
    addTenant.run(tenant, organisation);
    for (let at = 0; at < EACH; at += 1) {
      const id = `sub_${number}_${at}`;
      const url = `https://endpoint-${at}.example/hooks/${organisation}`;
      const copy = { ...document, id, url, urlKey: url, tenant: { organisation, environment: "production" } };
      add.run(tenant, id, url, state, format, createdAt, JSON.stringify(copy));
    }
    if (number < HOT) {
      const { record, text } = makeKey({ organisation, environment: "production" }, "publisher", material);
      addKey.run(record.id, organisation, "production", record.role, record.hash, record.createdAtMs);
      keys.push(text);
    }
  }
  database.exec("COMMIT");
  database.close();
  return keys;
}

/** An event of each hot organisation: each loads its subscriptions. */
async function heat(url: string, keys: readonly string[]): Promise<void> {
  const sessionManager = new Http2SessionManager(url);
  const client = createClient(EventService, createGrpcTransport({ baseUrl: url, sessionManager }));
  const left = keys.entries();
  const lane = async () => {
    for (const [at, key] of left) {
      const headers = { authorization: `Bearer ${key}` };
      await client.publishEvents({ events: [benchEvent("entity", `hot-${at}`)] }, { headers });
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, lane));
  sessionManager.abort();
}

async function main(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), "passbus-subscriptions-"));
  const start = () => new BenchProcess<PassbusCalls>("passbus", new URL("./passbus-process.ts", import.meta.url));
  const running: Passbus[] = [];
  try {
    const first = start();
    running.push(first);
    await makeTemplate(await startIn(first, dataDir));
    await first.stop();
    const keys = fill(dataDir);
    const second = start();
    running.push(second);
    const { url } = await startIn(second, dataDir);
    const before = await idle({ passbus: second }, PATIENCE_MS);
    await heat(url, keys);
    const after = await idle({ passbus: second }, PATIENCE_MS);
    const mib = (bytes: number) => (bytes / MIB).toFixed(0);
    const isMet = after.peakBytes < MOST_MIB * MIB;
    console.log(
      `${ORGANISATIONS * EACH} subscriptions of ${ORGANISATIONS} organisations, ${HOT} hot (${HOT * EACH} subscriptions in memory): ` +
        `resident ${mib(before.residentBytes)} MiB before, ${mib(after.residentBytes)} after, at most ${mib(after.peakBytes)}; goal ${MOST_MIB} ${isMet ? "met" : "MISSED"}`,
    );
    return isMet ? 0 : 1;
  } finally {
    for (const one of running) await one.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

process.exitCode = await main();
