/** `passbus init`: makes what must be there before `serve`: topics, indexes, the first key. Safe to repeat. */
import type { KeyStore } from "../access/access-store.ts";
import type { Config } from "../config/config.ts";
import type { Preparation, PreparationStep } from "../kernel/preparation.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";

/** What the first key needs of the store. */
export type FirstKeyStore = Pick<KeyStore, "hasKeys" | "insertKey">;

/** What the command works on, as compose.ts gives it. */
export interface InitDeps {
  readonly preparation: (config: Config) => Preparation & { close(): Promise<void> };
  readonly openStore: (config: Config) => Promise<{ readonly access: FirstKeyStore; close(): Promise<void> }>;
  /** Makes the first key where nobody could call without it; false where it wasn't needed. */
  readonly makeFirstKey: (config: Config, access: FirstKeyStore, show: (key: string) => void) => Promise<boolean>;
}

export function initCommand(deps: InitDeps): AddCommand {
  return (program, terminal) => {
    program
      .command("init")
      .description("make what passbus needs: topics, indexes, the first key; what is there already stays")
      .option("--dry-run", "only say what it would do")
      .action((options: { readonly dryRun?: true }) => init(deps, terminal, options.dryRun === true));
  };
}

async function init(deps: InitDeps, terminal: Terminal, dryRun: boolean): Promise<void> {
  const config = terminal.settings();
  const preparation = deps.preparation(config);
  try {
    const steps = await preparation.survey();
    const wrong: PreparationStep[] = [];
    for (const step of steps) {
      terminal.out(`${await take(step, dryRun)}\n`);
      if (step.state !== "present" && step.make === undefined) wrong.push(step);
    }
    // Without what is missing there may be no store to ask for keys.
    const isWhole = !dryRun || steps.every((step) => step.state === "present");
    await firstKey(deps, config, terminal, { dryRun, isWhole });
    if (wrong.length > 0) {
      throw new CommandFailed(`${wrong.length} of these passbus can't mend: see what is said of each above`);
    }
  } finally {
    await preparation.close();
  }
}

/** What was done, or would be, of one step. */
async function take(step: PreparationStep, dryRun: boolean): Promise<string> {
  const detail = step.detail === undefined ? "" : `: ${step.detail}`;
  if (step.state === "present") return `there      ${step.what}${detail}`;
  if (step.make === undefined) return `WRONG      ${step.what}${detail}`;
  const verb = step.state === "missing" ? ["make ", "made "] : ["mend ", "mended "];
  if (dryRun) return `would ${verb[0]}${step.what}${detail}`;
  await step.make();
  return `${verb[1]?.padEnd(11)}${step.what}${detail}`;
}

interface KeyOptions {
  readonly dryRun: boolean;
  readonly isWhole: boolean;
}

async function firstKey(
  deps: InitDeps,
  config: Config,
  terminal: Terminal,
  { dryRun, isWhole }: KeyOptions,
): Promise<void> {
  if (config.bootstrapKey !== undefined) {
    terminal.out("there      a key: PASSBUS_BOOTSTRAP_KEY\n");
    return;
  }
  const whose = `an admin's key of ${config.bootstrapOrganisation}/production`;
  if (!isWhole) {
    terminal.out(`would make ${whose}, if there is no key yet\n`);
    return;
  }
  const store = await deps.openStore(config);
  try {
    if (dryRun) {
      terminal.out((await store.access.hasKeys()) ? "there      a key\n" : `would make ${whose}\n`);
      return;
    }
    const made = await deps.makeFirstKey(config, store.access, (key) => {
      terminal.err(`${whose}; it is shown this once:\n`);
      // The key alone on a line, so that a script can take it.
      terminal.out(`${key}\n`);
    });
    terminal.out(made ? `made       ${whose}\n` : "there      a key\n");
  } finally {
    await store.close();
  }
}
