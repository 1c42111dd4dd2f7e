/**
 * The kill switch of a passbus in a process of its own, turned over gRPC and on the command line: what is published
 * while nothing may leave waits, through a kill -9 too, and all of it goes when it may.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AccessService, DeliverySwitchScope as Scope } from "../../gen/passbus/v1/access_service_pb.js";
import { CHILD_ENV } from "../support/child-env.ts";
import { judge, subscribe } from "../support/endpoints.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { numberedEvents, passIdOf } from "../support/paced-publisher.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { statusCounts } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

/** Two servers and four commands, each a process. */
const SLOW = { timeout: 60_000 };

const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");

/** A command as a person gives it; what it prints. */
async function passbusCli(url: string, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", MAIN, ...args, "--url", url],
    { env: { ...CHILD_ENV, PASSBUS_KEY: BOOTSTRAP_KEY } },
  );
  return `${stdout}${stderr}`;
}

const access = (passbus: RunningPassbus) => createClient(AccessService, grpcWithKey(passbus.url, BOOTSTRAP_KEY));

const readiness = async (passbus: RunningPassbus) => {
  const response = await fetch(`${passbus.url}/readyz`);
  return { status: response.status, ...((await response.json()) as { notes?: readonly string[] }) };
};

test(
  "while deliveries are stopped events are taken and nothing leaves, over a kill -9; started, all of it goes",
  SLOW,
  async () => {
    using directory = new DataDirectory();
    await using sink = await Sink.start();
    const events = numberedEvents(500);
    const published = new Set(events.map(passIdOf));
    await using first = await RunningPassbus.start(directory.path);
    const endpoint = await subscribe(first.api, sink, "/stopped");
    expect(await passbusCli(first.url, "deliveries", "stop", "--reason", "an incident")).toContain("stopped");
    // Every worker knows within a second.
    await eventually(1_000, "the worker's word that it is stopped", () =>
      first.logged("delivery.stopped").length > 0 ? true : undefined,
    );
    for (let from = 0; from < 300; from += 100) {
      await first.api.events.publishEvents({ events: events.slice(from, from + 100) });
    }
    await eventually(10_000, "300 waiting deliveries", () =>
      statusCounts(directory.path, endpoint.id).waiting === 300 ? true : undefined,
    );
    const ready = await eventually(2_000, "a note on /readyz", async () => {
      const now = await readiness(first);
      return now.notes === undefined ? undefined : now;
    });
    expect(ready).toMatchObject({ status: 200, ready: true, notes: ["deliveries of 1 organisation are stopped"] });
    await first.end("SIGKILL");

    await using second = await RunningPassbus.start(directory.path);
    await second.api.events.publishEvents({ events: events.slice(300) });
    await eventually(10_000, "500 waiting deliveries", () =>
      statusCounts(directory.path, endpoint.id).waiting === 500 ? true : undefined,
    );
    expect(await sink.receipts()).toEqual([]);
    expect(await passbusCli(second.url, "deliveries", "switch")).toMatch(/organisation +stopped .*an incident/);
    expect(await passbusCli(second.url, "deliveries", "start")).toContain("started");
    await sink.reach([endpoint.path], 500, 10_000);
    const { missing, unexpected, repeats, forged } = judge(endpoint, await sink.receipts(), published);
    expect({ missing, unexpected, repeats, forged }).toEqual({ missing: [], unexpected: [], repeats: [], forged: [] });
    await eventually(5_000, "500 delivered", () =>
      statusCounts(directory.path, endpoint.id).delivered === 500 ? true : undefined,
    );
    expect(second.logged("delivery.started")).toHaveLength(1);
  },
);

test("the service's switch stops every organisation, within a second, and what is in flight ends", SLOW, async () => {
  using directory = new DataDirectory();
  await using sink = await Sink.start();
  await using passbus = await RunningPassbus.start(directory.path);
  await sink.answer("/slow", "hold");
  const endpoint = await subscribe(passbus.api, sink, "/slow");
  const events = numberedEvents(40);
  await passbus.api.events.publishEvents({ events: events.slice(0, 20) });
  await sink.requests("/slow", 20, 5_000);
  await access(passbus).setDeliverySwitch({ scope: Scope.SERVICE, stopped: true });
  await eventually(1_000, "the worker's word that it is stopped", () =>
    passbus.logged("delivery.stopped").length > 0 ? true : undefined,
  );
  await passbus.api.events.publishEvents({ events: events.slice(20) });
  await sink.release("/slow");
  await eventually(5_000, "20 delivered and 20 waiting", () => {
    const { delivered, waiting } = statusCounts(directory.path, endpoint.id);
    return delivered === 20 && waiting === 20 ? true : undefined;
  });
  expect(await sink.receipts()).toHaveLength(20);
  await access(passbus).setDeliverySwitch({ scope: Scope.SERVICE });
  await sink.reach(["/slow"], 40, 5_000);
});
