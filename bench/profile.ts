/** Where the time of a CPU profile went, by function: self time, the largest first. One file a thread. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What V8 writes, as far as it is read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

const SHOWN = 20;
const root = fileURLToPath(new URL("..", import.meta.url));

function place(url: string, line: number): string {
  if (url === "") return "";
  const path = url.startsWith("file:") ? fileURLToPath(url).replace(root, "") : url;
  return ` ${path}:${line + 1}`;
}

/**
 * Lines for a person: each thread of the process, its busy time, and its functions with their share of that. V8 names
 * the files CPU.<date>.<time>.<pid>.<thread>.<number>.cpuprofile; thread 0 is the main one, the others in order of start.
 */
export function whereTimeWent(folder: string, pid: number): string[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile") && name.split(".")[3] === `${pid}`);
  return files.sort().flatMap((file) => {
    const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as CpuProfile;
    const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
    const selfUs = new Map<string, number>();
    let busyUs = 0;
    profile.samples.forEach((id, at) => {
      const frame = frames.get(id);
      if (frame === undefined || frame.functionName === "(idle)") return;
      const name = `${frame.functionName || "(anonymous)"}${place(frame.url, frame.lineNumber)}`;
      const us = profile.timeDeltas[at] ?? 0;
      busyUs += us;
      selfUs.set(name, (selfUs.get(name) ?? 0) + us);
    });
    const functions = [...selfUs].sort(([, left], [, right]) => right - left).slice(0, SHOWN);
    const thread = file.split(".")[4];
    const heading = `thread ${thread}: ${(busyUs / 1_000_000).toFixed(2)} s busy (${join(folder, file)})`;
    return [heading, ...functions.map(([name, us]) => `  ${((us * 100) / busyUs).toFixed(1).padStart(5)} %  ${name}`)];
  });
}
