import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, expect, test } from "vitest";
import {
  BinRequestSchema,
  CreateBinResponseSchema,
  SignatureVerdict,
  type WatchBinRequest,
  WatchBinResponseSchema,
} from "../../gen/passbus/v1/inspector_service_pb.js";
import { State } from "../../gen/passbus/v1/subscription_pb.js";
import {
  CreateSubscriptionResponseSchema,
  type DeleteSubscriptionRequest,
  DeleteSubscriptionResponseSchema,
  ListSubscriptionsResponseSchema,
} from "../../gen/passbus/v1/subscription_service_pb.js";
import { type AnsweringServer, type Answers, answeringServer } from "../../test/support/answering-server.ts";
import { bodyOf, httpServer, type TestServer } from "../../test/support/receiver.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { within } from "../../test/support/within.ts";
import { runCli } from "./cli.ts";
import { listenCommand } from "./listen.ts";

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

const NAMES = "passbus.v1.";
const body = new Uint8Array([0, 255, 13, 10]);

function request(number: number) {
  const headers = { "content-type": "x/y", "webhook-id": `dlv_${number}`, host: "bus.test", connection: "close" };
  const verdict = SignatureVerdict.INVALID;
  return create(BinRequestSchema, {
    ...{ id: `brq_${number}`, method: "PUT", path: "/deep?a=b", headers, body, verdict, verdictReason: "wrong" },
  });
}

async function serverOf(answers: Answers): Promise<AnsweringServer> {
  const bin = { id: "bin_1", url: "https://bus.test/bins/bin_1" };
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

test("what commands that died have left is deleted, and nothing else", async () => {
  const deleted: string[] = [];
  const of = (id: string, state: State, labels: Record<string, string>) => ({ id, state, labels });
  const server = await serverOf({
    [`${NAMES}SubscriptionService/ListSubscriptions`]: () =>
      create(ListSubscriptionsResponseSchema, {
        subscriptions: [
          of("sub_dead", State.DISABLED, { "passbus-listen": "bin_0" }),
          of("sub_lives", State.ENABLED, { "passbus-listen": "bin_0" }),
          of("sub_other", State.DISABLED, {}),
        ],
      }),
    [`${NAMES}SubscriptionService/DeleteSubscription`]: (message) => {
      deleted.push((message as DeleteSubscriptionRequest).id);
      return create(DeleteSubscriptionResponseSchema);
    },
    [`${NAMES}InspectorService/WatchBin`]: () => create(WatchBinResponseSchema, { request: request(1) }),
  });
  await listen(server.url, "--forward-to", "http://127.0.0.1:1/", "--limit", "1");
  expect(deleted).toEqual(["sub_dead", "sub_new"]);
});

test.each(["localhost:3000", "ftp://x/", "nonsense"])("%s is no URL to send on to", async (text) => {
  expect((await listen("http://127.0.0.1:1", "--forward-to", text)).code).toBe(2);
});
