/**
 * Ends the servers of a process that can't any more: a test run that was killed with -9 runs no handler. It reads
 * what its parent owns from standard input, one JSON line for each thing; when that closes the parent is gone, and
 * what it still owns is killed and removed. Started by owned.ts, in a session of its own so that Ctrl-C at the
 * terminal passes it by.
 */
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";

const groups = new Set<number>();
const folders = new Set<string>();

for await (const line of createInterface({ input: process.stdin })) {
  const word = JSON.parse(line) as { own?: number | string; drop?: number | string };
  if (typeof word.own === "number") groups.add(word.own);
  if (typeof word.own === "string") folders.add(word.own);
  if (typeof word.drop === "number") groups.delete(word.drop);
  if (typeof word.drop === "string") folders.delete(word.drop);
}
for (const group of groups) {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It ended by itself in the meantime.
  }
}
// The killed still write for a moment.
for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
