/** Ctrl-C in the middle of work that can end well: the first signal asks for that, the second ends the process. */
import { constants } from "node:os";
import { type Clock, systemClock } from "../kernel/clock.ts";
import { CommandFailed, type StopSignal, type Terminal } from "./cli.ts";

export interface Interruption {
  /** Aborts at the first signal. */
  readonly asked: AbortSignal;
  /** The failure that the command ends with: its exit code is the signal's. */
  failure(message: string): CommandFailed;
  /** From here on a signal ends the process again. */
  forget(): void;
}

/** A signal that comes so soon after the first is the same: `timeout` and others send one to the process and its group. */
const SAME_MS = 300;

export function interruptionOf(terminal: Terminal, clock: Clock = systemClock): Interruption {
  const asking = new AbortController();
  let first: StopSignal = "SIGINT";
  let firstAt = 0;
  const forget = terminal.onSignal((signal) => {
    if (asking.signal.aborted) {
      if (clock.monotonic() - firstAt >= SAME_MS) terminal.exit(128 + constants.signals[signal]);
      return;
    }
    first = signal;
    firstAt = clock.monotonic();
    terminal.err("stopping; a second signal ends it at once\n");
    asking.abort();
  });
  return {
    asked: asking.signal,
    failure: (message) => new CommandFailed(message, { exitCode: 128 + constants.signals[first] }),
    forget,
  };
}

/** What comes before the signal aborts. What the source is waiting for then is left to it. */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const end = () => resolve(undefined);
  signal.addEventListener("abort", end, { once: true });
  const items = source[Symbol.asyncIterator]();
  try {
    while (!signal.aborted) {
      const coming = items.next();
      const next = await Promise.race([coming, aborted]);
      if (next === undefined) {
        coming.catch(() => {});
        return;
      }
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", end);
  }
}
