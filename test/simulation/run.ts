/**
 * Runs histories: `node test/simulation/run.ts [--histories 100000] [--seconds 60] [--seed 1] [--trace]`.
 *
 * Seeds count up from `--seed`. It stops at `--histories` or `--seconds`, whichever comes first, and at the first
 * violation; then it prints the seed and what replays it, and exits with 1. `--trace` runs one history and prints all of it.
 */
import { parseArgs } from "node:util";
import { type HistoryResult, runHistory } from "./history.ts";
import { TROUBLES } from "./scenario.ts";
import { emptyDatabase } from "./store.ts";

export interface Summary {
  readonly histories: number;
  readonly elapsedMs: number;
  readonly virtualMs: number;
  /** How often each fault and each sort of call happened. */
  readonly counts: ReadonlyMap<string, number>;
  /** The first history that broke a rule. */
  readonly broken?: HistoryResult;
}

export interface RunOptions {
  readonly firstSeed: number;
  readonly histories: number;
  readonly limitMs: number;
  readonly onProgress?: (histories: number, elapsedMs: number) => void;
}

const PROGRESS_EVERY_MS = 10_000;
/** A database keeps each history's prepared statements until it is closed. */
const HISTORIES_A_DATABASE = 50;
/** Histories in which every sort of trouble must have come up. */
const ENOUGH = 1_000;

export async function runHistories({ firstSeed, histories, limitMs, onProgress }: RunOptions): Promise<Summary> {
  const beganMs = performance.now();
  const counts = new Map<string, number>();
  let database = emptyDatabase();
  let virtualMs = 0;
  let toldMs = 0;
  for (let done = 0; ; done++) {
    const elapsedMs = performance.now() - beganMs;
    if (done === histories || elapsedMs > limitMs) return { histories: done, elapsedMs, virtualMs, counts };
    if (elapsedMs - toldMs > PROGRESS_EVERY_MS) {
      toldMs = elapsedMs;
      onProgress?.(done, elapsedMs);
    }
    if (done % HISTORIES_A_DATABASE === HISTORIES_A_DATABASE - 1) {
      database.close();
      database = emptyDatabase();
    }
    const result = await runHistory(firstSeed + done, undefined, database);
    virtualMs += result.virtualMs;
    for (const [what, count] of result.counts) counts.set(what, (counts.get(what) ?? 0) + count);
    if (result.violations.length > 0) {
      return { histories: done + 1, elapsedMs: performance.now() - beganMs, virtualMs, counts, broken: result };
    }
  }
}

/** What a person needs to see the same again. */
export function replayText({ seed, violations }: HistoryResult): string {
  const told = violations.slice(0, 5).map(({ rule, message, atMs }) => `  ${rule}, at ${atMs} ms: ${message}`);
  return [`seed ${seed} breaks a rule:`, ...told, `replay: npm run simulate -- --seed ${seed} --trace`].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      histories: { type: "string", default: "100000" },
      seconds: { type: "string", default: "86400" },
      seed: { type: "string", default: "1" },
      trace: { type: "boolean", default: false },
    },
  });
  const firstSeed = Number(values.seed);
  if (values.trace) {
    const result = await runHistory(firstSeed, (line) => console.log(line));
    console.log(result.violations.length === 0 ? "no rule was broken" : replayText(result));
    process.exitCode = result.violations.length === 0 ? 0 : 1;
    return;
  }
  const { histories, elapsedMs, virtualMs, counts, broken } = await runHistories({
    firstSeed,
    histories: Number(values.histories),
    limitMs: Number(values.seconds) * 1_000,
    onProgress: (done, ms) => console.log(`${done} histories in ${(ms / 1_000).toFixed(0)} s`),
  });
  const happened = [...counts].sort(([left], [right]) => left.localeCompare(right));
  for (const [what, count] of happened) console.log(`${String(count).padStart(10)}  ${what}`);
  const aMinute = Math.round((histories * 60_000) / elapsedMs);
  const days = (virtualMs / 86_400_000).toFixed(1);
  console.log(
    `${histories} histories in ${(elapsedMs / 1_000).toFixed(1)} s (${aMinute} a minute), ${days} days of their own time`,
  );
  const never = TROUBLES.filter((trouble) => !counts.has(trouble));
  const isIdle = histories >= ENOUGH && never.length > 0;
  if (isIdle) console.log(`never came up, so nothing was shown of it: ${never.join(", ")}`);
  if (broken === undefined && !isIdle) return;
  if (broken !== undefined) console.log(replayText(broken));
  process.exitCode = 1;
}

if (import.meta.main) await main();
