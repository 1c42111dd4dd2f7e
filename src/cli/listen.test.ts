import { create, type Message } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import {
  BinRequestSchema,
  CreateBinResponseSchema,
  type DeleteBinRequest,
  DeleteBinResponseSchema,
  InspectorService,
  SignatureVerdict,
  type WatchBinRequest,
  WatchBinResponseSchema,
} from "../../gen/passbus/v1/inspector_service_pb.js";
import { State } from "../../gen/passbus/v1/subscription_pb.js";
import {
  CreateSubscriptionResponseSchema,
  type DeleteSubscriptionRequest,
  DeleteSubscriptionResponseSchema,
  type ListSubscriptionsRequest,
  ListSubscriptionsResponseSchema,
  type UpdateSubscriptionRequest,
  UpdateSubscriptionResponseSchema,
} from "../../gen/passbus/v1/subscription_service_pb.js";
import { type AnsweringServer, type Answers, answeringServer } from "../../test/support/answering-server.ts";
import { ADMIN_KEY, testApi } from "../../test/support/api.ts";
import { FaultProxy } from "../../test/support/fault-proxy.ts";
import { grpcWithKey } from "../../test/support/grpc.ts";
import { bodyOf, httpServer, type TestServer } from "../../test/support/receiver.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { runCli } from "./cli.ts";
import { listenCommand } from "./listen.ts";

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

const NAMES = "passbus.v1.";
/** By the server's clock. */
const NOW_MS = 1_800_000_000_000;
/** Before each that a bin may hold. */
const FIRST_ID = `brq_${"0".repeat(32)}`;
const body = new Uint8Array([0, 255, 13, 10]);

function request(number: number) {
  const headers = { "content-type": "x/y", "webhook-id": `dlv_${number}`, host: "bus.test", connection: "close" };
  const verdict = SignatureVerdict.INVALID;
  return create(BinRequestSchema, {
    ...{ id: `brq_${number}`, method: "PUT", path: "/deep?a=b", headers, body, verdict, verdictReason: "wrong" },
  });
}

async function serverOf(answers: Answers): Promise<AnsweringServer> {
  const bin = { id: "bin_1", url: "https://bus.test/bins/bin_1", createdAt: timestampFromMs(NOW_MS) };
  const server = await answeringServer({
    [`${NAMES}InspectorService/CreateBin`]: () => create(CreateBinResponseSchema, { bin }),
    [`${NAMES}SubscriptionService/CreateSubscription`]: () =>
      create(CreateSubscriptionResponseSchema, { subscription: { id: "sub_new" }, secret: "whsec_x" }),
    ...answers,
  });
  open.push(server);
  return server;
}

async function localServer(got: unknown[]): Promise<TestServer> {
  const server = await httpServer(async (arrived, response) => {
    const { method, url, headers } = arrived;
    got.push({ method, url, headers, body: await bodyOf(arrived) });
    response.writeHead(202).end();
  });
  open.push({ stop: async () => server[Symbol.asyncDispose]() });
  return server;
}

async function listen(url: string, ...args: readonly string[]) {
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
  const code = await within(60_000, "the end", runCli(["listen", "--url", url, ...args], [listenCommand()], terminal));
  return { code, ...terminal.said };
}

test("each request is sent on as it came, over connections that break, after the last one that was seen", async () => {
  const got: { readonly headers: Record<string, string>; readonly method: string; readonly url: string }[] = [];
  const local = await localServer(got);
  const asked: string[] = [];
  let calls = 0;
  const server = await serverOf({
    [`${NAMES}InspectorService/WatchBin`]: (message) => {
      asked.push((message as WatchBinRequest).afterRequestId);
      calls += 1;
      if (calls === 2) throw new ConnectError("restarts", Code.Unavailable);
      return create(WatchBinResponseSchema, { request: request(calls) });
    },
  });
  const { code, out, err } = await listen(
    server.url,
    ...["--forward-to", `http://127.0.0.1:${local.port}/hook/?k=v`, "--limit", "2"],
  );
  expect([code, asked]).toEqual([0, [FIRST_ID, "brq_1", "brq_1"]]);
  expect(err).toContain("whsec_x");
  expect(err).toContain("the connection broke");
  expect(got).toHaveLength(2);
  for (const each of got) {
    expect(each).toMatchObject({ method: "PUT", url: "/hook/deep?a=b", body: Buffer.from(body) });
    expect(each.headers).toMatchObject({ "content-type": "x/y", host: `127.0.0.1:${local.port}` });
    expect(each.headers["webhook-id"]).toMatch(/^dlv_[13]$/);
  }
  expect(out).toMatch(/PUT dlv_1 {2}202 in \d+ ms {2}signature invalid: wrong\n/);
  for (const name of ["SubscriptionService/DeleteSubscription", "InspectorService/DeleteBin"]) {
    expect(server.called.has(`${NAMES}${name}`)).toBe(true);
  }
});

