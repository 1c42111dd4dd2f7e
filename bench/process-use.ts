/** What the process that asks has used of the machine. */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessUse {
  /** User and system, of all threads, since the process began. */
  readonly cpuMs: number;
  /** Of these, the main thread's: where intake, matching and delivery run. */
  readonly mainThreadCpuMs: number;
  /** The most memory that the process ever had resident. */
  readonly peakBytes: number;
  readonly residentBytes: number;
  /** Of the main thread. */
  readonly heapBytes: number;
  /** Open files and sockets. */
  readonly handles: number;
}

/** VmHWM, since getrusage's ru_maxrss may show what the parent had at the fork. */
function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1_024;
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (kib === undefined) throw new Error("/proc/self/status has no VmHWM");
  return Number(kib) * 1_024;
}

export function processUse(): ProcessUse {
  const all = process.cpuUsage();
  const main = process.threadCpuUsage();
  return {
    cpuMs: (all.user + all.system) / 1_000,
    mainThreadCpuMs: (main.user + main.system) / 1_000,
    peakBytes: peakBytes(),
    residentBytes: process.memoryUsage.rss(),
    heapBytes: process.memoryUsage().heapUsed,
    handles: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
  };
}
