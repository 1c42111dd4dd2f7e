/** Vitest's side of the summary: counts what ran and hands it to scripts/test.ts, or prints it itself. */
import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from "vitest/node";
import type { FaultRow } from "./fault-table.ts";
import { type SuiteSummary, type Summary, summaryLines, summaryVariable } from "./summary.ts";

function firstLine(error: SerializedError): string {
  return (error.message ?? String(error)).split("\n", 1).join("");
}

/** The test's name, and the first thing that went wrong in it: all that a log cut to its end may still show. */
function failure(test: TestCase): string {
  const { state, errors } = test.result();
  if (state !== "passed" && state !== "failed") return `${test.fullName}: never ended`;
  const [error] = errors ?? [];
  return error === undefined ? test.fullName : `${test.fullName}: ${firstLine(error)}`;
}

function summarise(module: TestModule): SuiteSummary {
  const failed = module.errors().map(firstLine);
  for (const suite of module.children.allSuites()) {
    failed.push(...suite.errors().map((error) => `${suite.fullName}: ${firstLine(error)}`));
  }
  const skipped: string[] = [];
  const again: string[] = [];
  let passed = 0;
  for (const test of module.children.allTests()) {
    const state = test.result().state;
    if (state === "passed") passed += 1;
    else if (state === "skipped") skipped.push(test.fullName);
    else failed.push(failure(test));
    if (test.diagnostic()?.flaky) again.push(failure(test));
  }
  // A file that broke in a way that left no error of its own must not count as nothing.
  if (failed.length === 0 && !module.ok()) failed.push("the file failed");
  return { file: module.relativeModuleId, passed, failed, skipped, again };
}

function faultRows(module: TestModule): readonly FaultRow[] {
  return [...module.children.allTests()].flatMap((test) => test.meta().faultRows ?? []);
}

export class SummaryReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandled: ReadonlyArray<SerializedError>,
    reason: "passed" | "interrupted" | "failed",
  ): void {
    const errors = unhandled.map((error) => `unhandled: ${firstLine(error)}`);
    if (reason === "interrupted") errors.push("the run was interrupted");
    const services = this.#vitest?.getRootProject().getProvidedContext().servicesUsed ?? [];
    const summary: Summary = {
      suites: modules.map(summarise),
      checks: [],
      errors,
      services,
      faults: modules.flatMap(faultRows),
    };
    const file = process.env[summaryVariable];
    if (file !== undefined) writeFileSync(file, JSON.stringify(summary));
    // After vitest's own summary, which the default reporter writes in this same turn.
    else for (const line of summaryLines(summary)) console.log(line);
  }
}
