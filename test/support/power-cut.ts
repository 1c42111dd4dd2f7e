/**
 * A disk after a power cut, made from the record of what was written to it. What a sync that had ended covers is there.
 * Of the rest each write is there or not, by chance and each for itself, since disks and file systems reorder what is
 * not synced; some of those that are there end at a sector in their middle. A file's size follows from its writes.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/kernel/random.ts";
import type { FileCall } from "./strace-record.ts";

const SECTOR_BYTES = 512;
/** Of the writes that no sync covers, this share is there, */
const SURVIVES = 0.5;
/** and of these so many only up to a sector. */
const TORN = 0.5;

export type DiskImage = ReadonlyMap<string, Buffer>;

export function readImage(folder: string, files: readonly string[]): DiskImage {
  return new Map(
    files.filter((file) => existsSync(join(folder, file))).map((file) => [file, readFileSync(join(folder, file))]),
  );
}

/** Writes the image over what is in the folder. What SQLite keeps in memory alone (`-shm`) is gone with the power. */
export function writeImage(image: DiskImage, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [file, bytes] of image) writeFileSync(join(folder, file), bytes);
}

export interface Cut {
  readonly image: DiskImage;
  /** Writes that no sync covered, and how many of them are there. */
  readonly unsynced: number;
  readonly survived: number;
}

/** The disk as it is where the power goes right before call number `at`. */
export function cutAt(base: DiskImage, calls: readonly FileCall[], at: number, random: Random): Cut {
  const done = calls.slice(0, at);
  const covered = new Map<string, number>();
  for (const call of done) if (call.kind === "synced") covered.set(call.file, call.covers);
  const files = new Map<string, GrowingFile>();
  const fileOf = (name: string) => {
    const known = files.get(name);
    if (known !== undefined) return known;
    const file = new GrowingFile(base.get(name) ?? Buffer.alloc(0));
    files.set(name, file);
    return file;
  };
  for (const name of base.keys()) fileOf(name);
  let unsynced = 0;
  let survived = 0;
  for (const [index, call] of done.entries()) {
    if (call.kind === "synced") continue;
    const isSynced = index < (covered.get(call.file) ?? 0);
    if (!isSynced) {
      unsynced += 1;
      if (random.next() >= SURVIVES) continue;
      survived += 1;
    }
    const file = fileOf(call.file);
    if (call.kind === "truncate") file.truncate(call.length);
    else file.write(call.offset, isSynced || random.next() >= TORN ? call.bytes : torn(call.bytes, random));
  }
  return { image: new Map([...files].map(([name, file]) => [name, file.content])), unsynced, survived };
}

function torn(bytes: Buffer, random: Random): Buffer {
  const sectors = Math.ceil(bytes.length / SECTOR_BYTES);
  return bytes.subarray(0, Math.floor(random.next() * sectors) * SECTOR_BYTES);
}

class GrowingFile {
  #space: Buffer;
  #length: number;

  constructor(content: Buffer) {
    this.#space = Buffer.from(content);
    this.#length = content.length;
  }

  get content(): Buffer {
    return this.#space.subarray(0, this.#length);
  }

  write(offset: number, bytes: Buffer): void {
    const end = offset + bytes.length;
    if (end > this.#space.length) this.#space = Buffer.concat([this.#space], Math.max(end, 2 * this.#space.length));
    bytes.copy(this.#space, offset);
    this.#length = Math.max(this.#length, end);
  }

  truncate(length: number): void {
    if (length < this.#length) this.#space.fill(0, length, this.#length);
    else this.write(length, Buffer.alloc(0));
    this.#length = length;
  }
}
