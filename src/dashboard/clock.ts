/** The one place of the dashboard that reads the time and sets timers (test/support/tidy/rules.ts). */
import { useSyncExternalStore } from "react";

export function nowMs(): number {
  return Date.now();
}

/** Calls back after `ms`; the returned function cancels. */
export function after(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
}

const TICK_MS = 1_000;
const listeners = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;
let tickedAtMs = Date.now();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (ticking === undefined) {
    tickedAtMs = Date.now();
    ticking = setInterval(() => {
      tickedAtMs = Date.now();
      for (const each of listeners) each();
    }, TICK_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(ticking);
    ticking = undefined;
  };
}

/**
 * The time, ms since 1970, anew each `everyMs` (whole seconds): all relative times on a page move together, and a
 * component renders only when its own step has changed.
 */
export function useNowMs(everyMs = TICK_MS): number {
  return useSyncExternalStore(subscribe, () => Math.floor(tickedAtMs / everyMs) * everyMs);
}
