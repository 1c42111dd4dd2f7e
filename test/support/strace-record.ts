/** Every write and every sync of a process's files, as the kernel was asked for them: strace(1), attached while it runs. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { requirement } from "./requirements.ts";
import { eventually, within } from "./within.ts";

/** Tracing may be forbidden although the program is there. */
export const strace = requirement(
  "strace",
  () => spawnSync("strace", ["-o", "/dev/null", "true"], { stdio: "ignore" }).status === 0,
);

/** In the order of the record. */
export type FileCall =
  | {
      readonly kind: "write";
      readonly atMs: number;
      readonly file: string;
      readonly offset: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: "truncate"; readonly atMs: number; readonly file: string; readonly length: number }
  /** It has ended, and covers every call on the file before number `covers`. */
  | { readonly kind: "synced"; readonly atMs: number; readonly file: string; readonly covers: number };

export class StraceRecord implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#ended = new Promise((resolve) => child.once("close", resolve));
  }

  /** Records what the process does to these files from when this resolves on. */
  static async start(pid: number, files: readonly string[]): Promise<StraceRecord> {
    const folder = mkdtempSync(join(tmpdir(), "passbus-strace-"));
    const calls = "--trace=pwrite64,write,pwritev,fdatasync,fsync,ftruncate";
    const form = ["-f", "-ttt", "-y", "-xx", "-s", "1000000", calls];
    const paths = files.flatMap((file) => ["-P", file]);
    const child = spawn("strace", [...form, ...paths, "-o", join(folder, "calls"), "-p", String(pid)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const record = new StraceRecord(child, folder);
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
    });
    try {
      await eventually(10_000, "strace's word that it is attached", () => (/attached/u.test(said) ? true : undefined));
    } catch (error) {
      await record[Symbol.asyncDispose]();
      throw new Error(`strace said: ${said}`, { cause: error });
    }
    return record;
  }

  /** Once the process has ended, and strace with it. */
  async calls(): Promise<readonly FileCall[]> {
    await within(20_000, "the end of strace", this.#ended);
    return callsIn(readFileSync(join(this.#folder, "calls"), "latin1"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It lets go of the process, which goes on.
    this.#child.kill("SIGTERM");
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const LINE = /^(?<thread>\d+) +(?<at>\d+\.\d+) (?<rest>.*)$/u;
const CALL = /^(?<name>\w+)\(\d+<(?<path>[^>]*)>(?:, )?(?<args>.*)$/u;

export function callsIn(text: string): readonly FileCall[] {
  const calls: FileCall[] = [];
  /** Syncs that run, by thread. */
  const running = new Map<string, { readonly file: string; readonly covers: number }>();
  for (const line of text.split("\n")) {
    const { thread = "", at = "0", rest = "" } = LINE.exec(line)?.groups ?? {};
    const atMs = Number(at) * 1_000;
    if (/^<\.\.\. f(?:data)?sync resumed>.*= 0$/u.test(rest)) {
      const sync = running.get(thread);
      if (sync !== undefined) calls.push({ kind: "synced", atMs, ...sync });
    }
    const { name, path = "", args = "" } = CALL.exec(rest)?.groups ?? {};
    const file = basename(unescaped(path).toString("utf8"));
    if (name === "pwrite64") {
      const { bytes = "", offset = "0" } = /^"(?<bytes>[^"]*)", \d+, (?<offset>\d+)/u.exec(args)?.groups ?? {};
      calls.push({ kind: "write", atMs, file, offset: Number(offset), bytes: unescaped(bytes) });
    } else if (name === "ftruncate") {
      calls.push({ kind: "truncate", atMs, file, length: Number.parseInt(args, 10) });
    } else if (name === "fdatasync" || name === "fsync") {
      const sync = { file, covers: calls.length };
      if (args.includes("<unfinished")) running.set(thread, sync);
      else if (/= 0$/u.test(rest)) calls.push({ kind: "synced", atMs, ...sync });
    } else if (name !== undefined) throw new Error(`the record has a call that this does not know: ${name}`);
  }
  return calls;
}

function unescaped(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}
