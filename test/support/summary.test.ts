import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { missingThing, required, requirement } from "./requirements.ts";
import { emptySummary, failureCount, summaryLines } from "./summary.ts";

describe("a requirement", () => {
  // What this run requires is not what these are about.
  beforeEach(() => void vi.stubEnv("PASSBUS_TEST_REQUIRE", ""));
  afterEach(() => void vi.unstubAllEnvs());

  it("leaves the title alone where the thing is there", () => {
    expect(requirement("kafka", () => true).title("order")).toBe("order");
  });

  it("names in the title what is missing, for the summary to find", () => {
    const title = `${requirement("browser", () => false).title("the page")} > loads`;
    const found = { suite: "the page", missing: "browser: no chromium on PATH; .ci/run installs it" };
    expect(missingThing(title)).toEqual(found);
    expect(missingThing("the page > loads")).toBeUndefined();
  });

  it("says why, where the probe knows it, and keeps its note whole", () => {
    const probe = () => ({ missing: "java [17] is not\non PATH" });
    const title = `${requirement("kafka", probe).title("order")} > one`;
    expect(missingThing(title)).toEqual({ suite: "order", missing: "kafka: java [17 is not on PATH" });
  });

  it("refuses a name that no suite can mean", () => {
    expect(required("kafka, grpcurl")).toEqual(["kafka", "grpcurl"]);
    expect(required("")).toEqual([]);
    expect(() => required("kafak")).toThrow(/"kafak", which is none of: kafka/u);
  });
});

describe("the summary", () => {
  const suites = [
    { file: "b.test.ts", passed: 2, failed: ["b > breaks"], skipped: [] },
    {
      file: "a.test.ts",
      passed: 1,
      failed: [],
      skipped: ["order [needs kafka: no broker was found] > one", "alone"],
    },
  ];
  const checks = [
    { name: "tsc", ok: true },
    { name: "knip", ok: false },
  ];

  it("counts tests, checks and stray errors in its last line", () => {
    const summary = { suites, checks, errors: ["unhandled: stray"] };
    expect(failureCount(summary)).toBe(3);
    expect(summaryLines(summary).at(-1)).toBe("4 passed, 3 failed, 2 skipped");
  });

  it("names what passed only when it was run again, and counts it as passed", () => {
    const again = [{ file: "c.test.ts", passed: 1, failed: [], skipped: [], again: ["is soon: not within 5 s"] }];
    const lines = summaryLines({ suites: again, checks, errors: [] });
    expect(lines).toContain("  c.test.ts > is soon: not within 5 s");
    expect(lines.at(-1)).toBe("2 passed, 1 failed");
  });

  it("names every suite that was skipped, and what was missing", () => {
    const lines = summaryLines({ suites, checks, errors: [] });
    expect(lines).toContain("  SKIPPED (1) a.test.ts > order: needs kafka: no broker was found");
    expect(lines).toContain("  SKIPPED (1) a.test.ts > alone: no reason given");
  });

  it("says which servers the suites ran against", () => {
    const lines = summaryLines({ ...emptySummary(), services: ["kafka: Apache Kafka 9"] });
    expect(lines).toContain("  server: kafka: Apache Kafka 9");
  });

  it("says nothing of skips where everything ran", () => {
    const suite = { file: "a.test.ts", passed: 1, failed: [], skipped: [] };
    const lines = summaryLines({ ...emptySummary(), suites: [suite] });
    expect(lines.at(-1)).toBe("1 passed, 0 failed");
    expect(lines.join("\n")).not.toContain("SKIPPED");
  });
});
