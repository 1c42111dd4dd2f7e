/** docs/cli.md, from the commands themselves. */
import type { Command, Option } from "commander";
import { programOf } from "../src/cli/cli.ts";
import { allCommands, type CommandDeps } from "../src/cli/commands.ts";
import { EXAMPLES } from "../src/cli/examples.ts";
import { commandsOf, isGroup } from "../src/cli/tree.ts";
import { testTerminal } from "../test/support/terminal.ts";

const never = (): never => {
  throw new Error("a command that is only described was run");
};

/** Of commands that are described and completed, and not run. */
export const UNUSED_DEPS: CommandDeps = {
  serve: never,
  demo: never,
  init: { preparation: never, openStore: never, makeFirstKey: never },
  openStore: never,
  openSealedStore: never,
  doctor: {
    preparation: never,
    keyFiles: never,
    embeddedStore: never,
    encryptionKeyUse: never,
    storeClockAheadMs: never,
    resolveHost: never,
  },
};

/** Said once for all commands; another of these names has another description. */
const COMMON = ["where passbus listens", "an API key; better in PASSBUS_KEY, since other processes can see arguments"];
const NAMED = ["--json", "--help"];

function isCommon({ long, description }: Option): boolean {
  return NAMED.includes(long ?? "") || COMMON.includes(description);
}

export function cliPage(note: string): string {
  const program = programOf(allCommands(UNUSED_DEPS), testTerminal());
  const commands = commandsOf(program).filter(({ path }) => path !== "");
  return `# The command line

${note}

\`\`\`sh
npm run passbus -- <command>        # in a checkout
\`\`\`

Commands that ask a running passbus say where it is with \`--url\` or \`PASSBUS_URL\` (http://127.0.0.1:8080, if both are
left out) and who asks with \`PASSBUS_KEY\`. \`--key\` does too, but other processes can see arguments. The others read the same \`PASSBUS_…\` variables
as the server ([config.md](config.md)); \`passbus config\` shows those in effect.

- The answer goes to the standard output, whatever is said besides to the standard error. Tables are for people;
  \`--json\` writes one object in JSON a line, with every field, for programs.
- Long work shows a bar on the standard error where that is a terminal, and nowhere else.
- At Ctrl-C (SIGINT), SIGTERM or SIGHUP (the terminal was closed) \`publish\` and \`dead-letters redrive\` send no more, wait for the answers to what was sent,
  and say how far they came; a second signal (0.3 s later or more) ends them at once. What follows a stream ends with 0:
  that is how it ends, and a replay goes on without its watcher. A command of one call is ended where it stands; its call
  may have been carried out.
- Whatever comes from outside is shown so that it can't move the cursor.

## Exit codes

| code | means |
|---|---|
| 0 | done |
| 1 | failed: it was refused or could not be reached; \`doctor\` found something wrong, a \`test\` was not taken |
| 2 | a wrong usage, or a setting that is wrong: nothing was done |
| 130, 143 | stopped in the middle by SIGINT or SIGTERM (128 + the signal's number) |
| 141 | whoever read its output reads no more (SIGPIPE) |

## Completion

| shell | how |
|---|---|
| bash | \`source <(passbus completion bash)\` in ~/.bashrc |
| zsh | \`source <(passbus completion zsh)\` in ~/.zshrc, behind \`compinit\` |
| fish | \`passbus completion fish > ~/.config/fish/completions/passbus.fish\` |

## Doctor

\`passbus doctor\` looks at what passbus needs, changes nothing (a file that times the disk is taken away again), and may
run beside a server. Each line is \`ok\`, a \`note\` that
somebody should know, or \`WRONG\` with what to do; it exits with 1 where anything is wrong. It looks at

- the settings: those that are wrong or unknown, that have no effect, or are a risk;
- TLS certificates and the permissions of key files; whether the encryption keys open every secret of the store;
- the store (its schema and, up to 512 MiB, SQLite's own check) and the log: the data directory, or topics and indexes
  as \`passbus init\` makes them;
- room on the disk, and how quickly a write reaches it: over 20 ms, publishing is slow;
- the clock against MongoDB's and against the \`Date\` of \`--clock-url\`: five seconds are noted, a minute is wrong, since
  receivers refuse webhooks whose timestamp is off. Kafka does not say what time it is;
- the names of the settings and of \`--resolve\`; whether a passbus answers at \`--url\`, is ready, and takes the key.

## Commands

${commands.map(({ path, command }) => (isGroup(command) ? groupText(path, command) : commandText(path, command))).join("\n")}`;
}

function groupText(path: string, command: Command): string {
  return `### ${path}\n\n${sentence(command.description())}\n`;
}

function commandText(path: string, command: Command): string {
  const help = command.createHelp();
  const options = help.visibleOptions(command).filter((option) => !isCommon(option));
  const lines = options.map((option) => `- \`${option.flags}\`: ${help.optionDescription(option)}`);
  const level = path.includes(" ") ? "####" : "###";
  const parts = [
    `${level} ${path}`,
    sentence(command.description()),
    `\`${help.commandUsage(command)}\``,
    ...(lines.length > 0 ? [lines.join("\n")] : []),
    `\`\`\`sh\n${(EXAMPLES[path] ?? []).join("\n")}\n\`\`\``,
  ];
  return `${parts.join("\n\n")}\n`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
