/** The end of a test run: what ran, what failed, what was skipped and why, and the last line. */
import { type FaultRow, faultTableLines } from "./fault-table.ts";
import { missingThing } from "./requirements.ts";

export interface SuiteSummary {
  readonly file: string;
  readonly passed: number;
  /** Full names of the tests that failed, and what went wrong outside a test. */
  readonly failed: readonly string[];
  /** Full names of the tests that did not run. */
  readonly skipped: readonly string[];
  /** Full names of the tests that failed once and passed when they were run again, each with what went wrong. */
  readonly again?: readonly string[];
}

export interface CheckSummary {
  readonly name: string;
  readonly ok: boolean;
}

export interface Summary {
  suites: readonly SuiteSummary[];
  checks: readonly CheckSummary[];
  /** The servers that the suites ran against. */
  services?: readonly string[];
  /** What the fault suites measured. */
  faults?: readonly FaultRow[];
  /** What failed and belongs to no suite: an unhandled rejection, a run that broke down. */
  errors: string[];
}

/** Where vitest's reporter leaves the summary for scripts/test.ts to print after vitest has ended. */
export const summaryVariable = "PASSBUS_TEST_SUMMARY";

export function emptySummary(): Summary {
  return { suites: [], checks: [], errors: [] };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

export function failureCount(summary: Summary): number {
  const checks = summary.checks.filter((check) => !check.ok).length;
  return checks + summary.errors.length + sum(summary.suites.map((suite) => suite.failed.length));
}

/** One line for each skipped suite, or for each skipped test that stands alone. */
function skippedLines(suite: SuiteSummary): string[] {
  const counts = new Map<string, number>();
  for (const fullName of suite.skipped) {
    const found = missingThing(fullName);
    const label = found
      ? `${suite.file} > ${found.suite}: needs ${found.missing}`
      : `${suite.file} > ${fullName}: no reason given`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return [...counts].map(([label, count]) => `  SKIPPED (${count}) ${label}`);
}

function suiteLine(suite: SuiteSummary): string {
  const parts = [`${suite.passed} passed`];
  if (suite.failed.length > 0) parts.push(`${suite.failed.length} FAILED`);
  if (suite.skipped.length > 0) parts.push(`${suite.skipped.length} SKIPPED`);
  return `  ${suite.file}: ${parts.join(", ")}`;
}

/** The block at the end of the output. Its last line is `N passed, N failed` (`, N skipped`). */
export function summaryLines(summary: Summary): string[] {
  const suites = [...summary.suites].sort((a, b) => (a.file < b.file ? -1 : 1));
  const lines = ["", "What ran:"];
  lines.push(...summary.checks.map((check) => `  check: ${check.name} ${check.ok ? "ok" : "FAILED"}`));
  lines.push(...(summary.services ?? []).map((service) => `  server: ${service}`));
  lines.push(...suites.map(suiteLine));
  const faults = faultTableLines(summary.faults ?? []);
  if (faults.length > 0) lines.push("", "Faults, and what came of them (docs/reliability.md):", ...faults);
  const failures = [
    ...suites.flatMap((suite) => suite.failed.map((name) => `${suite.file} > ${name}`)),
    ...summary.errors,
  ];
  if (failures.length > 0) lines.push("", "FAILED:", ...failures.map((name) => `  ${name}`));
  const again = suites.flatMap((suite) => (suite.again ?? []).map((name) => `${suite.file} > ${name}`));
  if (again.length > 0) {
    lines.push("", "FAILED ONCE, passed when run again (unsteady: look into it):", ...again.map((name) => `  ${name}`));
  }
  const skips = suites.flatMap(skippedLines);
  if (skips.length > 0) {
    const rule = "!".repeat(72);
    lines.push("", rule, "NOT EVERYTHING RAN. Skipped, and what was missing:", ...skips, rule);
  }
  const passed = sum(suites.map((suite) => suite.passed)) + summary.checks.filter((check) => check.ok).length;
  const skipped = sum(suites.map((suite) => suite.skipped.length));
  const last = `${passed} passed, ${failureCount(summary)} failed`;
  lines.push("", skipped > 0 ? `${last}, ${skipped} skipped` : last);
  return lines;
}
