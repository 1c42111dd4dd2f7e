/**
 * Processes and folders that end with the process that started them, however that ends: stopped in order, by
 * an exit without a word, or, when it was killed with -9, by guard.ts.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { eventually } from "../within.ts";

let guard: Writable | undefined;

function startGuard(): Writable {
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", fileURLToPath(new URL("./guard.ts", import.meta.url))],
    { cwd: tmpdir(), detached: true, stdio: ["pipe", "ignore", "ignore"] },
  );
  // It waits for our end; we don't wait for its.
  child.unref();
  if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
  return child.stdin;
}

function tellGuard(word: { own: number | string } | { drop: number | string }): void {
  guard ??= startGuard();
  guard.write(`${JSON.stringify(word)}\n`);
}

/** A new folder among the system's temporary ones, gone when this process is. */
export async function ownFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  tellGuard({ own: folder });
  return folder;
}

/** Removes what `ownFolder` made. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  tellGuard({ drop: folder });
}

export interface OwnedProcess {
  readonly pid: number;
  /** Where both of its outputs go. */
  readonly logFile: string;
  /** Resolves when it has ended, to how: `exit code 1`, `SIGKILL`. */
  readonly ended: Promise<string>;
  /** SIGKILL, to it and what it started; resolves when it has ended. */
  kill(): Promise<void>;
}

/** Starts a program in a process group of its own. Throws where it can't be started. */
export async function startOwned(
  command: string,
  args: readonly string[],
  logFile: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<OwnedProcess> {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], env });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => {
      if (child.pid !== undefined) resolve(child.pid);
    });
  });
  tellGuard({ own: pid });
  const dropped = ended.then((how) => {
    tellGuard({ drop: pid });
    return how;
  });
  return {
    pid,
    logFile,
    ended: dropped,
    kill: async () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid, "SIGKILL");
      await ended;
    },
  };
}

/** The end of a log: what a message about a server that did not come up should show. */
export function logTail(file: string, lines = 15): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
}

/** Runs a program to its end. Throws with the end of its output where it fails. */
export async function runOwned(command: string, args: readonly string[], logFile: string): Promise<void> {
  const how = await (await startOwned(command, args, logFile)).ended;
  if (how !== "exit code 0") throw new Error(`${command} ended with ${how}: ${logTail(logFile)}`);
}

/** How long a server may take to come up, milliseconds. */
const READY_LIMIT_MS = 90_000;

/** Asks a server that was started until it is ready. Throws where it ends before, with the end of its log. */
export async function untilReady(name: string, server: OwnedProcess, ask: () => Promise<boolean>): Promise<void> {
  let how: string | undefined;
  void server.ended.then((found) => {
    how = found;
  });
  await eventually(READY_LIMIT_MS, `an answer of ${name} (log: ${server.logFile})`, async () => {
    if (how !== undefined) throw new Error(`${name} ended (${how}) before it was ready: ${logTail(server.logFile)}`);
    return (await ask()) ? true : undefined;
  });
}
