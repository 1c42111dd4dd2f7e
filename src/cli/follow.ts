/** Reads a stream of the server until the person at the terminal has had enough. */
import { ConnectError } from "@connectrpc/connect";
import type { Terminal } from "./cli.ts";
import { refused } from "./table.ts";

/** One answer of a stream that goes on: an item, or none where it only says that it lives. */
export interface Followed<T> {
  readonly item: T | undefined;
  /** Items before it that this reader was too slow for. */
  readonly skipped: number;
}

export interface FollowOptions<T> {
  /** Ends after so many items; undefined: never. */
  readonly limit: number | undefined;
  /** What the items are, in the plural. */
  readonly what: string;
  /** Its stream ends when the signal aborts. */
  readonly open: (signal: AbortSignal) => AsyncIterable<Followed<T>>;
  readonly print: (item: T) => void;
}

/** Ends well at the limit and at the first SIGINT or SIGTERM. */
export async function follow<T>(terminal: Terminal, { limit, what, open, print }: FollowOptions<T>): Promise<void> {
  const ending = new AbortController();
  const forget = terminal.onSignal(() => ending.abort());
  let printed = 0;
  let isBegun = false;
  try {
    for await (const { item, skipped } of open(ending.signal)) {
      if (!isBegun) terminal.err(`waiting for ${what}; Ctrl-C ends it\n`);
      isBegun = true;
      if (skipped > 0) terminal.err(`skipped up to ${skipped} ${what}: they came faster than they were read\n`);
      if (item === undefined) continue;
      print(item);
      printed += 1;
      if (printed === limit) ending.abort();
    }
  } catch (reason) {
    if (!ending.signal.aborted || !(reason instanceof ConnectError)) throw refused(reason);
  } finally {
    forget();
  }
}
