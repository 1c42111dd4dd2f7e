/** passbus itself, whole, in a process of its own: what `passbus serve` starts, and a way to ask what it used. */
import { readdirSync, readFileSync } from "node:fs";
import { type Passbus, startPassbus } from "../src/compose/compose.ts";
import type { WorkerState } from "../src/compose/worker.ts";
import { readConfig } from "../src/config/config.ts";
import { serveBench } from "./process-call.ts";

export interface PassbusUse {
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
  readonly state: WorkerState;
}

export interface PassbusCalls {
  /** The environment variables of `passbus serve`, and no others. */
  start(environment: Readonly<Record<string, string>>): Promise<{ readonly url: string }>;
  use(): PassbusUse;
}

let passbus: Passbus | undefined;

/** VmHWM, since getrusage's ru_maxrss may show what the parent had at the fork. */
function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1_024;
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (kib === undefined) throw new Error("/proc/self/status has no VmHWM");
  return Number(kib) * 1_024;
}

serveBench<PassbusCalls>(
  {
    async start(environment) {
      passbus = await startPassbus(readConfig(environment));
      void passbus.failed.then((error) => {
        console.error(error);
        process.exit(1);
      });
      return { url: passbus.url };
    },
    use() {
      const state = passbus?.state();
      if (state === undefined) throw new Error("start comes first");
      const all = process.cpuUsage();
      const main = process.threadCpuUsage();
      return {
        cpuMs: (all.user + all.system) / 1_000,
        mainThreadCpuMs: (main.user + main.system) / 1_000,
        peakBytes: peakBytes(),
        residentBytes: process.memoryUsage.rss(),
        heapBytes: process.memoryUsage().heapUsed,
        handles: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
        state,
      };
    },
  },
  () => passbus?.stop(),
);
