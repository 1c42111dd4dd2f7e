/** `passbus completion bash|zsh|fish`: what a shell completes, written from the commands themselves. */
import { Argument, type Command, type Option } from "commander";
import type { AddCommand } from "./cli.ts";
import { bashScript } from "./completion-bash.ts";
import { fishScript } from "./completion-fish.ts";
import { zshScript } from "./completion-zsh.ts";
import { commandsOf } from "./tree.ts";

export interface CompletedWord {
  readonly word: string;
  readonly about: string;
}

export interface CompletedOption extends CompletedWord {
  /** Takes none, one, or as many as come before the next option. */
  readonly takes: "nothing" | "one" | "many";
  /** What its value may be; empty where anything may. */
  readonly choices: readonly string[];
  readonly isFile: boolean;
}

/** What may stand behind the words of `path`. */
export interface CompletedCommand {
  /** Without the program's name; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly CompletedWord[];
  readonly options: readonly CompletedOption[];
  /** What its arguments may be. */
  readonly choices: readonly string[];
  /** Its argument is a file. */
  readonly isFile: boolean;
}

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export function completionCommand(): AddCommand {
  return (program, terminal) => {
    program
      .command("completion")
      .description("write what makes a shell complete passbus's commands, options and values")
      .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(SCRIPTS)))
      .action((shell: keyof typeof SCRIPTS) => terminal.out(SCRIPTS[shell](completedCommands(program))));
  };
}

export function completedCommands(program: Command): readonly CompletedCommand[] {
  return commandsOf(program).map(({ path, command }) => {
    const { registeredArguments } = command;
    return {
      path,
      commands: command.commands.map((each) => ({ word: each.name(), about: each.description() })),
      options: command.createHelp().visibleOptions(command).flatMap(optionOf),
      choices: registeredArguments.flatMap(({ argChoices = [] }) => argChoices),
      isFile: registeredArguments.some((argument) => argument.name() === "file"),
    };
  });
}

function optionOf(option: Option): readonly CompletedOption[] {
  const { long, description, required, optional, variadic, argChoices = [] } = option;
  if (long === undefined || long === null) return [];
  const takesOne = required || optional ? "one" : "nothing";
  const takes = variadic ? "many" : takesOne;
  return [{ word: long, about: description, takes, choices: argChoices, isFile: option.flags.includes("<file>") }];
}