test("a connection that breaks before the first request is made again from the bin's beginning", async () => {
  const asked: string[] = [];
  const server = await serverOf({
    [`${NAMES}InspectorService/WatchBin`]: (message) => {
      asked.push((message as WatchBinRequest).afterRequestId);
      if (asked.length === 1) throw new ConnectError("restarts", Code.Unavailable);
      return create(WatchBinResponseSchema, { request: request(1) });
    },
  });
  const { code } = await listen(server.url, "--forward-to", "http://127.0.0.1:1/", "--limit", "1");
  expect([code, asked]).toEqual([0, [FIRST_ID, FIRST_ID]]);
});

test("what arrives before a stream stands is sent on, and once", async () => {
  const got: { readonly url: string }[] = [];
  const local = await localServer(got);
  await using api = await testApi();
  await using proxy = await FaultProxy.start({ port: api.port });
  const terminal = testTerminal({ PASSBUS_KEY: ADMIN_KEY });
  let isCut: Promise<void> | undefined;
  const err = (text: string) => {
    terminal.err(text);
    // The subscription stands, nobody watches yet.
    if (text.startsWith("signing secret")) isCut = proxy.set({ kind: "refuse" });
  };
  const args = ["--url", `http://127.0.0.1:${proxy.port}`, "--forward-to", `http://127.0.0.1:${local.port}`];
  const ended = runCli(["listen", ...args, "--limit", "3"], [listenCommand()], { ...terminal, err });
  const says = (text: string) => eventually(60_000, text, () => terminal.said.err.includes(text) || undefined);
  await says("the connection broke");
  await isCut;
  const session = new Http2SessionManager(api.url);
  const { bins } = await createClient(InspectorService, grpcWithKey(api.url, ADMIN_KEY, session)).listBins({});
  session.abort();
  const arrive = (path: string) => fetch(`${api.url}/bins/${bins[0]?.id}${path}`, { method: "POST" });
  for (const path of ["/1", "/2"]) expect((await arrive(path)).status).toBe(200);
  await proxy.pass();
  await says("sending on");
  await eventually(60_000, "both", () => got.length >= 2 || undefined);
  await arrive("/3");
  expect(await within(60_000, "the end", ended)).toBe(0);
  expect(got.map(({ url }) => url).sort()).toEqual(["/1", "/2", "/3"]);
});

test("a local server that doesn't answer is told, and stops nothing", async () => {
  const server = await serverOf({
    [`${NAMES}InspectorService/WatchBin`]: () => create(WatchBinResponseSchema, { request: request(1) }),
  });
  const { code, out } = await listen(server.url, "--forward-to", "http://127.0.0.1:1/", "--limit", "1", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ webhookId: "dlv_1", error: expect.stringContaining("ECONNREFUSED") });
});

test("a bin that is gone ends it, with what the server says", async () => {
  const server = await serverOf({
    [`${NAMES}InspectorService/WatchBin`]: () => {
      throw new ConnectError('bin_id: there is no bin "bin_1"', Code.NotFound);
    },
  });
  const { code, err } = await listen(server.url, "--forward-to", "http://127.0.0.1:1/");
  expect([code, err]).toEqual([1, expect.stringContaining("there is no bin")]);
  expect(server.called.has(`${NAMES}SubscriptionService/DeleteSubscription`)).toBe(true);
});

test("what commands that died have left is deleted, on every page of the list, and nothing else", async () => {
  const deleted: string[] = [];
  const listens = { "passbus-listen": "bin_0", "passbus-listen-beats": "3" };
  const of = (id: string, state: State, labels: Record<string, string>, minutes = 0) => {
    return { id, state, labels, updatedAt: timestampFromMs(NOW_MS - minutes * 60_000) };
  };
  const pages = [
    [
      of("sub_dead", State.DISABLED, { "passbus-listen": "bin_0" }),
      of("sub_lives", State.ENABLED, listens, 19),
      of("sub_other", State.DISABLED, {}, 999),
    ],
    [of("sub_hung_up", State.ENABLED, listens, 21), of("sub_older", State.ENABLED, { "passbus-listen": "bin_0" }, 999)],
  ];
  const server = await serverOf({
    [`${NAMES}SubscriptionService/ListSubscriptions`]: (message) => {
      const at = (message as ListSubscriptionsRequest).pageToken === "" ? 0 : 1;
      return create(ListSubscriptionsResponseSchema, {
        subscriptions: pages[at] ?? [],
        nextPageToken: at === 0 ? "1" : "",
      });
    },
    [`${NAMES}SubscriptionService/DeleteSubscription`]: (message) => {
      deleted.push((message as DeleteSubscriptionRequest).id);
      return create(DeleteSubscriptionResponseSchema);
    },
    [`${NAMES}InspectorService/DeleteBin`]: (message) => {
      deleted.push((message as DeleteBinRequest).binId);
      return create(DeleteBinResponseSchema);
    },
    [`${NAMES}InspectorService/WatchBin`]: () => create(WatchBinResponseSchema, { request: request(1) }),
  });
  await listen(server.url, "--forward-to", "http://127.0.0.1:1/", "--limit", "1");
  expect(deleted).toEqual(["sub_dead", "bin_0", "sub_hung_up", "bin_0", "sub_new", "bin_1"]);
});

