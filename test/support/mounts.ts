/** Small disks that can be filled: a tmpfs each, which takes root to mount. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmdirSync, statfsSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirement } from "./requirements.ts";

const MIB = 1024 * 1024;

export class SmallDisk implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "passbus-disk-"));
  readonly #filler = join(this.path, "filler");

  constructor(bytes: number) {
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", this.path], { stdio: "pipe" });
    } catch (error) {
      rmdirSync(this.path);
      throw error;
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes the space that is left, but for so much. Others may write to it meanwhile. */
  fill(leftBytes: number): void {
    const step = Buffer.alloc(64 * 1024);
    while (this.freeBytes > leftBytes) appendFileSync(this.#filler, step.subarray(0, this.freeBytes - leftBytes));
  }

  /** Gives the space back. */
  empty(): void {
    truncateSync(this.#filler, 0);
  }

  [Symbol.dispose](): void {
    // Lazily: a process that was just killed may hold it for a moment longer.
    execFileSync("umount", ["--lazy", this.path], { stdio: "pipe" });
    rmdirSync(this.path);
  }
}

export const mount = requirement("mount", () => {
  try {
    // A trial is the only sure way to know.
    using disk = new SmallDisk(MIB);
    return disk.freeBytes > 0;
  } catch {
    return false;
  }
});
