import { hash } from "node:crypto";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** Makes new ids. Both parts are ours to hold in a test. */
export interface IdSource {
  /** `<prefix>_` and a UUIDv7 without dashes: sorts by the time of its making. */
  next(prefix: string): string;
}

export function idSource(clock: Clock, random: Random): IdSource {
  return { next: (prefix) => `${prefix}_${uuidV7(clock.now(), random.bytes(10))}` };
}

/** UUIDv7 (RFC 9562 §5.7) as 32 hex digits: 48 bits of Unix milliseconds, version, variant, 74 random bits. */
export function uuidV7(unixMs: number, entropy: Uint8Array): string {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(unixMs, 0, 6);
  bytes.set(entropy.subarray(0, 10), 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes.toString("hex");
}

/**
 * `<prefix>_` and 128 bits of SHA-256 over the parts, in base64url. The parts are joined by U+0000, which none of them
 * may hold, so that ("a","bc") and ("ab","c") differ.
 */
export function derivedId(prefix: string, parts: readonly string[]): string {
  return `${prefix}_${hash("sha256", parts.join("\0"), "base64url").slice(0, 22)}`;
}
