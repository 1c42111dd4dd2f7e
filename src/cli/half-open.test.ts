/** Connections that are gone without a word: nothing arrives any more, and nobody says that it ended. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { FaultProxy } from "../../test/support/fault-proxy.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { runCli } from "./cli.ts";
import { listenCommand } from "./listen.ts";

const LIMIT_MS = 30_000;
const SOON = { pingIntervalMs: 100, pingTimeoutMs: 200 };

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

/** `passbus listen` through a proxy. */
function listening(proxy: FaultProxy, pings = SOON) {
  const terminal = testTerminal({ PASSBUS_KEY: ADMIN_KEY });
  const address = `http://127.0.0.1:${proxy.port}`;
  const args = ["listen", "--url", address, "--forward-to", "http://127.0.0.1:1/", "--json"];
  const ended = runCli(args, [listenCommand(pings)], terminal);
  const said = (text: string) => (terminal.said.err.includes(text) ? true : undefined);
  return { terminal, ended, begun: () => eventually(LIMIT_MS, "the beginning", () => said("sending on")), said };
}

const proxied = () => FaultProxy.start({ port: Number(new URL(api.url).port) });

test("listen says that the connection broke, and goes on with another where one may stand again", async () => {
  await using proxy = await proxied();
  const { terminal, ended, begun, said } = listening(proxy);
  await begun();
  await proxy.set({ kind: "half-open" });
  await eventually(LIMIT_MS, "word of the connection", () => said("the connection broke"));
  await proxy.pass();
  const beginnings = () => terminal.said.err.split("sending on").length - 1;
  await eventually(LIMIT_MS, "another connection", () => (beginnings() === 2 ? true : undefined));
  terminal.signal("SIGTERM");
  expect(await within(LIMIT_MS, "the end", ended)).toBe(0);
  expect(terminal.said.err).not.toContain("was not deleted");
});

test("listen ends soon after SIGTERM though nobody answers, and says what it leaves", async () => {
  await using proxy = await proxied();
  const { terminal, ended, begun } = listening(proxy, { pingIntervalMs: 600_000, pingTimeoutMs: 600_000 });
  await begun();
  await proxy.set({ kind: "half-open" });
  terminal.signal("SIGTERM");
  expect(await within(10_000, "the end", ended)).toBe(0);
  expect(terminal.said.err).toMatch(/subscription sub_\w+ was not deleted/);
});
