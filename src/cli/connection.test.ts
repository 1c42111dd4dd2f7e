import { afterEach, expect, test } from "vitest";
import { type AnsweringServer, answeringServer } from "../../test/support/answering-server.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { whoamiCommand } from "./whoami.ts";

const KEY = { PASSBUS_KEY: "a-key-that-is-long-enough" };

const open: AnsweringServer[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

async function server(): Promise<AnsweringServer> {
  const made = await answeringServer();
  open.push(made);
  return made;
}

async function whoami(environment: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const terminal = testTerminal({ ...KEY, ...environment });
  return { code: await runCli(["whoami", ...args], [whoamiCommand()], terminal), ...terminal.said };
}

test("a command calls the passbus that PASSBUS_URL names, unless --url names another", async () => {
  const [named, other] = [await server(), await server()];
  expect((await whoami({ PASSBUS_URL: named.url })).code).toBe(0);
  expect([named.called.size, other.called.size]).toEqual([1, 0]);
  expect((await whoami({ PASSBUS_URL: named.url }, "--url", other.url)).code).toBe(0);
  expect(other.called.size).toBe(1);
});

test("a PASSBUS_URL that is none is a wrong setting, and nothing is called", async () => {
  const { code, err } = await whoami({ PASSBUS_URL: "passbus.example.com" });
  expect([code, err]).toEqual([2, expect.stringContaining("PASSBUS_URL")]);
});
