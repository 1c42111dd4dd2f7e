/** The commands as processes: what the shell, the signals and the file system make of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, testApi } from "../support/api.ts";
import { CHILD_ENV } from "../support/child-env.ts";
import { eventually, within } from "../support/within.ts";

const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");
const LIMIT_MS = 60_000;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-command-line-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

class Run {
  out = "";
  err = "";
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
      // Port 1 is nobody's: no server of the machine is mistaken for one of the test.
      env: { ...CHILD_ENV, PASSBUS_DATA_DIR: directory, PASSBUS_LISTEN: "127.0.0.1:1", ...environment },
    });
    this.child.stdout?.on("data", (chunk) => {
      this.out += chunk;
    });
    this.child.stderr?.on("data", (chunk) => {
      this.err += chunk;
    });
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
  }

  async code(): Promise<number | null> {
    return within(LIMIT_MS, "the command's end", this.ended);
  }
}

async function json(...args: readonly string[]) {
  const run = new Run([...args, "--json"]);
  const code = await run.code();
  const lines = run.out.split("\n").filter((line) => line !== "");
  return { code, err: run.err, said: lines.map((line) => JSON.parse(line)) };
}

describe("the commands as processes", { timeout: 2 * LIMIT_MS }, () => {
  it("doctor leaves an empty directory empty, and finds what init made", async () => {
    const before = await json("doctor");
    expect([before.code, before.err]).toEqual([0, "nothing is wrong\n"]);
    expect(readdirSync(directory)).toEqual([]);
    const made = await json("init");
    expect([made.code, made.said.at(-1)]).toEqual([0, { did: "made", what: "an admin's key of default/production" }]);
    const after = await json("doctor");
    expect(after.said).toContainEqual({ check: "sealed secrets", verdict: "ok", what: "0 can be opened" });
    expect(after.said.filter(({ check, verdict }) => check === "store and log" && verdict === "ok")).toHaveLength(3);
  });

  it("a wrong setting exits with 2 and is named", async () => {
    const run = new Run(["config", "--check"], { PASSBUS_LISTEN: "nowhere" });
    expect([await run.code(), run.err]).toEqual([2, expect.stringContaining("PASSBUS_LISTEN: must be")]);
  });

  it("SIGINT ends publish with what was sent answered, and 130, while its input is still open", async () => {
    await using api = await testApi();
    const run = new Run(["publish", "--stream", "--url", api.url], { PASSBUS_KEY: ADMIN_KEY });
    run.child.stdin?.write('{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"}}\n');
    await eventually(LIMIT_MS, "the event", () => (api.stage.records.length > 0 ? true : undefined));
    run.child.kill("SIGINT");
    expect([await run.code(), run.err]).toEqual([130, expect.stringContaining("stopped: published 1 event\n")]);
  });
});
