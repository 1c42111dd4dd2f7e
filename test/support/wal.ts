/** SQLite's write-ahead log as a file (https://sqlite.org/fileformat2.html#the_write_ahead_log), beside its writer. */
import { readFileSync, statSync } from "node:fs";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** Frames behind the last one that ended a transaction: what a writer that died left half done. */
export function unfinishedFrames(file: string): number {
  const wal = readFileSync(file);
  if (wal.length < HEADER_BYTES) return 0;
  const frameBytes = FRAME_HEADER_BYTES + wal.readUInt32BE(8);
  const salt = wal.subarray(16, 24);
  let unfinished = 0;
  for (let at = HEADER_BYTES; at + frameBytes <= wal.length; at += frameBytes) {
    // Frames of an earlier round have another salt.
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break;
    unfinished = wal.readUInt32BE(at + 4) === 0 ? unfinished + 1 : 0;
  }
  return unfinished;
}

export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Returns in the moment in which the file becomes larger than it was: within the write. Nothing else of this process
 * runs meanwhile, or that moment would be gone.
 */
export function untilItGrows(file: string, limitMs: number): void {
  const bytes = sizeOf(file);
  const endMs = performance.now() + limitMs;
  while (sizeOf(file) <= bytes) if (performance.now() > endMs) throw new Error(`${file} did not grow in ${limitMs} ms`);
}
