/** The commands as they were added: what the completions, docs/cli.md and the examples go through. */
import type { Command } from "commander";

export interface CommandNode {
  /** Without the program's name: `subscriptions list`; empty for the program itself. */
  readonly path: string;
  readonly command: Command;
}

/** The program and every command below it, in the order in which they were added. */
export function commandsOf(program: Command): readonly CommandNode[] {
  const below = (command: Command, path: string): readonly CommandNode[] => [
    { path, command },
    ...command.commands.flatMap((each) => below(each, path === "" ? each.name() : `${path} ${each.name()}`)),
  ];
  return below(program, "");
}

/** One that only holds others. */
export function isGroup(command: Command): boolean {
  return command.commands.length > 0;
}
