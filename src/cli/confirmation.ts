/** What can't be undone is named twice: with `--confirm`, or by the person at the terminal. */
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";

/** Rejects where `name` was not said again. `said`: with `--confirm`; undefined: whoever sits there is asked. */
export async function confirmed(name: string, said: string | undefined, terminal: Terminal): Promise<void> {
  if (said === name) return;
  const wrong = (message: string) => new CommandFailed(message, { exitCode: EXIT.usage });
  if (said !== undefined) throw wrong(`--confirm must be ${name}`);
  if (terminal.isAnswering !== true) throw wrong(`say --confirm ${name}: nobody sits here who could be asked`);
  terminal.err(`This can't be undone. To go on, type ${name}: `);
  if ((await lineOf(terminal.input)) !== name) throw new CommandFailed("that is not its name; nothing was done");
}

async function lineOf(input: Terminal["input"]): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of input) {
    text += typeof piece === "string" ? piece : decoder.decode(piece, { stream: true });
    if (text.includes("\n")) break;
  }
  return (text.split("\n")[0] ?? "").trim();
}
