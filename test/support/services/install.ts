/** What a machine has to run servers with, and the folder in which what was fetched for them is kept. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ownFolder, removeFolder } from "./owned.ts";

/** What stands in the way of a server, said so that a reader knows what to install. */
export class Missing extends Error {
  override name = "Missing";
}

/** Kept from run to run: jars and the Python server. May be removed at any time between two runs. */
function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "passbus-test");
}

/** Where what `recipe` makes is kept: another recipe, another folder. */
export function cached(name: string, recipe: string): string {
  return join(cacheFolder(), `${name}-${createHash("sha256").update(recipe).digest("hex").slice(0, 12)}`);
}

/**
 * `target`, filled by `fill` where it is not there yet. It appears at once and whole: two runs that fill it at the
 * same time both do the work, and the second throws its own away.
 */
export async function install(
  target: string,
  fill: (folder: string, logFile: string) => Promise<void>,
): Promise<string> {
  if (existsSync(target)) return target;
  console.log(`Fetching ${target}, once`);
  await mkdir(cacheFolder(), { recursive: true });
  const folder = await mkdtemp(`${target}-`);
  const logs = await ownFolder("passbus-install-");
  try {
    await fill(folder, join(logs, "log"));
    await rename(folder, target);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  } finally {
    await removeFolder(logs);
  }
  return target;
}

const run = promisify(execFile);

/** How long a tool may take to say its version, milliseconds. */
const VERSION_LIMIT_MS = 20_000;

/** What a tool says of itself on both outputs. Throws where it fails. */
export async function saidBy(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(command, [...args], { timeout: VERSION_LIMIT_MS });
  return `${stdout}${stderr}`;
}

/** The number before the first dot in what `java -version` says: 17 of `openjdk version "17.0.15" 2025-04-15`. */
export function javaVersion(said: string): number | undefined {
  const found = /version "(?:1\.)?(?<major>\d+)/u.exec(said)?.groups?.major;
  return found === undefined ? undefined : Number(found);
}
