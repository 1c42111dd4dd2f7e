/**
 * The command line: `passbus <command>`. Each command is a file that adds itself to the program; main.ts lists them and
 * hands in what they start. A command that ends well exits with 0, one that failed with 1, a wrong usage or setting
 * with 2, and one that was told twice to stop, or whose output nobody reads on, as its signal says (128 + its number).
 */
import { constants } from "node:os";
import { Command, CommanderError } from "commander";
import { type Config, readConfig } from "../config/config.ts";
import { type DescribedSettings, describeSettings } from "../config/described.ts";
import { CodedError } from "../kernel/errors.ts";
import { VERSION } from "../kernel/version.ts";
import { EXAMPLES } from "./examples.ts";
import { commandsOf } from "./tree.ts";

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

const EXIT_CODES =
  "Exit codes: 0 done, 1 failed, 2 a wrong usage or setting, 129, 130 and 143 stopped by a signal (docs/cli.md)";

/** SIGHUP: the terminal is closed. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

const STOP_SIGNALS: readonly StopSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The process, as a command sees it. A test hands in its own. */
export interface Terminal {
  readonly input: AsyncIterable<string | Uint8Array>;
  /** Somebody sits at the input, and can be asked. */
  readonly isAnswering?: boolean;
  /** What was asked for. */
  out(text: string): void;
  /** Everything that is said besides. */
  err(text: string): void;
  /** What is said besides goes to somebody who sees a line being written over. */
  readonly showsProgress?: boolean;
  settings(): Config;
  /** The settings for people, also where they are wrong. */
  describeSettings(): DescribedSettings;
  /** Hands each signal to `handle` instead of ending the process, until the returned function is called. */
  onSignal(handle: (signal: StopSignal) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, terminal: Terminal) => void;

/** How a command ends that did not do what it was asked. The message is for the person at the terminal. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** `args` are those after the program's name. Answers the exit code. */
export async function runCli(
  args: readonly string[],
  commands: readonly AddCommand[],
  terminal: Terminal = processTerminal,
): Promise<number> {
  try {
    await programOf(commands, terminal).parseAsync(args, { from: "user" });
    return EXIT.done;
  } catch (error) {
    return explain(error, terminal);
  }
}

/** The program with its commands, each with its examples; nothing is run. */
export function programOf(commands: readonly AddCommand[], terminal: Terminal): Command {
  const program = new Command("passbus")
    .description("Event bus for wallet passes: pass events in, signed webhooks out")
    .version(VERSION)
    .showHelpAfterError("(passbus --help says what there is)")
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
    .exitOverride();
  for (const add of commands) add(program, terminal);
  for (const { path, command } of commandsOf(program)) {
    const examples = EXAMPLES[path];
    if (examples !== undefined) command.addHelpText("after", `\nExamples:\n  ${examples.join("\n  ")}`);
  }
  return program.addHelpText("after", `\n${EXIT_CODES}`);
}

function explain(error: unknown, terminal: Terminal): number {
  // Commander has said what was wrong; its 0 is the help and the version.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error instanceof CommandFailed) {
    terminal.err(`passbus: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof CodedError) {
    terminal.err(`passbus: ${error.code}\n${error.message}\n`);
    return error.code === "config.invalid" || error.code === "request.invalid" ? EXIT.usage : EXIT.failed;
  }
  terminal.err(`passbus: a mistake of its own\n${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.failed;
}

/** Whoever read the output, `head` say, has had enough: it ends as SIGPIPE would end it, which Node ignores. */
function endUnread(error: NodeJS.ErrnoException): void {
  if (isHungUp(process.stdout, error)) return;
  if (error.code !== "EPIPE") throw error;
  process.exit(128 + constants.signals.SIGPIPE);
}

function endUnheard(error: NodeJS.ErrnoException): void {
  if (!isHungUp(process.stderr, error)) throw error;
}

/** The terminal is closed: SIGHUP is there or comes, and what is to be done at the end must not break off at a word. */
function isHungUp({ isTTY }: NodeJS.WriteStream, { code }: NodeJS.ErrnoException): boolean {
  return isTTY && code === "EIO";
}

function say(stream: NodeJS.WriteStream, onError: (error: NodeJS.ErrnoException) => void, text: string): void {
  if (!stream.listeners("error").includes(onError)) stream.on("error", onError);
  stream.write(text);
}

const processTerminal: Terminal = {
  get input() {
    return process.stdin;
  },
  get isAnswering() {
    return process.stdin.isTTY === true && process.stderr.isTTY === true;
  },
  out: (text) => say(process.stdout, endUnread, text),
  err: (text) => say(process.stderr, endUnheard, text),
  get showsProgress() {
    return process.stderr.isTTY === true;
  },
  settings: () => readConfig(),
  describeSettings: () => describeSettings(),
  onSignal(handle) {
    for (const signal of STOP_SIGNALS) process.on(signal, handle);
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, handle);
    };
  },
  exit: (code) => process.exit(code),
};
