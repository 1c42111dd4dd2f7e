/**
 * The table of faults: every fault that a suite makes leaves a row here, and the run prints them all at its end, as
 * docs/reliability.md holds them. A row goes with its test to vitest's reporter (reporter.ts).
 */
import type { TaskMeta } from "vitest";
import type { Findings } from "./event-checker.ts";

export interface FaultRow {
  readonly row: string;
  /** Events whose publication was answered OK. */
  readonly accepted: number;
  /** Different webhooks that healthy endpoints took. */
  readonly delivered: number;
  readonly lost: number;
  readonly repeated: number;
  /** In flight or unflushed at the fault, counted: no more than so many may be repeated. */
  readonly repeatBound: number;
  /**
   * From the fault's end (readiness, SIGCONT, space) to the last webhook, first or repeated, of what had been
   * accepted before it. Negative: it was through before. Absent where nothing had to come back.
   */
  readonly recoveredMs?: number;
}

declare module "vitest" {
  interface TaskMeta {
    faultRows?: FaultRow[];
  }
}

export function faultRow(row: string, findings: Findings, recoveredMs?: number): FaultRow {
  const { accepted, delivered, lost, repeats, repeatBound } = findings;
  const figures = { accepted, delivered, lost: lost.length, repeated: repeats.length, repeatBound };
  return { row, ...figures, ...(recoveredMs === undefined ? {} : { recoveredMs: Math.round(recoveredMs) }) };
}

/** Puts a row into the run's table. `task` is the test's own, from its context. */
export function recordFault({ meta }: { readonly meta: TaskMeta }, row: FaultRow): void {
  meta.faultRows = [...(meta.faultRows ?? []), row];
}

const HEADINGS = ["fault", "accepted", "delivered", "lost", "repeated", "bound", "recovered"] as const;

/** As Markdown; nothing where there are no rows. */
export function faultTableLines(rows: readonly FaultRow[]): readonly string[] {
  if (rows.length === 0) return [];
  const texts = rows.map(({ row, accepted, delivered, lost, repeated, repeatBound, recoveredMs }) => [
    row,
    ...[accepted, delivered, lost, repeated, repeatBound].map(String),
    recoveredMs === undefined ? "–" : `${recoveredMs} ms`,
  ]);
  const widths = HEADINGS.map((heading, at) =>
    Math.max(heading.length, ...texts.map((cells) => cells[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, at) => (at === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(HEADINGS), rule, ...texts.map(line)];
}
