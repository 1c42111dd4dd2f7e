/** How far long work has come: a line on the terminal that is written over. Where nobody sees that, there is none. */
import { systemClock } from "../kernel/clock.ts";
import type { Terminal } from "./cli.ts";

export interface Progress {
  /** `share` is how much is done, 0 to 1; undefined where nobody knows how much there is. */
  show(text: string, share?: number): void;
  /** Takes the line away. Calling it again does nothing. */
  end(): void;
}

/** Between two drawings, for the sake of slow terminals. */
const DRAW_EVERY_MS = 100;
/** Back to the line's beginning, and empty. */
export const CLEAR_LINE = "\r\u001b[K";

export function progressOn(terminal: Terminal, clock = systemClock): Progress {
  if (terminal.showsProgress !== true) return { show() {}, end() {} };
  let drawnAt: number | undefined;
  return {
    show(text, share) {
      const now = clock.monotonic();
      if (drawnAt !== undefined && now - drawnAt < DRAW_EVERY_MS) return;
      drawnAt = now;
      terminal.err(`${CLEAR_LINE}${share === undefined ? "" : `${barOf(share)} `}${text}`);
    },
    end() {
      if (drawnAt !== undefined) terminal.err(CLEAR_LINE);
      drawnAt = undefined;
    },
  };
}

const BAR_CHARACTERS = 24;

export function barOf(share: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, share)) * BAR_CHARACTERS);
  return `[${"#".repeat(filled)}${"-".repeat(BAR_CHARACTERS - filled)}]`;
}
