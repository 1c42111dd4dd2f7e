/**
 * One organisation's backlog in front of another's event, in one log: a passbus in a process of its own, 20,000 events of
 * one organisation at once for an endpoint that is well, and right behind them one event of another.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { CHILD_ENV } from "../support/child-env.ts";
import { subscribe } from "../support/endpoints.ts";
import { printTable } from "../support/figures.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { numberedEvents } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";

const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");
const BACKLOG = 20_000;
const BATCH = 1_000;
const THROUGH_MS = 90_000;

/** An administrator's key of an organisation that is new. */
async function newOrganisation(dataDir: string, name: string): Promise<string> {
  const args = ["--disable-warning=ExperimentalWarning", MAIN, "keys", "create", "--organisation", name];
  const env = { ...CHILD_ENV, PASSBUS_DATA_DIR: dataDir };
  const { stdout } = await promisify(execFile)(process.execPath, [...args, "--role", "admin"], { env });
  return stdout.trim();
}

test(
  "an organisation's one event doesn't wait until another's 20,000 before it are delivered",
  async () => {
    using directory = new DataDirectory();
    await using sink = await Sink.start();
    await using passbus = await RunningPassbus.start(directory.path);
    const key = await newOrganisation(directory.path, "globex");
    const session = new Http2SessionManager(passbus.url);
    const transport = grpcWithKey(passbus.url, key, session);
    const theirs = createClient(EventService, transport);
    const busy = await subscribe(passbus.api, sink, "/busy");
    const quiet = await subscribe({ subscriptions: createClient(SubscriptionService, transport) }, sink, "/quiet");
    const [before, after] = numberedEvents(2, "globex");
    if (before === undefined || after === undefined) throw new Error("there are two events");
    // So that the connections, and what is known of both organisations, are there.
    await theirs.publishEvents({ events: [before] });
    await sink.reach([quiet.path], 1, 10_000);

    const backlog = numberedEvents(BACKLOG);
    const beganMs = Date.now();
    await Promise.all(
      Array.from({ length: BACKLOG / BATCH }, (_, at) =>
        passbus.api.events.publishEvents({ events: backlog.slice(at * BATCH, (at + 1) * BATCH) }),
      ),
    );
    const askedMs = Date.now();
    await theirs.publishEvents({ events: [after] });
    await sink.reach([quiet.path], 2, THROUGH_MS);
    await sink.reach([busy.path], BACKLOG, THROUGH_MS);
    session.abort();

    const receipts = await sink.receipts();
    const [quietMs = Number.NaN] = receipts
      .filter(({ path }) => path === quiet.path)
      .slice(1)
      .map(({ atMs }) => atMs);
    const busyMs = receipts.filter(({ path }) => path === busy.path).map(({ atMs }) => atMs);
    const lastMs = Math.max(...busyMs);
    const waited = busyMs.filter((atMs) => atMs > askedMs && atMs < quietMs).length;
    const left = busyMs.filter((atMs) => atMs > quietMs).length;
    printTable(`One event behind another organisation's ${BACKLOG} (times in ms)`, [
      ["publishing the backlog took", askedMs - beganMs],
      ["the event's webhook came after", quietMs - askedMs],
      ["the backlog's last after", lastMs - askedMs],
      ["webhooks of the backlog that came before it", waited],
      ["webhooks of the backlog that came behind it", left],
    ]);
    expect(busyMs).toHaveLength(BACKLOG);
    expect(waited).toBeLessThan(left);
  },
  2 * THROUGH_MS,
);
