/** Commands that handle signals, at a host that drops packets: a connection that never stands is not to keep the process. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { SilentHost } from "../../test/support/silent-host.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { changesCommand } from "./changes.ts";
import { runCli } from "./cli.ts";
import { listenCommand } from "./listen.ts";

const LIMIT_MS = 10_000;

let host: SilentHost;
beforeAll(async () => {
  host = await SilentHost.start();
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** Connections of this process that don't stand yet: each keeps it. */
const connecting = () => process.getActiveResourcesInfo().filter((kind) => kind === "ConnectWrap").length;

test.each([
  ["changes", 0, []],
  ["listen", 143, ["--forward-to", "http://127.0.0.1:1/"]],
] as const)("%s ends after SIGTERM, and leaves no connection that is still being made", async (name, code, options) => {
  const before = connecting();
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
  const args = [name, "--url", `http://127.0.0.1:${host.port}`, ...options];
  const ended = runCli(args, [changesCommand(), listenCommand()], terminal);
  await eventually(LIMIT_MS, "its connection", () => (connecting() > before ? true : undefined));
  terminal.signal("SIGTERM");
  expect(await within(LIMIT_MS, "the end", ended)).toBe(code);
  await eventually(LIMIT_MS, "the end of its connection", () => (connecting() === before ? true : undefined));
});
