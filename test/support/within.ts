/** Deadlines for what a test waits for. Nothing here waits longer than the condition needs. */
import { setTimeout as delay } from "node:timers/promises";

/** Rejects, saying what was waited for, where the promise hasn't settled after `limitMs`. */
export async function within<T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const tooLate = delay(limitMs, undefined, { signal: settled.signal }).then(
    () => {
      throw new Error(`${what} did not come within ${limitMs} ms`);
    },
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    settled.abort();
  }
}

/** How often a condition is looked at that nobody signals. */
const LOOK_EVERY_MS = 10;

/** Asks until the answer is not undefined: for what only another process knows. */
export async function eventually<T>(
  limitMs: number,
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > endMs) throw new Error(`${what} was not so within ${limitMs} ms`);
    await delay(LOOK_EVERY_MS);
  }
}
