/**
 * Sends one request at a time over a connection made for it, and takes the time of each phase: for test sends and
 * challenges, whose callers wait. The engine's sender (sender.ts) keeps connections open, where most have no such phases.
 */
import type { Socket } from "node:net";
import { Client, type Dispatcher } from "undici";
import type { DirectSender, Exchange, OutboundRequest, RequestPhases } from "../../delivery/sender.ts";
import type { Clock } from "../../kernel/clock.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { checkUrl } from "../../kernel/url.ts";
import { guardedConnector } from "./connector.ts";
import { Flight, type Tower } from "./flight.ts";
import { type ResolveHost, systemResolver } from "./resolver.ts";
import { type HttpSenderOptions, notSent } from "./sender.ts";

export type DirectSenderOptions = Pick<
  HttpSenderOptions,
  | "clock"
  | "allowHttp"
  | "allowedNetworks"
  | "allowedPorts"
  | "proxy"
  | "egressAddress"
  | "resolve"
  | "connectTimeoutMs"
  | "ca"
>;

export function directSender(options: DirectSenderOptions): DirectSender {
  const { clock, resolve = systemResolver() } = options;
  const flights = new Set<Flight>();
  let isClosed = false;
  const tower: Tower = {
    clock,
    // Only a kept-alive connection can turn out to be dead, and here is none.
    resend: (flight) => flight.fail("connection.closed", "the connection ended before the response did"),
    landed: (flight) => flights.delete(flight),
  };
  return {
    async send(request) {
      const stopwatch = new Stopwatch(clock);
      const told = (exchange: Exchange) => ({ exchange, phases: stopwatch.phases() });
      if (isClosed) return told(notSent("attempt.cancelled", "passbus stops"));
      const target = checkUrl(request.url, options);
      if (!target.ok) {
        const { code, message } = target.error;
        return told(notSent(code === "guard.refused" ? code : "url.invalid", `the URL ${message}`));
      }
      const { origin, path, protocol } = target.url;
      const client = new Client(origin, clientOptions({ ...options, resolve }, request, stopwatch));
      const exchange = await new Promise<Exchange>((resolve) => {
        const flight = new Flight(request, protocol === "https:", tower, (landed) => {
          stopwatch.stop();
          resolve(landed);
        });
        flights.add(flight);
        client.dispatch(dispatched(request, path), timed(flight, stopwatch));
      });
      await client.destroy();
      return told(exchange);
    },
    close() {
      isClosed = true;
      for (const flight of [...flights]) flight.fail("attempt.cancelled", "passbus stops");
    },
  };
}

function clientOptions(
  options: DirectSenderOptions & { readonly resolve: ResolveHost },
  { tls }: OutboundRequest,
  stopwatch: Stopwatch,
): Client.Options {
  const { allowedNetworks, connectTimeoutMs = 5_000, ca, resolve, proxy, egressAddress } = options;
  return {
    connect: guardedConnector({
      allowedNetworks,
      connectTimeoutMs,
      ca,
      tls,
      proxy,
      egressAddress,
      resolve: (host) => stopwatch.resolving(resolve(host)),
      watch: (socket) => stopwatch.watch(socket),
    }),
    allowH2: false,
    // No request is sent behind another.
    pipelining: 0,
    maxHeaderSize: LIMITS.responseHeaderBytes,
    // The flight's one deadline holds.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
}

function dispatched({ method, headers, body }: OutboundRequest, path: string): Dispatcher.DispatchOptions {
  return { method, path, headers, body };
}

/** The flight, which sees everything, with a look at the clock in between. */
function timed(flight: Flight, stopwatch: Stopwatch): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      stopwatch.sent();
      flight.onRequestStart(controller);
    },
    onResponseStarted() {
      stopwatch.answered();
      flight.onResponseStarted();
    },
    onResponseStart: (controller, status, headers) => flight.onResponseStart(controller, status, headers),
    onResponseData: (controller, chunk) => flight.onResponseData(controller, chunk),
    onResponseEnd: () => flight.onResponseEnd(),
    onResponseError: (controller, error) => flight.onResponseError(controller, error),
  };
}

/** Moments of one request, by the monotonic clock. */
class Stopwatch {
  readonly #clock: Clock;
  readonly #startMs: number;
  #dnsMs: number | undefined;
  /** When the TCP connection was begun. */
  #dialledMs: number;
  #connectMs: number | undefined;
  #tlsMs: number | undefined;
  #sentMs: number | undefined;
  #firstByteMs: number | undefined;
  #totalMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.monotonic();
    this.#dialledMs = this.#startMs;
  }

  async resolving<T>(answer: Promise<T>): Promise<T> {
    const askedMs = this.#clock.monotonic();
    try {
      return await answer;
    } finally {
      this.#dialledMs = this.#clock.monotonic();
      this.#dnsMs = this.#dialledMs - askedMs;
    }
  }

  watch(socket: Socket): void {
    if (this.#dnsMs === undefined) this.#dialledMs = this.#clock.monotonic();
    let connectedMs = 0;
    socket.once("connect", () => {
      connectedMs = this.#clock.monotonic();
      this.#connectMs = connectedMs - this.#dialledMs;
    });
    socket.once("secureConnect", () => {
      this.#tlsMs = this.#clock.monotonic() - connectedMs;
    });
  }

  sent(): void {
    this.#sentMs = this.#clock.monotonic();
  }

  /** An interim response counts: it is the receiver's first word. */
  answered(): void {
    if (this.#sentMs !== undefined) this.#firstByteMs ??= this.#clock.monotonic() - this.#sentMs;
  }

  stop(): void {
    this.#totalMs = this.#clock.monotonic() - this.#startMs;
  }

  phases(): RequestPhases {
    const phases = {
      dnsMs: this.#dnsMs,
      connectMs: this.#connectMs,
      tlsMs: this.#tlsMs,
      firstByteMs: this.#firstByteMs,
    };
    return {
      ...Object.fromEntries(Object.entries(phases).filter(([, ms]) => ms !== undefined)),
      totalMs: this.#totalMs ?? 0,
    };
  }
}
