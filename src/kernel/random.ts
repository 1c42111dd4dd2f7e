import { randomBytes } from "node:crypto";

/** Chance, as the rooms see it. */
export interface Random {
  /** Uniform in [0, 1). Not for secrets. */
  next(): number;
  /** Cryptographically strong bytes. */
  bytes(count: number): Uint8Array;
}

/** Asking the system costs 1.5 µs however few bytes it is for, so small requests share one answer. */
const POOL_BYTES = 8_192;
const POOLED_BYTES = 64;
let pool = Buffer.alloc(0);
let poolAt = 0;

export const systemRandom: Random = {
  next: () => Math.random(),
  bytes(count) {
    if (count > POOLED_BYTES) return randomBytes(count);
    if (poolAt + count > pool.length) {
      pool = randomBytes(POOL_BYTES);
      poolAt = 0;
    }
    poolAt += count;
    // Copied and then overwritten, so that no byte is handed out twice and none stays behind.
    const bytes = Uint8Array.prototype.slice.call(pool, poolAt - count, poolAt);
    pool.fill(0, poolAt - count, poolAt);
    return bytes;
  },
};

/** A repeatable source for tests and simulations (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { next, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)) };
}
