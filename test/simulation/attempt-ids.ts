import type { Clock } from "../../src/kernel/clock.ts";
import { type IdSource, idSource } from "../../src/kernel/ids.ts";
import type { Random } from "../../src/kernel/random.ts";

/** Ids as ever, and which attempt is being made: a request doesn't carry that, and it is sent in the same breath. */
export interface AttemptIds extends IdSource {
  readonly lastAttempt: string;
}

export function attemptIds(clock: Clock, random: Random): AttemptIds {
  const ids = idSource(clock, random);
  let lastAttempt = "";
  return {
    next(prefix) {
      const id = ids.next(prefix);
      if (prefix === "att") lastAttempt = id;
      return id;
    },
    get lastAttempt() {
      return lastAttempt;
    },
  };
}
