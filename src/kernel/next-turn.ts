import { setImmediate as immediate } from "node:timers/promises";

/** Lets the event loop take what has arrived meanwhile: between the parts of work that would else hold a thread. */
export function nextTurn(): Promise<void> {
  return immediate();
}
