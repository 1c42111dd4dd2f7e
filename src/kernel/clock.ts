/** Time, as the rooms see it. A test holds it still; nothing outside the kernel and the adapters asks the system. */
export interface Clock {
  /** Wall time in milliseconds since 1970. May step. */
  now(): number;
  /** Milliseconds that only grow, from an arbitrary start. Counts a suspended process (SIGSTOP) too. */
  monotonic(): number;
  /** Runs `task` once after `delayMs`. The returned function cancels; calling it again does nothing. */
  after(delayMs: number, task: () => void): () => void;
}

/** setTimeout fires at once for delays beyond 2^31-1 ms, so longer ones are cut; callers look at the clock again. */
const MAX_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or as soon as the signal aborts (it never rejects: look at the signal). */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Waits for `promise`, but for no longer than `limitMs`. Whether it came in time is for the caller to look at. */
export async function waitAtMost(clock: Clock, limitMs: number, promise: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([promise, sleep(clock, limitMs, over.signal)]);
  over.abort();
}
