import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, expect, test } from "vitest";
import {
  BinRequestSchema,
  CreateBinResponseSchema,
  type DeleteBinRequest,
  DeleteBinResponseSchema,
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
  expect([code, asked]).toEqual([0, ["", "brq_1", "brq_1"]]);
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

test.each(["localhost:3000", "ftp://x/", "nonsense"])("%s is no URL to send on to", async (text) => {
  expect((await listen("http://127.0.0.1:1", "--forward-to", text)).code).toBe(2);
});
