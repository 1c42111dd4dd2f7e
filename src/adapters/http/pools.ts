import { Client, type Dispatcher, Pool } from "undici";
import type { ConnectionTls } from "../../domain/connection-tls.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { GuardedConnector } from "./connector.ts";
import { Flight } from "./flight.ts";
import { Line } from "./line.ts";

/** A pool of connections to one origin, with what decides when it is closed. */
export interface OpenPool {
  readonly key: string;
  readonly origin: string;
  readonly tls: ConnectionTls | undefined;
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
  readonly pool: Omit<Pool.Options, "connect">;
  /** Makes the connections of those that trust and show what is given. */
  readonly connector: (tls: ConnectionTls | undefined) => GuardedConnector;
}

/**
 * The pools of all origins: memory follows what is hot, not what exists. Where a subscription says what its connections
 * trust and show, it shares them with none that says otherwise.
 */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #connect: GuardedConnector;
  readonly #open = new Map<string, OpenPool>();
  readonly #closing = new Set<Promise<void>>();
  #cancelSweep: (() => void) | undefined;

  constructor(options: PoolsOptions) {
    this.#options = options;
    this.#connect = options.connector(undefined);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Counts one use of the origin's pool, which is made where there is none. Give it back with `release`. */
  acquire(origin: string, tls?: ConnectionTls): OpenPool {
    const key = tls === undefined ? origin : `${origin} ${tls.id}`;
    let pool = this.#open.get(key);
    if (pool === undefined) {
      if (this.#open.size >= this.#options.maxPools) this.#closeOldest();
      const connect = tls === undefined ? this.#connect : this.#options.connector(tls);
      const { clock } = this.#options;
      const factory = (to: URL, options: object) => clientWith(clock, to, options, connect);
      const dispatcher = new Pool(origin, { ...this.#options.pool, connect, factory });
      pool = { key, origin, tls, dispatcher, inFlight: 0, usedAtMs: 0 };
      this.#open.set(key, pool);
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
  single({ origin, tls }: Pick<OpenPool, "origin" | "tls">): Dispatcher {
    const { connections: _, ...options } = this.#options.pool;
    const connect = tls === undefined ? this.#connect : this.#options.connector(tls);
    return clientWith(this.#options.clock, new URL(origin), { ...options, pipelining: 0 }, connect);
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
    this.#open.delete(pool.key);
    const closed = pool.dispatcher.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}

/** A client whose flights know the line that they go over. */
function clientWith(clock: Clock, origin: URL, options: Client.Options, connect: GuardedConnector): Client {
  const line = new Line(clock);
  const client = new Client(origin, { ...options, connect: (target, callback) => connect(target, callback, line) });
  const dispatch = client.dispatch.bind(client);
  client.dispatch = (request, handler) => {
    if (handler instanceof Flight) handler.line = line;
    return dispatch(request, handler);
  };
  return client;
}
