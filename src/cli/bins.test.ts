import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { binsCommand } from "./bins.ts";
import { runCli } from "./cli.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const terminalOf = () => testTerminal({ PASSBUS_KEY: ADMIN_KEY });

async function run(...args: readonly string[]) {
  const terminal = terminalOf();
  const code = await runCli(["bins", ...args, "--url", api.url], [binsCommand()], terminal);
  return { code, ...terminal.said };
}

async function made(...args: readonly string[]): Promise<string> {
  const { out } = await run("create", ...args, "--json");
  return JSON.parse(out).id;
}

const send = (id: string, path: string) => fetch(`${api.url}/bins/${id}${path}`, { method: "POST", body: "hello" });

test("a bin is made, its URL alone on the output, and shown with what it answers", async () => {
  const { code, out, err } = await run("create", "--status", "503", "--lifetime", "10m", "--description", "a trial");
  expect(code).toBe(0);
  expect(out).toMatch(/^https:\/\/passbus\.test\/bins\/bin_[0-9a-f]{32}\n$/);
  expect(err).toContain("it answers 503");
  const id = out.trim().split("/").at(-1) ?? "";
  expect((await run("get", id)).out).toMatch(/answers +503[\s\S]*description +a trial/);
  expect((await run("list")).out).toContain(id);
});

test("what arrived is listed with the verdict, as text and in JSON", async () => {
  const id = await made();
  expect((await run("requests", id)).err).toBe("nothing has arrived\n");
  await send(id, "/more");
  expect((await run("requests", id)).out).toMatch(/POST +\/more +5 B +unknown: no subscription/);
  expect(JSON.parse((await run("requests", id, "--json")).out)).toMatchObject({
    path: "/more",
    verdict: "SIGNATURE_VERDICT_UNKNOWN",
    body: Buffer.from("hello").toString("base64"),
  });
});

test("a watch shows what arrives, and ends at its limit", async () => {
  const id = await made();
  const terminal = terminalOf();
  const watch = ["bins", "watch", id, "--limit", "1", "--url", api.url];
  const ended = runCli(watch, [binsCommand()], terminal);
  await eventually(30_000, "the watch", () => (terminal.said.err.includes("waiting for requests") ? true : undefined));
  await send(id, "/live");
  expect(await within(30_000, "the end", ended)).toBe(0);
  expect(terminal.said.out).toContain("/live");
});

test("bins are deleted; one that is not there fails", async () => {
  const [one, other] = [await made(), await made()];
  expect(await run("delete", one, other)).toMatchObject({ code: 0, err: `deleted ${one}\ndeleted ${other}\n` });
  expect(await run("get", one)).toMatchObject({ code: 1, err: expect.stringContaining("there is no bin") });
  // What went wrong on a page of a list is said as the server said it, once.
  expect(await run("requests", one)).toMatchObject({ code: 1, err: expect.stringMatching(/^passbus: \[not_found\] /) });
});

test("a lifetime that is none is a wrong usage", async () => {
  expect((await run("create", "--lifetime", "soon")).code).toBe(2);
});
