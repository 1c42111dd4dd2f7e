/** Whether the page keeps a stream open: each tells of the session's end, so that a page with one needs no other. */
import { useSyncExternalStore } from "react";

let open = 0;
const listeners = new Set<() => void>();

/** The returned function says that it is closed. */
export function streamOpened(): () => void {
  change(1);
  return () => change(-1);
}

export function useHasStream(): boolean {
  return useSyncExternalStore(subscribe, () => open > 0);
}

function change(by: number): void {
  open += by;
  for (const each of listeners) each();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