test.each(["SIGHUP", "SIGTERM"] as const)(
  "touches its subscription while it runs, and deletes it at %s",
  async (signal) => {
    const clock = new ManualClock();
    const touched = Promise.withResolvers<UpdateSubscriptionRequest>();
    const server = await serverOf({
      [`${NAMES}SubscriptionService/ListSubscriptions`]: () => create(ListSubscriptionsResponseSchema),
      [`${NAMES}SubscriptionService/UpdateSubscription`]: (message) => {
        touched.resolve(message as UpdateSubscriptionRequest);
        return create(UpdateSubscriptionResponseSchema);
      },
      [`${NAMES}InspectorService/WatchBin`]: () => create(WatchBinResponseSchema),
    });
    const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
    const args = ["listen", "--url", server.url, "--forward-to", "http://127.0.0.1:1/"];
    const running = runCli(args, [listenCommand(undefined, clock)], terminal);
    await eventually(60_000, "its being connected", async () => terminal.said.err.includes("sending on") || undefined);
    clock.advance(5 * 60_000);
    const { subscription, updateMask } = await within(60_000, "the touch", touched.promise);
    expect(updateMask?.paths).toEqual(["labels"]);
    expect(subscription).toMatchObject({
      id: "sub_new",
      labels: { "passbus-listen": "bin_1", "passbus-listen-beats": "1" },
    });
    terminal.signal(signal);
    expect(await within(60_000, "the end", running)).toBe(0);
    expect(server.called.has(`${NAMES}SubscriptionService/DeleteSubscription`)).toBe(true);
  },
);

describe("a signal while nobody answers", () => {
  /** Runs until the server is asked `name`, which it does not answer before `release`. */
  async function stuckAt(name: string) {
    const begun = Promise.withResolvers<void>();
    const { promise: held, resolve: release } = Promise.withResolvers<Message>();
    const hold = () => {
      begun.resolve();
      // Connect waits for it.
      return held as unknown as Message;
    };
    const server = await serverOf({ [`${NAMES}${name}`]: hold, [`${NAMES}InspectorService/DeleteBin`]: hold });
    const clock = new ManualClock();
    const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
    const args = ["listen", "--url", server.url, "--forward-to", "http://127.0.0.1:1/"];
    const ended = runCli(args, [listenCommand(undefined, clock)], terminal);
    await within(60_000, name, begun.promise);
    const hasCalled = (method: string) => server.called.has(`${NAMES}${method}`);
    const deletesBin = async () =>
      eventually(60_000, "the bin's end", () => hasCalled("InspectorService/DeleteBin") || undefined);
    return { clock, terminal, ended, hasCalled, deletesBin, release: () => release(create(DeleteBinResponseSchema)) };
  }

  test.each([
    ["SIGINT", "InspectorService/CreateBin", 130, false],
    ["SIGTERM", "SubscriptionService/ListSubscriptions", 143, true],
    ["SIGHUP", "SubscriptionService/CreateSubscription", 129, true],
  ] as const)(
    "%s ends a start that waits for %s, with %i, and takes the bin with it",
    async (signal, name, code, hasBin) => {
      const { terminal, ended, hasCalled, deletesBin, release } = await stuckAt(name);
      terminal.signal(signal);
      if (hasBin) {
        await deletesBin();
        release();
      }
      expect(await within(60_000, "the end", ended)).toBe(code);
      expect(terminal.said.err).toContain("stopped before it had a subscription");
      expect(hasCalled("InspectorService/DeleteBin")).toBe(hasBin);
      expect(hasCalled("InspectorService/WatchBin")).toBe(false);
    },
  );

  test("the second ends it at once, in the middle of cleaning up", async () => {
    const { clock, terminal, ended, deletesBin, release } = await stuckAt("SubscriptionService/ListSubscriptions");
    terminal.signal("SIGINT");
    await deletesBin();
    clock.advance(300);
    terminal.signal("SIGINT");
    expect(terminal.exits).toEqual([130]);
    release();
    await within(60_000, "the end", ended);
  });
});

test.each(["localhost:3000", "ftp://x/", "nonsense"])("%s is no URL to send on to", async (text) => {
  expect((await listen("http://127.0.0.1:1", "--forward-to", text)).code).toBe(2);
});
