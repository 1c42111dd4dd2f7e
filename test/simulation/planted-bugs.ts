/**
 * Proof that the simulation can find what it looks for: `npm run simulate:bugs [-- --only <name>] [--seconds 60]`.
 *
 * Each mistake is planted into a copy of the sources, never into the tree itself, and the simulation runs there. It must
 * break a rule within a minute, and the sources as they are must not. A patch that no longer fits fails the run: then
 * it is to be written anew.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PLANTS, type Plant } from "./plants.ts";

const root = join(import.meta.dirname, "../..");
const COPIED = ["src", "gen", "test", "package.json", "tsconfig.json"];

/** The sources, in a directory of their own. */
function copyOfSources(): string {
  const directory = mkdtempSync(join(tmpdir(), "passbus-planted-"));
  for (const name of COPIED) cpSync(join(root, name), join(directory, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  return directory;
}

interface Found {
  readonly rules: readonly string[];
  readonly text: string;
}

/** Runs the simulation in a copy until it breaks a rule, or for `seconds`. */
function simulate(directory: string, seconds: number): Promise<Found> {
  const args = ["--disable-warning=ExperimentalWarning", "test/simulation/run.ts", "--seconds", String(seconds)];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code !== 0 && code !== 1) return reject(new Error(`the simulation ended with ${String(code)}`));
      const rules = [...output.matchAll(/^ {2}([a-z ]+), at \d+ ms:/gmu)].map(([, rule = ""]) => rule);
      resolve({ rules: [...new Set(rules)], text: /^\d+ histories in \S+ s(?= \()/mu.exec(output)?.[0] ?? output });
    });
  });
}

/** What is wrong; undefined where the mistake was found. */
async function judge(plant: Plant, directory: string, seconds: number): Promise<string | undefined> {
  const path = join(directory, plant.file);
  const source = readFileSync(path, "utf8");
  const places = source.split(plant.find).length - 1;
  if (places !== 1) return `the patch fits ${places} places of ${plant.file}`;
  writeFileSync(
    path,
    source.replace(plant.find, () => plant.replace),
  );
  try {
    const { rules, text } = await simulate(directory, seconds);
    if (rules.length === 0) return `not found: ${text}`;
    if (!rules.some((rule) => plant.breaks.includes(rule))) return `found by another rule: ${rules.join(", ")}`;
    console.log(`${plant.name}: found by "${rules.join('", "')}": ${text} (${plant.what})`);
    return undefined;
  } finally {
    writeFileSync(path, source);
  }
}

const { values } = parseArgs({
  options: { only: { type: "string" }, seconds: { type: "string", default: "60" } },
});
const seconds = Number(values.seconds);
const directory = copyOfSources();
let failures = 0;
try {
  const plants = PLANTS.filter(({ name }) => values.only === undefined || name === values.only);
  if (plants.length === 0) throw new Error(`no such plant; there are ${PLANTS.map(({ name }) => name).join(", ")}`);
  const clean = await simulate(directory, Math.min(seconds, 20));
  console.log(`as it is: ${clean.text}, ${clean.rules.length === 0 ? "no rule was broken" : clean.rules.join(", ")}`);
  if (clean.rules.length > 0) failures++;
  for (const plant of plants) {
    const wrong = await judge(plant, directory, seconds);
    if (wrong === undefined) continue;
    failures++;
    console.log(`${plant.name}: FAILED, ${wrong} (${plant.what})`);
  }
  console.log(`${plants.length - failures} of ${plants.length} planted mistakes found within ${seconds} s each`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
