/** A wall clock that can be stepped under one process alone: libfaketime, which that process loads. */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requirement } from "./requirements.ts";

export const faketime = requirement("faketime", () => libraryFile() !== undefined);

/** Debian's places of the package `faketime`: /usr/lib/TRIPLET/faketime, and without a triplet. */
function libraryFile(): string | undefined {
  const folders = existsSync("/usr/lib") ? ["", ...readdirSync("/usr/lib")] : [];
  return folders
    .map((name) => join("/usr/lib", name, "faketime", "libfaketimeMT.so.1"))
    .find((file) => existsSync(file));
}

export class FakeClock implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "passbus-clock-"));
  readonly #file = join(this.#folder, "offset");

  constructor() {
    this.set(0);
  }

  /** Environment variables for the process. Its monotonic clock is left alone, as a step leaves it. */
  get settings(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: libraryFile() ?? "",
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** From now on the process's wall clock is so far ahead of the right one. */
  set(offsetMs: number): void {
    const seconds = offsetMs / 1_000;
    // Never read half written.
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
