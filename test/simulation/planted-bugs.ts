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

interface Plant {
  readonly name: string;
  /** What the mistake is, for people. */
  readonly what: string;
  readonly file: string;
  /** Stands once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Rules of the simulation, one of which must break. */
  readonly breaks: readonly string[];
}

const PLANTS: readonly Plant[] = [
  {
    name: "commit-before-durable",
    what: "a position passes records whose work is still open",
    file: "src/intake/offset-window.ts",
    find: "if (entry === undefined || !entry.released) break;",
    replace: "if (entry === undefined) break;",
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "lease-without-fencing",
    what: "an outcome is taken whatever fence and run it names",
    file: "src/adapters/sqlite/deliveries.ts",
    find: "if (known.fence !== fence || known.run !== run || known.status !== ATTEMPTING) {",
    replace: "if (known.status !== ATTEMPTING) {",
    breaks: ["stale write", "fence"],
  },
  {
    name: "order-lost-on-retry",
    what: "the next of a pass goes while the one before it waits for its retry",
    file: "src/delivery/chains.ts",
    find: `      chain.openFrom = Math.min(chain.openFrom, entry.sequence);
      this.#move(entry, "leaving");`,
    replace: '      this.#move(entry, "leaving");',
    breaks: ["order"],
  },
  {
    name: "dedupe-on-the-event-alone",
    what: "an event that is stored is taken for done, although a crash came before its deliveries",
    file: "src/delivery/plan.ts",
    find: "const candidates: Candidate[] = [];",
    replace: `if (pending === undefined && known !== undefined) {
      ticket.planned();
      return [];
    }
    const candidates: Candidate[] = [];`,
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "stale-subscriptions",
    what: "subscriptions are read once and never again",
    file: "src/matching/subscription-index.ts",
    find: "if (held === undefined || held.version < (versions[at] ?? 0)) stale.push(tenant);",
    replace: "if (held === undefined || (versions[at] ?? 0) < 0) stale.push(tenant);",
    breaks: ["commit before durable", "lost", "stuck", "undue"],
  },
  {
    name: "no-joining",
    what: "a record that finds its delivery in flight does not wait for it (rule 1)",
    file: "src/delivery/plan.ts",
    find: "if (joined !== undefined) joined.waiters.push(ticket.hold());",
    replace: "if (joined !== undefined) continue;",
    breaks: ["commit before durable", "lost"],
  },
  {
    name: "stale-sends",
    what: "what came from a partition that was lost is sent all the same (rule 2)",
    file: "src/delivery/turn.ts",
    find: "return !isFromLog(work) || this.#deps.isFresh(work.assignment);",
    replace: "return true;",
    breaks: ["repeat", "order"],
  },
  {
    name: "sends-of-an-earlier-life",
    what: "what was claimed before others took the worker for dead is sent after it",
    file: "src/delivery/turn.ts",
    find: "return claim === undefined || (holder.isSure && claim.life === holder.life);",
    replace: "return claim === undefined || holder.isSure;",
    breaks: ["repeat", "order"],
  },
  {
    name: "terminal-overwritten",
    what: "a first outcome that is delivered takes a row that is terminal already (rule 3)",
    file: "src/adapters/sqlite/deliveries.ts",
    find: "const delivers = status === DELIVERED && known.run === 1 && !isTerminal(known.status);",
    replace: "const delivers = status === DELIVERED && known.run === 1;",
    breaks: ["terminal state"],
  },
  {
    name: "flush-given-up",
    what: "a batch whose flush failed is forgotten",
    file: "src/delivery/recorder.ts",
    find: "const { conflicts, applied } = await this.#timed(() => this.#deps.store.flush({ events, deliveries }));",
    replace: `const nothing = { conflicts: [], applied: deliveries.map(() => false) };
    const { conflicts, applied } = await this.#timed(() =>
      this.#deps.store.flush({ events, deliveries }).catch(() => nothing),
    );`,
    breaks: ["commit before durable", "lost", "unrecorded"],
  },
  {
    name: "held-for-ever",
    what: "held deliveries are not released when their subscription is enabled (rule 8)",
    file: "src/delivery/sweeper.ts",
    find: "for (const move of movesOf(entry, subscription)) await this.#move(entry, move);",
    replace: `for (const move of movesOf(entry, subscription))
        if (move.to !== "waiting") await this.#move(entry, move);`,
    breaks: ["stuck"],
  },
  {
    name: "dropped-by-state",
    what: "DROP is decided by the state at matching, not by when the event was accepted (rule 10)",
    file: "src/matching/subscription-index.ts",
    find: "(span) => span.fromMs <= loggedAtMs && (span.toMs === undefined || loggedAtMs < span.toMs),",
    replace: "(span) => span.toMs === undefined,",
    breaks: ["commit before durable", "lost", "undue"],
  },
  {
    name: "held-in-a-later-run",
    what: "a held delivery of a later run is not released at an ordered subscription (found here on the first day)",
    file: "src/adapters/sqlite/claims.ts",
    find: '"AND (sequence IS NULL OR run > 1)"',
    replace: '"AND (sequence IS NULL OR run > 1) AND sequence IS NULL"',
    breaks: ["stuck"],
  },
  {
    name: "folded-over-another-type",
    what: "conflation passes over an event that is no UPDATED",
    file: "src/delivery/conflation.ts",
    find: "if (isPlainUpdate(row) && isFree)",
    replace: "if (isFree)",
    breaks: ["folded"],
  },
  {
    name: "failure-untold",
    what: "an operational event is not told of a delivery that was given up",
    file: "src/delivery/turn.ts",
    find: "if (isTold) await this.#tellFailed(work, subscription, attempt);",
    replace: "if (!isTold) await this.#tellFailed(work, subscription, attempt);",
    breaks: ["untold"],
  },
];

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
