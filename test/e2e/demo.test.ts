/** The demo as a person runs it: a process of its own. That it can fail is shown where it judges: src/cli/demo-judge.test.ts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "passbus-demo-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function demo(...args: readonly string[]) {
  // Settings of the shell, good or bad, must not reach the demo's own passbus.
  const env = { ...process.env, TMPDIR: folder, PASSBUS_LISTEN: "nonsense", PASSBUS_LOG_LEVEL: "trace" };
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, "demo", ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
  return { child, said, closed: once(child, "close") };
}

const LIMIT_MS = 60_000;

test("demo --once delivers every sample to every subscription that wants it, and ends with 0", {
  timeout: LIMIT_MS,
}, async () => {
  const { said, closed } = demo("--once");
  expect(await closed).toEqual([0, null]);
  expect(said.err).toBe("");
  expect(said.out).toContain(
    "7 events published, 21 webhooks expected; 21 arrived, verified and DELIVERED in the log\n",
  );
  expect(said.out).toContain("25 requests received; of the webhooks above, 4 came again after a 503\n");
  expect(said.out.trimEnd().endsWith("demo passed")).toBe(true);
  // The retries are seen.
  expect(said.out).toMatch(/^installed +flaky +STANDARD +waiting +503 +yes$/m);
  expect(said.out).toMatch(/^installed +flaky +STANDARD +delivered +503 503 200 +[\d.]+ m?s +yes$/m);
  // One webhook in full.
  expect(said.out).toMatch(/^POST \/crm HTTP\/1\.1$/m);
  expect(said.out).toMatch(/^webhook-signature: v1,[\w+/]{43}=$/m);
  expect(said.out).toMatch(/^x-passkit-signature: [0-9a-f]{64}$/m);
  expect(said.out).toMatch(/^\{"event":"PASS_EVENT_RECORD_CREATED","pass":\{.*\}\}$/m);
  expect(await readdir(folder)).toEqual([]);
});

test("without --once it runs until it is told to stop, and leaves nothing behind", { timeout: LIMIT_MS }, async () => {
  const { child, said, closed } = demo();
  // Past the last sample, and so beginning again.
  await new Promise<void>((resolve) => {
    child.stdout.on("data", () => {
      if (/^scanned .*\n(?:.*\n)*created .* delivered /m.test(said.out)) resolve();
    });
    child.once("close", () => resolve());
  });
  expect(child.exitCode).toBeNull();
  child.kill("SIGINT");
  expect(await closed).toEqual([0, null]);
  expect(said.err).toBe("");
  expect(said.out.trimEnd().endsWith("demo passed")).toBe(true);
  expect(await readdir(folder)).toEqual([]);
});
