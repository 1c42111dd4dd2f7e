/**
 * `passbus doctor`: looks at what passbus needs, and says what is wrong and what to do. It starts nothing and changes
 * nothing, so it may run beside a server. The checks are in doctor-checks.ts and doctor-machine.ts.
 */
import type { Config } from "../config/config.ts";
import { systemClock, waitAtMost } from "../kernel/clock.ts";
import type { Preparation } from "../kernel/preparation.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { checkKeys, checkKeyUse, checkSettings, checkStore, checkTls } from "./doctor-checks.ts";
import { checkClock, checkDataDirectory, checkNames, checkService } from "./doctor-machine.ts";
import { shown } from "./table.ts";

/** `note` is what somebody should know; only `wrong` makes the command fail. */
export type Verdict = "ok" | "note" | "wrong";

export interface Finding {
  readonly verdict: Verdict;
  readonly what: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** What the command asks of the adapters, as main.ts hands it in. */
export interface DoctorDeps {
  readonly preparation: (config: Config) => Preparation & { close(): Promise<void> };
  readonly keyFiles: (config: Config) => readonly string[];
  readonly embeddedStore: (
    config: Config,
  ) => { readonly version: number; readonly newest: number; readonly damage?: string } | undefined;
  readonly encryptionKeyUse: (config: Config) => Promise<
    | {
        readonly newest: string;
        /** Sealed texts by the id of their key. */
        readonly texts: ReadonlyMap<string, number>;
        readonly unopenedCount: number;
        readonly unopened: readonly { readonly subscriptionId: string; readonly keyId: string }[];
      }
    | undefined
  >;
  readonly storeClockAheadMs: (config: Config) => Promise<number | undefined>;
  readonly resolveHost: (host: string) => Promise<readonly string[]>;
}

export interface DoctorOptions {
  readonly url?: string;
  readonly clockUrl?: string;
  readonly resolve?: readonly string[];
  readonly json?: true;
}

/** What a check works with. */
export interface Patient {
  readonly config: Config;
  readonly options: DoctorOptions;
  readonly deps: DoctorDeps;
  readonly terminal: Terminal;
}

type Check = (patient: Patient) => readonly Finding[] | Promise<readonly Finding[]>;

const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ["TLS", checkTls],
  ["data directory", checkDataDirectory],
  ["keys", checkKeys],
  ["store and log", checkStore],
  ["sealed secrets", checkKeyUse],
  ["clock", checkClock],
  ["names", checkNames],
  ["service", checkService],
];

/** A check that takes longer is given up. */
const CHECK_MS = 30_000;

export function doctorCommand(deps: DoctorDeps): AddCommand {
  return (program, terminal) => {
    program
      .command("doctor")
      .description("look at settings, keys, store, log, clock, names and disk, and say what is wrong; changes nothing")
      .option(
        "--url <url>",
        "where a passbus should be answering; left out: PASSBUS_URL, else where the settings say it listens",
      )
      .option("--clock-url <url>", "a web server whose clock is right: its Date is held against this machine's")
      .option("--resolve <host...>", "names that must have addresses, such as those of endpoints")
      .option("--json", "one finding in JSON a line, for programs")
      .action((options: DoctorOptions) => examine(deps, options, terminal));
  };
}

async function examine(deps: DoctorDeps, options: DoctorOptions, terminal: Terminal): Promise<void> {
  let wrong = 0;
  const tell = (check: string, findings: readonly Finding[]) => {
    for (const finding of findings) {
      if (finding.verdict === "wrong") wrong += 1;
      terminal.out(options.json === true ? `${JSON.stringify({ check, ...finding })}\n` : lineOf(check, finding));
    }
  };
  const described = terminal.describeSettings();
  tell("settings", checkSettings(described));
  const { config } = described;
  if (config !== undefined) {
    for (const [name, check] of CHECKS)
      tell(name, await madeIn(CHECK_MS, () => check({ config, options, deps, terminal })));
  }
  if (wrong > 0) throw new CommandFailed(`wrong: ${wrong}; each says above what to do`);
  terminal.err("nothing is wrong\n");
}

/** A check that fails is itself what is wrong. */
async function madeIn(limitMs: number, check: () => ReturnType<Check>): Promise<readonly Finding[]> {
  let findings: readonly Finding[] = [
    {
      verdict: "wrong",
      what: `no answer within ${limitMs / 1_000} s`,
      advice: "see whether what it asks can be reached from here",
    },
  ];
  const checking = (async () => {
    findings = await check();
  })().catch((error: unknown) => {
    findings = [{ verdict: "wrong", what: error instanceof Error ? error.message : String(error) }];
  });
  await waitAtMost(systemClock, limitMs, checking);
  return findings;
}

const WORDS: Readonly<Record<Verdict, string>> = { ok: "ok   ", note: "note ", wrong: "WRONG" };
const CHECK_WIDTH = Math.max(...CHECKS.map(([name]) => name.length));

function lineOf(check: string, { verdict, what, advice }: Finding): string {
  const text = what.split("\n").map(shown).join("; ");
  const line = `${WORDS[verdict]}  ${check.padEnd(CHECK_WIDTH)}  ${text}\n`;
  return advice === undefined ? line : `${line}${" ".repeat(CHECK_WIDTH + 9)}-> ${advice}\n`;
}
