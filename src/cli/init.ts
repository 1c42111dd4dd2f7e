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
      .option("--json", "one thing in JSON a line, for programs")
      .action((options: InitOptions) => init(deps, terminal, options));
  };
}

interface InitOptions {
  readonly dryRun?: true;
  readonly json?: true;
}

/** What became of one thing, or would. */
interface Done {
  readonly did: "there" | "made" | "mended" | "would make" | "would mend" | "WRONG";
  readonly what: string;
  readonly detail?: string | undefined;
}

type Tell = (done: Done) => void;

async function init(deps: InitDeps, terminal: Terminal, { json, ...options }: InitOptions): Promise<void> {
  const dryRun = options.dryRun === true;
  const config = terminal.settings();
  const tell: Tell = (done) => terminal.out(json === true ? `${JSON.stringify(done)}\n` : textOf(done));
  const preparation = deps.preparation(config);
  try {
    const steps = await preparation.survey();
    const wrong: PreparationStep[] = [];
    for (const step of steps) {
      tell(await take(step, dryRun));
      if (step.state !== "present" && step.make === undefined) wrong.push(step);
    }
    // Without what is missing there may be no store to ask for keys.
    const isWhole = !dryRun || steps.every((step) => step.state === "present");
    await firstKey(deps, config, terminal, { dryRun, isWhole, tell, json: json === true });
    if (wrong.length > 0) {
      throw new CommandFailed(`${wrong.length} of these passbus can't mend: see what is said of each above`);
    }
  } finally {
    await preparation.close();
  }
}

async function take({ what, detail, state, make }: PreparationStep, dryRun: boolean): Promise<Done> {
  if (state === "present") return { did: "there", what, detail };
  if (make === undefined) return { did: "WRONG", what, detail };
  const isMissing = state === "missing";
  if (dryRun) return { did: isMissing ? "would make" : "would mend", what, detail };
  await make();
  return { did: isMissing ? "made" : "mended", what, detail };
}

const WORD_WIDTH = "would make".length;

function textOf({ did, what, detail }: Done): string {
  return `${did.padEnd(WORD_WIDTH)} ${what}${detail === undefined ? "" : `: ${detail}`}\n`;
}

interface KeyOptions {
  readonly dryRun: boolean;
  readonly isWhole: boolean;
  readonly json: boolean;
  readonly tell: Tell;
}

async function firstKey(
  deps: InitDeps,
  config: Config,
  terminal: Terminal,
  { dryRun, isWhole, json, tell }: KeyOptions,
): Promise<void> {
  if (config.bootstrapKey !== undefined) {
    return tell({ did: "there", what: "a key", detail: "PASSBUS_BOOTSTRAP_KEY" });
  }
  const whose = `an admin's key of ${config.bootstrapOrganisation}/production`;
  if (!isWhole) {
    return tell({ did: "would make", what: `${whose}, if there is no key yet` });
  }
  const store = await deps.openStore(config);
  try {
    if (dryRun) {
      const isThere = await store.access.hasKeys();
      return tell(isThere ? { did: "there", what: "a key" } : { did: "would make", what: whose });
    }
    const made = await deps.makeFirstKey(config, store.access, (key) => {
      if (json) return terminal.out(`${JSON.stringify({ key })}\n`);
      terminal.err(`${whose}; it is shown this once:\n`);
      // The key alone on a line, so that a script can take it.
      terminal.out(`${key}\n`);
    });
    tell(made ? { did: "made", what: whose } : { did: "there", what: "a key" });
  } finally {
    await store.close();
  }
}
