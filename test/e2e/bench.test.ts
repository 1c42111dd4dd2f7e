/** The benchmark in its smallest form, so that it can't rot: real processes, real figures, nothing said about speed. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { median, percentile, ratiosToNeighbours } from "../../bench/figures.ts";
import type { BenchResult } from "../../bench/report.ts";

const script = join(import.meta.dirname, "..", "..", "bench", "run.ts");
const TIMEOUT_MS = 90_000;

interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "passbus-bench-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function bench(...args: readonly string[]): Promise<Ended> {
  const all = ["--disable-warning=ExperimentalWarning", script, "--smoke", ...args];
  const env = { ...process.env, TMPDIR: folder };
  return new Promise((resolve) => {
    execFile(process.execPath, all, { timeout: TIMEOUT_MS, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? null), stdout, stderr });
    });
  });
}

describe("npm run bench", () => {
  it(
    "measures both shapes, bare undici, latency and the floor, and leaves nothing behind",
    async () => {
      const ended = await bench("--json", "--floor");
      expect(ended, ended.stderr).toMatchObject({ code: 0 });
      const { embedded: result, floor } = JSON.parse(ended.stdout) as Record<"embedded" | "floor", BenchResult>;
      // 200 to one endpoint, 40 to ten, 20 paced.
      expect(result).toMatchObject({ deliveries: 620, repeats: 0, rounds: 1 });
      expect(result.bodyBytes).toBeGreaterThan(1_100);
      expect(result.bodyBytes).toBeLessThan(1_300);
      expect(result.shapes.map(({ name }) => name)).toEqual(["one", "ten"]);
      // Its webhooks are verified and counted as passbus's are.
      expect(floor).toMatchObject({ deployment: "floor", deliveries: 620, repeats: 0 });
      for (const shape of [...result.shapes, ...floor.shapes]) {
        expect(shape.lowestRatio).toBeGreaterThan(0);
        expect(shape.ratio).toBeGreaterThanOrEqual(shape.lowestRatio);
        expect(shape.ratio).toBeLessThanOrEqual(shape.highestRatio);
        expect(shape.mainThreadCpuSecondsPer1000).toBeGreaterThan(0);
        expect(shape.cpuSecondsPer1000).toBeGreaterThan(shape.mainThreadCpuSecondsPer1000);
      }
      const { p50Ms = 0, p99Ms = 0, maxMs = 0 } = result.latency ?? {};
      expect(p50Ms).toBeGreaterThan(0);
      expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
      expect(maxMs).toBeGreaterThanOrEqual(p99Ms);
      expect(result.peakBytes).toBeGreaterThan(30 * 1_024 * 1_024);
      expect(readdirSync(folder)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    "fails and says how many where webhooks are missing",
    async () => {
      const ended = await bench("--only", "one", "--lose", "3", "--patience", "4");
      expect(ended.code).toBe(1);
      expect(ended.stderr).toContain("3 of 200 webhooks are missing");
      expect(ended.stdout).toBe("");
      expect(readdirSync(folder)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it("names an option that is none", async () => {
    const ended = await bench("--rounds", "few");
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain("--rounds must be a whole number of at least 1");
  });
});

describe("the figures", () => {
  it("takes medians of odd and even counts", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 7])).toBe(6);
  });

  it("takes percentiles by nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile([7], 0.99)).toBe(7);
  });

  it("compares each window with the bare ones on both its sides", () => {
    const rates = [10, 6, 20, 16, 60, 8, 40].map((perSecond, at) => {
      return { name: at % 2 === 0 ? "bare" : at === 3 ? "ten" : "one", perSecond };
    });
    expect(ratiosToNeighbours(rates, "one")).toEqual([6 / 15, 8 / 50]);
    expect(ratiosToNeighbours(rates, "ten")).toEqual([16 / 40]);
    expect(() => ratiosToNeighbours(rates.slice(1), "one")).toThrow("no bare neighbours");
  });
});
