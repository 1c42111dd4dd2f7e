import { Client, type Dispatcher, Pool } from "undici";
import type { Clock } from "../../kernel/clock.ts";

/** A pool of connections to one origin, with what decides when it is closed. */
export interface OpenPool {
  readonly origin: string;
  readonly dispatcher: Pool;
  inFlight: number;
  /** On the monotonic clock. */
  usedAtMs: number;
}

export interface PoolsOptions {
  readonly clock: Clock;
  /** A pool that was not used for so long is closed. */
  readonly idleMs: number;
  /** Beyond it the idle pool that was used longest ago is closed; pools in use may be more. */
  readonly maxPools: number;
  readonly pool: Pool.Options;
}

/** The pools of all origins: memory follows what is hot, not what exists. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #open = new Map<string, OpenPool>();
  readonly #closing = new Set<Promise<void>>();
  #cancelSweep: (() => void) | undefined;

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Counts one use of the origin's pool, which is made where there is none. Give it back with `release`. */
  acquire(origin: string): OpenPool {
    let pool = this.#open.get(origin);
    if (pool === undefined) {
      if (this.#open.size >= this.#options.maxPools) this.#closeOldest();
      const dispatcher = new Pool(origin, this.#options.pool);
      pool = { origin, dispatcher, inFlight: 0, usedAtMs: 0 };
      this.#open.set(origin, pool);
      this.#cancelSweep ??= this.#sweepLater();
    }
    pool.inFlight += 1;
    return pool;
  }

  release(pool: OpenPool): void {
    pool.inFlight -= 1;
    pool.usedAtMs = this.#options.clock.monotonic();
  }

  /** One connection for one request. It ends with the request, and needs no closing. */
  single(origin: string): Dispatcher {
    const { connections: _, ...options } = this.#options.pool;
    return new Client(origin, { ...options, pipelining: 0 });
  }

  /** Cuts all connections. */
  async destroy(): Promise<void> {
    this.#cancelSweep?.();
    const pools = [...this.#open.values()];
    this.#open.clear();
    await Promise.all([...pools.map(({ dispatcher }) => dispatcher.destroy()), ...this.#closing]);
  }

  #sweepLater(): () => void {
    const { clock, idleMs } = this.#options;
    return clock.after(idleMs / 2, () => {
      const oldestMs = clock.monotonic() - idleMs;
      for (const pool of this.#open.values()) {
        if (pool.inFlight === 0 && pool.usedAtMs <= oldestMs) this.#close(pool);
      }
      this.#cancelSweep = this.#open.size === 0 ? undefined : this.#sweepLater();
    });
  }

  #closeOldest(): void {
    let oldest: OpenPool | undefined;
    for (const pool of this.#open.values()) {
      const isOlder = oldest === undefined || pool.usedAtMs < oldest.usedAtMs;
      if (pool.inFlight === 0 && isOlder) oldest = pool;
    }
    if (oldest !== undefined) this.#close(oldest);
  }

  #close(pool: OpenPool): void {
    this.#open.delete(pool.origin);
    const closed = pool.dispatcher.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
