/** `passbus serve`: the API and the workers, until a signal. */
import { constants } from "node:os";
import { type Config, unknownSettings } from "../config/config.ts";
import { VERSION } from "../kernel/version.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";

/** A running passbus, as compose.ts starts it. */
export interface Served {
  readonly url: string;
  stop(): Promise<void>;
  /** Resolves if a part dies that passbus can't go on without. */
  readonly failed: Promise<Error>;
}

/** `showKey` gets the key that a first start makes, before it is valid. */
export type Start = (config: Config, showKey?: (key: string) => void) => Promise<Served>;

export function serveCommand(start: Start): AddCommand {
  return (program, terminal) => {
    program
      .command("serve")
      .description("serve the API and deliver webhooks; settings come from PASSBUS_… variables (docs/config.md)")
      .action(() => serve(start, terminal));
  };
}

async function serve(start: Start, terminal: Terminal): Promise<void> {
  const config = terminal.settings();
  for (const { variable, nearest } of unknownSettings()) {
    terminal.err(`passbus: ${variable} is no setting; ${nearest} is the nearest\n`);
  }
  const told = stopSignal(terminal);
  try {
    const passbus = await start(config, (key) => greet(key, config, terminal));
    terminal.out(`passbus ${VERSION} listens at ${passbus.url}\n`);
    const failure = await Promise.race([told.signalled, passbus.failed]);
    if (failure === undefined) return await passbus.stop();
    // What is left of it is stopped too, so that what can be made durable is. That the dead part doesn't is no news.
    await passbus.stop().catch(() => {});
    throw new CommandFailed(`a part of it died: ${failure.message}`, { cause: failure });
  } finally {
    told.forget();
  }
}

/** The first signal asks for a graceful end; the second ends the process where it stands. */
function stopSignal(terminal: Terminal): { readonly signalled: Promise<undefined>; forget(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let told = false;
  const forget = terminal.onSignal((signal) => {
    if (told) return terminal.exit(128 + constants.signals[signal]);
    told = true;
    terminal.err("passbus: stopping; a second signal ends it at once\n");
    resolve(undefined);
  });
  return { signalled: promise, forget };
}

function greet(key: string, config: Config, terminal: Terminal): void {
  terminal.out(
    `There was no key yet, so here is an admin's, for the organisation ${config.bootstrapOrganisation} ` +
      `and the environment production.\nIt is shown this once:\n\n    ${key}\n\n`,
  );
}
