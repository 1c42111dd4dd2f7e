/** What a person at a terminal does to debug a subscription (seed 000). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { httpServer, type TestServer } from "../../test/support/receiver.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { subscriptionsCommand } from "./subscriptions.ts";

let api: TestApi;
let receiver: TestServer;
let status = 200;
beforeAll(async () => {
  api = await testApi();
  receiver = await httpServer((_request, response) => {
    response.statusCode = status;
    response.end("thank\u001b you");
  });
});
afterAll(async () => {
  await api.stop(0);
  await receiver[Symbol.asyncDispose]();
});

async function run(...args: readonly string[]) {
  const terminal = testTerminal({ PASSBUS_KEY: ADMIN_KEY }, [""]);
  const code = await runCli(["subscriptions", ...args, "--url", api.url], [subscriptionsCommand()], terminal);
  return { code, ...terminal.said };
}

async function made(): Promise<string> {
  const { out } = await run("create", "--endpoint", `http://127.0.0.1:${receiver.port}/${performance.now()}`, "--json");
  return JSON.parse(out).subscription.id;
}

test("a test shows what was sent, what came back, and how long each phase took", async () => {
  status = 202;
  const { code, out } = await run("test", await made(), "--type", "scanned");
  expect(code).toBe(0);
  expect(out).toMatch(/^POST http:\/\/127\.0\.0\.1/);
  expect(out).toContain("webhook-test: true");
  expect(out).toContain('"type":"pass.scanned"');
  expect(out).toMatch(/status +202/);
  expect(out).toMatch(/response +thank\\u\{1b\} you/);
  expect(out).toMatch(/total +[\d.]+ ms/);
});

test("a test that the endpoint refuses fails", async () => {
  status = 500;
  const { code, out, err } = await run("test", await made());
  expect(code).toBe(1);
  expect(out).toMatch(/status +500/);
  expect(err).toContain("did not take it");
});

test("a preview sends nothing, and is the request", async () => {
  const { code, out } = await run("preview", await made(), "--type", "deleted", "--json");
  expect(code).toBe(0);
  const { method, headers, body } = JSON.parse(out);
  expect(method).toBe("POST");
  expect(headers["webhook-signature"]).toMatch(/^v1,/);
  expect(JSON.parse(Buffer.from(body, "base64").toString()).type).toBe("pass.deleted");
});

test("an event and a sample at once are refused, an unknown event too", async () => {
  const id = await made();
  expect(await run("preview", id, "--type", "deleted", "--event", "e")).toMatchObject({ code: 2 });
  expect(await run("preview", id, "--event", "e")).toMatchObject({ code: 1, err: expect.stringContaining("e") });
});
