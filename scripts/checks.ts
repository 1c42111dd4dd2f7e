/**
 * The static checks: what `npm run check` runs and `npm test` counts. Each is a name and a function that
 * answers what is wrong, or nothing.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { audit, supply } from "./supply.ts";

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  readonly durationMs: number;
  /** What the tool said; empty when it is content. */
  readonly output: string;
  /** Why it could not be run. */
  readonly skipped?: string;
}

const root = join(import.meta.dirname, "..");
const releasedDescriptor = "proto/released.binpb";

/** Runs a tool of node_modules/.bin; answers its output if it failed, else nothing. */
function tool(command: string, ...args: readonly string[]): Promise<string> {
  const bin = join(root, "node_modules", ".bin");
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
  return new Promise((resolve) => {
    const options = { cwd: root, env, maxBuffer: 64 * 1024 * 1024 };
    execFile(join(bin, command), args, options, (error, stdout, stderr) => {
      if (error === null) return resolve("");
      resolve(`${stdout}${stderr}`.trim() || error.message);
    });
  });
}

/** The definitions may only grow: compared with the descriptor of the last release. */
async function breaking(): Promise<string> {
  if (!existsSync(join(root, releasedDescriptor))) {
    return `${releasedDescriptor} is missing; make it with: npm run release:descriptor`;
  }
  return tool("buf", "breaking", "--against", releasedDescriptor);
}

async function filesUnder(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  if (!existsSync(folder)) return files;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(relative(folder, path), await readFile(path));
  }
  return files;
}

/** gen/ is what `npm run generate` would write now. */
async function drift(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "passbus-gen-"));
  try {
    const failure = await tool("buf", "generate", "--output", folder);
    if (failure !== "") return failure;
    const wanted = await filesUnder(join(folder, "gen"));
    const found = await filesUnder(join(root, "gen"));
    const wrong: string[] = [];
    for (const [path, content] of wanted) {
      const present = found.get(path);
      if (present === undefined) wrong.push(`gen/${path} is missing`);
      else if (!content.equals(present)) wrong.push(`gen/${path} differs`);
    }
    for (const path of found.keys()) {
      if (!wanted.has(path)) wrong.push(`gen/${path} comes from no definition`);
    }
    if (wrong.length === 0) return "";
    return [...wrong.sort(), "write it anew with: npm run generate"].join("\n");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What is wrong, or nothing; or why nobody can say. */
type Verdict = string | { readonly skipped: string };

const checks: ReadonlyArray<readonly [name: string, run: () => Promise<Verdict>]> = [
  ["biome", () => tool("biome", "ci", "--error-on-warnings", "--colors=off")],
  ["tsc", () => tool("tsc", "--noEmit", "--pretty", "false")],
  // Another library (the browser's), so another program.
  ["tsc of the dashboard", () => tool("tsc", "--noEmit", "--pretty", "false", "-p", "src/dashboard")],
  ["knip", () => tool("knip", "--no-progress", "--treat-config-hints-as-errors")],
  ["buf lint", () => tool("buf", "lint")],
  ["buf format", () => tool("buf", "format", "--diff", "--exit-code")],
  ["buf breaking", breaking],
  ["gen drift", drift],
  ["supply", supply],
  ["npm audit", audit],
];

/** Runs every check, one after the other, and prints a line for each as it ends. */
export async function runChecks(print: (line: string) => void): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const [name, run] of checks) {
    const started = performance.now();
    const verdict = await run();
    const durationMs = performance.now() - started;
    const result: CheckResult =
      typeof verdict === "string"
        ? { name, output: verdict, ok: verdict === "", durationMs }
        : { name, output: "", ok: true, skipped: verdict.skipped, durationMs };
    results.push(result);
    if (!result.ok) print(result.output);
    print(checkLine(result));
  }
  return results;
}

export function checkLine(result: CheckResult): string {
  const seconds = (result.durationMs / 1000).toFixed(1);
  if (result.skipped !== undefined) return `check: ${result.name} SKIPPED: ${result.skipped}`;
  return `check: ${result.name} ${result.ok ? "ok" : "FAILED"} (${seconds} s)`;
}
