import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import type { ErasureTarget } from "../delivery/erasure.ts";
import { runCli } from "./cli.ts";
import { organisationCommand, passesCommand } from "./erase.ts";

const asked: ErasureTarget[] = [];
let api: TestApi;
beforeAll(async () => {
  const erase = async (target: ErasureTarget) => {
    asked.push(target);
    return { id: "ers_1", events: 2, deliveries: 1, deadLetters: 1, others: 0, isDone: false };
  };
  api = await testApi({ erasures: { erase } });
});
afterAll(() => api.stop(0));

async function run(...args: readonly string[]) {
  const terminal = testTerminal();
  const given = [...args, "--url", api.url, "--key", ADMIN_KEY];
  const code = await runCli(given, [passesCommand(), organisationCommand()], terminal);
  return { code, err: terminal.said.err };
}

test("a pass and an organisation are erased when they are named twice, and what went is said", async () => {
  expect(await run("passes", "erase", "pass-1", "--confirm", "pass-1")).toEqual({
    code: 0,
    err: "ers_1: deleted 2 events, 1 delivery, 1 dead letter\nthere was more than one call deletes; the workers go on\n",
  });
  expect(await run("organisation", "delete", "globex", "--confirm", "globex")).toMatchObject({ code: 0 });
  expect(asked.splice(0).map(({ kind }) => kind)).toEqual(["pass", "organisation"]);
});

test.each([
  ["passes", "erase", "pass-1"],
  ["passes", "erase", "pass-1", "--confirm", "pass-2"],
  ["organisation", "delete", "globex", "--confirm", "Globex"],
])("%s %s %s %s %s is a wrong usage, and nothing is erased", async (...args) => {
  expect((await run(...args)).code).toBe(2);
  expect(asked).toEqual([]);
});

test("what the server refuses is said in its words", async () => {
  const { code, err } = await run("organisation", "delete", "acme", "--confirm", "acme");
  expect(code).toBe(1);
  expect(err).toContain("can't be deleted");
});
