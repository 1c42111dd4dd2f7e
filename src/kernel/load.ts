import { monitorEventLoopDelay, performance } from "node:perf_hooks";

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

/** How late this thread's event loop comes round. */
export interface LoopDelay {
  /** Of 99 in 100 looks since the last call, in milliseconds. */
  p99Ms(): number;
  stop(): void;
}

/** Looked at 50 times a second, which costs nothing that can be measured. */
const LOOK_MS = 20;

export function eventLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: LOOK_MS });
  histogram.enable();
  return {
    p99Ms() {
      // The look itself takes its time, which is no delay.
      const delayMs = histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99) / 1e6 - LOOK_MS);
      histogram.reset();
      return delayMs;
    },
    stop: () => void histogram.disable(),
  };
}
