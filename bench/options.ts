import { parseArgs } from "node:util";

export const USAGE = `npm run bench -- [options]

  --rounds N         measured rounds, each bare, 1 → 1, bare, 1 → 10 (default 5)
  --events N         events of a 1 → 1 window; a 1 → 10 window has a fifth of them, bare twice as many (default 10000)
  --latency-events N events at 50 a second (default 500)
  --only NAMES       some of one,ten,latency (default: all)
  --distributed      the distributed deployment beside the embedded one, in turns; starts a broker and a store
  --floor            the least that a pipeline can do (bench/floor) beside passbus, in turns
  --max-in-flight N  of each subscription (default 64, as passbus's own)
  --budget S         no new round begins that would end later, but for the first three (default 75)
  --json             the result as JSON on the standard output
  --profile FOLDER   CPU profiles of passbus's threads into FOLDER, and where their time went; the figures suffer
  --strict           exit 2 where a ratio is below its goal
  --smoke            a short run that measures nothing reliable: does the bench still work?
  --patience S       how long a window may take before what is missing counts as lost (default 60)
  --lose N           the sink leaves N webhooks out of its count, to show that the bench notices`;

export const PARTS = ["one", "ten", "latency"] as const;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  readonly rounds: number;
  readonly events: number;
  readonly latencyEvents: number;
  readonly distributed: boolean;
  readonly floor: boolean;
  readonly parts: readonly Part[];
  readonly maxInFlight: number;
  readonly budgetMs: number;
  readonly json: boolean;
  readonly profileFolder?: string;
  readonly strict: boolean;
  readonly patienceMs: number;
  readonly lose: number;
}

/** Throws an Error that names the option, for an unknown one or a value that is none. */
export function readOptions(args: readonly string[]): BenchOptions | "help" {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const numbers = {
    rounds: text,
    events: text,
    "latency-events": text,
    "max-in-flight": text,
    patience: text,
    budget: text,
    lose: text,
  };
  const others = {
    only: text,
    json: flag,
    profile: text,
    strict: flag,
    smoke: flag,
    help: flag,
    distributed: flag,
    floor: flag,
  };
  const { values } = parseArgs({ args: [...args], options: { ...numbers, ...others } });
  if (values.help === true) return "help";
  const smoke = values.smoke === true;
  const number = (name: keyof typeof numbers, usual: number, least: number): number => {
    const given = values[name];
    const value = given === undefined ? usual : Number(given);
    if (Number.isInteger(value) && value >= least) return value;
    throw new Error(`--${name} must be a whole number of at least ${least}`);
  };
  return {
    rounds: number("rounds", smoke ? 1 : 5, 1),
    events: number("events", smoke ? 200 : 10_000, 10),
    latencyEvents: number("latency-events", smoke ? 20 : 500, 1),
    distributed: values.distributed === true,
    floor: values.floor === true,
    parts: parts(values.only),
    maxInFlight: number("max-in-flight", 64, 1),
    budgetMs: number("budget", 75, 1) * 1_000,
    json: values.json === true,
    ...(values.profile === undefined ? {} : { profileFolder: values.profile }),
    strict: values.strict === true,
    patienceMs: number("patience", smoke ? 15 : 60, 1) * 1_000,
    lose: number("lose", 0, 0),
  };
}

function parts(only: string | undefined): readonly Part[] {
  if (only === undefined) return PARTS;
  return only.split(",").map((name) => {
    const part = PARTS.find((known) => known === name.trim());
    if (part === undefined) throw new Error(`--only takes some of ${PARTS.join(",")}`);
    return part;
  });
}
