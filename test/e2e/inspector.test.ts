/** A request bin and `passbus listen` beside a running passbus, with nothing faked; and what is counted of it. */
import { createServer, type IncomingMessage } from "node:http";
import { Code, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { InspectorService, SignatureVerdict } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { runCli } from "../../src/cli/cli.ts";
import { listenCommand } from "../../src/cli/listen.ts";
import { type Embedded, startEmbedded } from "../support/embedded.ts";
import { failureOf, grpcWithKey } from "../support/grpc.ts";
import { BOOTSTRAP_KEY, type Clients, type RunningPassbus } from "../support/passbus.ts";
import { bodyOf } from "../support/receiver.ts";
import { testTerminal } from "../support/terminal.ts";
import { eventually, within } from "../support/within.ts";

const SOON_MS = 30_000;

describe("the inspector of a running passbus", () => {
  let embedded: Embedded;
  let passbus: RunningPassbus;
  let api: Clients;
  let session: Http2SessionManager;
  beforeAll(async () => {
    // Without the sink's network: what goes to a bin passes no guard.
    embedded = await startEmbedded({ PASSBUS_ALLOWED_NETWORKS: "192.0.2.0/24", PASSBUS_METRICS_LISTEN: "127.0.0.1:0" });
    ({ passbus } = embedded);
    ({ api } = passbus);
    session = new Http2SessionManager(passbus.url);
  }, 60_000);
  afterAll(async () => {
    session.abort();
    await embedded[Symbol.asyncDispose]();
  });

  const inspector = () => createClient(InspectorService, grpcWithKey(passbus.url, BOOTSTRAP_KEY, session));
  const publish = (id: string) =>
    api.events.publishEvents({
      events: [{ id, type: PassEventType.SCANNED, pass: { id: `pass-${id}`, classId: "c" } }],
    });

  // Seeds 001 and 003 send people to a bin.
  test("a bin, subscribed, shows an event's webhook and a test send, both verified, and counts them", async () => {
    const { bin } = await inspector().createBin({});
    const binId = bin?.id ?? "";
    const { subscription, secret } = await api.subscriptions.createSubscription({
      subscription: { url: bin?.url ?? "", format: Format.STANDARD },
    });
    const subscriptionId = subscription?.id ?? "";
    const { attempt } = await api.subscriptions.testSubscription({ id: subscriptionId });
    expect(attempt).toMatchObject({ statusCode: 200 });
    await publish("e1");
    const requests = await eventually(SOON_MS, "two requests", async () => {
      const found = (await inspector().listBinRequests({ binId })).requests;
      return found.length >= 2 ? found : undefined;
    });
    for (const { verdict, fromPassbus, body, headers } of requests) {
      expect([verdict, fromPassbus]).toEqual([SignatureVerdict.VALID, true]);
      expect(new Webhook(secret).verify(Buffer.from(body), headers)).toMatchObject({});
    }
    expect(requests.map(({ headers }) => headers["webhook-test"] ?? "").sort()).toEqual(["", "true"]);
    const total = await eventually(SOON_MS, "the counts", async () => {
      const stats = await api.deliveries.getDeliveryStats({ subscriptionId });
      return stats.total?.delivered === 1n && stats.total.events === 1n ? stats.total : undefined;
    });
    expect(total).toMatchObject({ attempts: 1n, failed: 0n, failedAttempts: 0n });
    const overview = await api.deliveries.getOverview({});
    expect(overview.service?.workers).toHaveLength(1);
    const url = passbus.logged("metrics.served")[0]?.url;
    const metrics = await (await fetch(String(url))).text();
    expect(metrics).toContain("passbus_events_accepted_total 1\n");
    expect(metrics).toContain('passbus_deliveries_total{outcome="delivered"} 1\n');
    // A bin that is gone disables what still points to it.
    await inspector().deleteBin({ binId });
    await publish("e2");
    await eventually(SOON_MS, "the subscription disabled", async () => {
      const { subscription: now } = await api.subscriptions.getSubscription({ id: subscriptionId });
      return now?.state === 2 ? true : undefined;
    });
    await api.subscriptions.deleteSubscription({ id: subscriptionId });
  }, 120_000);

  test("what only begins as a bin's URL is judged as any endpoint's", async () => {
    const { bin } = await inspector().createBin({});
    const url = bin?.url ?? "";
    const others = [
      [`${passbus.url}/bins/`, "must lead to a public address"],
      [`${passbus.url}/bins/\r\n#${"a".repeat(2_000_000)}`, "must have at most 2048 characters"],
      [`${passbus.url}/bins/bin_1`, "must lead to a public address"],
      [`${url}f`, "must lead to a public address"],
      [`${url}/../../readyz`, "must lead to a public address"],
      [`${url}/%2e%2e/%2E%2e/readyz`, "must lead to a public address"],
      [`${url}/\r\nx: y`, "must not have blanks, line breaks or control characters"],
      [`${url}/a\\b`, "must not have a backslash"],
      [`${url}#a`, "must not have a fragment"],
      [`${url}/${"a".repeat(2_000_000)}`, "must have at most 2048 characters"],
      [url.replace("//", "//user@"), "must not have a user name or password"],
    ] as const;
    for (const [other, message] of others) {
      const failure = await failureOf(api.subscriptions.createSubscription({ subscription: { url: other } }));
      expect(failure.code, other.slice(0, 100)).toBe(Code.InvalidArgument);
      const [{ fieldViolations: [violation] = [] } = {}] = failure.findDetails(BadRequestSchema);
      expect(violation?.description, other.slice(0, 100)).toContain(message);
    }
    const made = await api.subscriptions.createSubscription({ subscription: { url: `${url}/a%7eb?` } });
    expect(
      await failureOf(api.subscriptions.createSubscription({ subscription: { url: `${url}/a~b` } })),
    ).toMatchObject({
      code: Code.AlreadyExists,
    });
    const changed = { id: made.subscription?.id ?? "", url: `${url}/\r\n` };
    expect((await failureOf(api.subscriptions.updateSubscription({ subscription: changed }))).code).toBe(
      Code.InvalidArgument,
    );
    await api.subscriptions.deleteSubscription({ id: changed.id });
    await inspector().deleteBin({ binId: bin?.id ?? "" });
  }, 60_000);

  test("listen sends webhooks on to a local server as they came, and leaves nothing behind", async () => {
    const got: { readonly request: IncomingMessage; readonly body: Buffer }[] = [];
    const server = createServer(async (request, response) => {
      got.push({ request, body: await bodyOf(request) });
      response.writeHead(got.length === 1 ? 204 : 500).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const terminal = testTerminal({ PASSBUS_KEY: BOOTSTRAP_KEY });
    const words = ["listen", "--url", passbus.url, "--forward-to", `http://127.0.0.1:${port}/hook`, "--json"];
    const ended = runCli([...words, "--type", "scanned"], [listenCommand()], terminal);
    await eventually(SOON_MS, "listen to begin", () => (terminal.said.err.includes("sending on") ? true : undefined));
    const secret = /whsec_\S+/.exec(terminal.said.err)?.[0] ?? "";
    await publish("e3");
    await eventually(SOON_MS, "the first webhook", () => (got.length === 1 ? true : undefined));
    await publish("e4");
    await eventually(SOON_MS, "two lines", () => (terminal.said.out.split("\n").length > 2 ? true : undefined));
    for (const { request, body } of got) {
      expect([request.method, request.url]).toEqual(["POST", "/hook"]);
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      expect(new Webhook(secret).verify(body, headers)).toMatchObject({ type: "pass.scanned" });
    }
    const lines = terminal.said.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ statusCode, signature }) => [statusCode, signature])).toEqual([[204, "valid"], [500, "valid"]]); // biome-ignore format: a table
    expect((await inspector().listBins({})).bins).toHaveLength(1);
    terminal.signal("SIGINT");
    expect(await within(SOON_MS, "listen to end", ended)).toBe(0);
    expect((await inspector().listBins({})).bins).toEqual([]);
    expect((await api.subscriptions.listSubscriptions({})).subscriptions).toEqual([]);
    await new Promise((resolve) => server.close(resolve));
  }, 120_000);
});
