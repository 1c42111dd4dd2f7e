import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, within } from "../within.ts";
import { logTail, ownFolder, removeFolder, runOwned, startOwned, untilReady } from "./owned.ts";

const LIMIT_MS = 10_000;
const HANG = ["-e", "setInterval(() => {}, 1000)"];

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

let folder: string;
let log: string;
beforeAll(async () => {
  folder = await ownFolder("passbus-owned-test-");
  log = join(folder, "log");
});
afterAll(() => removeFolder(folder));

describe("what a process owns", () => {
  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("ends with it after %s", async (signal) => {
    const hang = fileURLToPath(new URL("./own-and-hang.ts", import.meta.url));
    const args = ["--disable-warning=ExperimentalWarning", hang, log];
    const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await within(LIMIT_MS, "its word", once(createInterface(owner.stdout), "line"))) as [string];
    const owned = JSON.parse(line) as { pid: number; folder: string };
    expect(runs(owned.pid)).toBe(true);
    expect(existsSync(owned.folder)).toBe(true);
    owner.kill(signal);
    await eventually(LIMIT_MS, "the end of both", () => !(runs(owned.pid) || existsSync(owned.folder)) || undefined);
  });
});

describe("an owned process", () => {
  it("is gone, with what it started, when kill resolves", async () => {
    const script = `const { pid } = require("node:child_process").spawn(process.execPath, ${JSON.stringify(HANG)});
      console.log("child " + pid); setInterval(() => {}, 1000);`;
    const parent = await startOwned(process.execPath, ["-e", script], join(folder, "parent"));
    const child = await eventually(
      LIMIT_MS,
      "its child",
      () => /child (?<pid>\d+)/u.exec(logTail(parent.logFile)) ?? undefined,
    );
    const pid = Number(child.groups?.pid);
    expect(runs(pid)).toBe(true);
    await parent.kill();
    expect(runs(parent.pid)).toBe(false);
    await eventually(LIMIT_MS, "the child's end", () => !runs(pid) || undefined);
    await parent.kill();
  });

  it("that can't be started, or that fails, says so", async () => {
    await expect(startOwned("no-such-program", [], log)).rejects.toThrow(/ENOENT/u);
    const fails = ["-e", "console.error('the reason'); process.exit(3)"];
    await expect(runOwned(process.execPath, fails, log)).rejects.toThrow(/exit code 3: [\s\S]*the reason/u);
  });
});

describe("waiting until a server is ready", () => {
  it("ends when it answers", async () => {
    const server = await startOwned(process.execPath, HANG, log);
    let asked = 0;
    await untilReady("it", server, async () => {
      asked += 1;
      return asked === 3;
    });
    expect(asked).toBe(3);
    await server.kill();
  });

  it("ends at once, with the log, when the server ends", async () => {
    const server = await startOwned(process.execPath, ["-e", "console.error('no such port')"], log);
    const never = async () => false;
    await expect(untilReady("it", server, never)).rejects.toThrow(/it ended \(exit code 0\) [\s\S]*no such port/u);
  });
});
