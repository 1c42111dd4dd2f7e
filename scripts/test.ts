/**
 * `npm test`: the static checks, then every suite, then what ran and what did not, by name. The last line is
 * `N passed, N failed` (`, N skipped`) over both. Arguments go to vitest: `npm test -- src/kernel`.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { required } from "../test/support/requirements.ts";
import { emptySummary, failureCount, type Summary, summaryLines, summaryVariable } from "../test/support/summary.ts";
import { runChecks } from "./checks.ts";

const root = join(import.meta.dirname, "..");

interface RunFiles {
  readonly summary: string;
  /** Where Node keeps what it compiled, for hundreds of processes that start from the same modules. */
  readonly compiled: string;
}

/** Runs vitest with its output on ours; answers its exit code, or the signal that ended it. */
function vitest(files: RunFiles, args: readonly string[]): Promise<number | string> {
  const entry = join(root, "node_modules", "vitest", "vitest.mjs");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, "run", ...args], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, [summaryVariable]: files.summary, NODE_COMPILE_CACHE: files.compiled },
    });
    // A run that is ended from outside ends vitest too, and with it the servers that vitest started.
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, forward);
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, forward);
      resolve(signal ?? code ?? 1);
    });
  });
}

/** What vitest's reporter wrote; a run that wrote nothing broke down and counts as one failure. */
async function readSummary(file: string, exit: number | string): Promise<Summary> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Summary;
  } catch {
    return { ...emptySummary(), errors: [`vitest ended (${exit}) before its summary`] };
  }
}

// Fails here on a misspelt name, which no suite would notice.
required();
const checks = await runChecks((line) => console.log(line));
const folder = await mkdtemp(join(tmpdir(), "passbus-test-"));
const file = join(folder, "summary.json");
const exit = await vitest({ summary: file, compiled: join(folder, "compiled") }, process.argv.slice(2));
const summary: Summary = { ...(await readSummary(file, exit)), checks };
await rm(folder, { recursive: true, force: true });
if (exit !== 0 && failureCount(summary) === 0) {
  summary.errors.push(`vitest ended with ${exit}, though no test failed`);
}
for (const line of summaryLines(summary)) console.log(line);
process.exitCode = failureCount(summary) === 0 ? 0 : 1;
