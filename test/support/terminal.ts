import type { StopSignal, Terminal } from "../../src/cli/cli.ts";
import { readConfig } from "../../src/config/config.ts";
import { describeSettings } from "../../src/config/described.ts";

/** A terminal that remembers what was said, and can be given signals. */
export interface TestTerminal extends Terminal {
  readonly said: { out: string; err: string };
  readonly exits: number[];
  signal(signal: StopSignal): void;
}

export function testTerminal(
  environment: Record<string, string> = {},
  input: readonly string[] = [],
  isAnswering = false,
): TestTerminal {
  const said = { out: "", err: "" };
  const exits: number[] = [];
  let handle: ((signal: StopSignal) => void) | undefined;
  return {
    isAnswering,
    said,
    exits,
    input: (async function* () {
      yield* input;
    })(),
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    settings: () => readConfig(environment),
    describeSettings: () => describeSettings(environment),
    onSignal(next) {
      handle = next;
      return () => {
        handle = undefined;
      };
    },
    exit: (code) => exits.push(code),
    signal(signal) {
      if (handle === undefined) throw new Error("nobody listens for signals");
      handle(signal);
    },
  };
}
