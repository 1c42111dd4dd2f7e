import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";
import { SummaryReporter } from "./test/support/reporter.ts";

/** Suites that start real processes, after all the others: each waits more than it works, so three files at a time. */
const processes = ["test/e2e/**/*.test.ts", "test/browser/**/*.test.ts", "test/faults/**/*.test.ts"];
/** Of them those that reckon how long it takes to recover, or at what rate webhooks go, two files at a time. */
const recoveries = [
  ...["distributed", "distributed-rows", "power-loss", "process", "receivers"].map(
    (name) => `test/faults/${name}.test.ts`,
  ),
  "test/e2e/endpoints.test.ts",
];
/** Suites that measure time, and those whose own servers take a whole core: one file at a time, last. */
const alone = [
  ...["kill", "kill-moments", "overload"].map((name) => `test/faults/${name}.test.ts`),
  ...["bench", "demo", "distributed-pipeline", "fairness", "pipeline"].map((name) => `test/e2e/${name}.test.ts`),
  "test/hostile/process/**/*.test.ts",
];

const common: TestProjectInlineConfiguration["test"] = {
  environment: "node",
  // Processes, not threads: the code under test starts worker threads, and some suites send signals.
  pool: "forks",
  execArgv: ["--disable-warning=ExperimentalWarning"],
  testTimeout: 20_000,
  hookTimeout: 20_000,
  // Once more, for what a busy machine breaks. The end of the run names each test that needed it, and its first error.
  retry: 1,
};

export default defineConfig({
  test: {
    reporters: ["default", new SummaryReporter()],
    globalSetup: "test/support/services/setup.ts",
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...common,
          name: "together",
          // Vitest's own choice on two cores is one; these wait for servers and disks as much as they work.
          maxWorkers: 3,
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [...processes, ...alone],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: "processes",
          include: processes,
          exclude: [...recoveries, ...alone],
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: "recoveries",
          include: recoveries,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...common,
          name: "alone",
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
