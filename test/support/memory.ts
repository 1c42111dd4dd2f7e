/** What a process holds, as Linux tells it (proc(5), /proc/PID/status). */
import { readFileSync } from "node:fs";

export interface ProcessMemory {
  readonly residentBytes: number;
  /** The most that was resident so far. */
  readonly peakBytes: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return { residentBytes: fieldOf(status, "VmRSS"), peakBytes: fieldOf(status, "VmHWM") };
}

function fieldOf(status: string, name: string): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, "mu").exec(status)?.[1];
  if (kib === undefined) throw new Error(`the process's status has no ${name}`);
  return Number(kib) * 1024;
}
