import { performance } from "node:perf_hooks";

/** How busy this thread is. */
export interface Load {
  /** The share of the time since the last call, 0 to 1, in which the event loop had work or waited for a processor. */
  sample(): number;
}

/** The event loop's utilization: near 1, it is this process that is the limit, not those it talks to. */
export function eventLoopLoad(): Load {
  let last = performance.eventLoopUtilization();
  return {
    sample() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
  };
}
