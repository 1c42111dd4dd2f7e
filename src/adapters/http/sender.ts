/**
 * Sends webhooks over undici's `dispatch` with a handler of our own (bench/sender.ts compares it). HTTP/1.1, no
 * redirects, no proxy, no decoding; the guard stands in connector.ts. docs/decisions/http-sender.md.
 */
import type { Dispatcher } from "undici";
import type { Exchange, OutboundRequest, Sender } from "../../delivery/sender.ts";
import type { NetworkSet } from "../../kernel/addresses.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { CodedError } from "../../kernel/errors.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { checkUrl, type EndpointUrl } from "../../kernel/url.ts";
import { guardedConnector } from "./connector.ts";
import { Flight, type Tower } from "./flight.ts";
import { type OpenPool, Pools } from "./pools.ts";
import type { OutboundProxy } from "./proxy.ts";
import { type ResolveHost, systemResolver } from "./resolver.ts";

export interface HttpSenderOptions {
  readonly clock: Clock;
  /** Plain http endpoints are let through. */
  readonly allowHttp: boolean;
  /** Networks that endpoints may lie in although they are not public. */
  readonly allowedNetworks: NetworkSet;
  /** The only ports that endpoints may have; left out or empty: any that no other protocol owns. */
  readonly allowedPorts?: readonly number[];
  /** Webhooks leave through it. */
  readonly proxy?: OutboundProxy | undefined;
  /** The address of this machine that connections leave from. */
  readonly egressAddress?: string | undefined;
  /** Default: DNS, then the system. */
  readonly resolve?: ResolveHost;
  /** Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Per origin. Default `LIMITS.inFlight`: the lanes cap what is in flight, and endpoints that share an origin must not wait for each other. */
  readonly connectionsPerOrigin?: number;
  /** Origins with connections kept open. Default 1,024. */
  readonly maxPools?: number;
  /** How long an unused origin's pool stays. Default 60,000. */
  readonly poolIdleMs?: number;
  /** How long an unused connection stays where the receiver doesn't say. Default 10,000. */
  readonly keepAliveMs?: number;
  /** Certificate authorities to trust instead of Node's own, in PEM. */
  readonly ca?: string;
}

type Target = { readonly ok: true; readonly url: EndpointUrl } | { readonly ok: false; readonly error: CodedError };

/** URLs are judged once, not once a request. */
const KEPT_TARGETS = 8_192;

export function httpSender(options: HttpSenderOptions): Sender {
  return new HttpSender(options);
}

class HttpSender implements Sender, Tower {
  readonly clock: Clock;
  readonly #options: HttpSenderOptions;
  readonly #pools: Pools;
  readonly #targets = new Map<string, Target>();
  readonly #flights = new Map<Flight, Route>();
  #isClosed = false;

  constructor(options: HttpSenderOptions) {
    const { clock, allowedNetworks, connectTimeoutMs = 5_000, poolIdleMs = 60_000 } = options;
    const resolve = options.resolve ?? systemResolver();
    this.clock = clock;
    this.#options = options;
    this.#pools = new Pools({
      clock,
      idleMs: poolIdleMs,
      maxPools: options.maxPools ?? 1_024,
      connector: (tls) =>
        guardedConnector({
          ...{ allowedNetworks, resolve, connectTimeoutMs },
          ca: options.ca,
          tls,
          proxy: options.proxy,
          egressAddress: options.egressAddress,
        }),
      pool: {
        connections: options.connectionsPerOrigin ?? LIMITS.inFlight,
        // Or the pool would make one connection at first, to learn the protocol.
        allowH2: false,
        pipelining: 1,
        maxHeaderSize: LIMITS.responseHeaderBytes,
        keepAliveTimeout: options.keepAliveMs ?? 10_000,
        keepAliveMaxTimeout: poolIdleMs,
        // The flight's one deadline holds; two more timers a request would only cost.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
    });
  }

  send(request: OutboundRequest): Promise<Exchange> {
    if (this.#isClosed) return Promise.resolve(notSent("attempt.cancelled", "passbus stops"));
    const target = this.#target(request.url);
    if (!target.ok) {
      const { code, message } = target.error;
      const reason = code === "guard.refused" ? code : "url.invalid";
      return Promise.resolve(notSent(reason, `the URL ${message}`));
    }
    const { url } = target;
    return new Promise((resolve) => {
      const flight = new Flight(request, url.protocol === "https:", this, resolve);
      const pool = this.#pools.acquire(url.origin, request.tls);
      this.#flights.set(flight, { pool, path: url.path });
      dispatch(pool.dispatcher, url.path, flight);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const flight of [...this.#flights.keys()]) {
      flight.fail("attempt.cancelled", "passbus stops");
    }
    await this.#pools.destroy();
  }

  resend(flight: Flight): void {
    const route = this.#flights.get(flight);
    if (route === undefined) return;
    dispatch(this.#pools.single(route.pool), route.path, flight);
  }

  landed(flight: Flight): void {
    const route = this.#flights.get(flight);
    if (route === undefined) return;
    this.#flights.delete(flight);
    this.#pools.release(route.pool);
  }

  #target(text: string): Target {
    const known = this.#targets.get(text);
    if (known !== undefined) return known;
    const target = checkUrl(text, this.#options);
    if (this.#targets.size >= KEPT_TARGETS) this.#targets.clear();
    this.#targets.set(text, target);
    return target;
  }
}

/** Where a flight's connection comes from. */
interface Route {
  readonly pool: OpenPool;
  readonly path: string;
}

function dispatch(dispatcher: Dispatcher, path: string, flight: Flight): void {
  const { method, headers, body } = flight.request;
  dispatcher.dispatch({ method, path, headers, body }, flight);
}

/** What comes of a request that is not let out. */
export function notSent(reason: "url.invalid" | "guard.refused" | "attempt.cancelled", message: string): Exchange {
  return { kind: "failure", reason, message, durationMs: 0 };
}
