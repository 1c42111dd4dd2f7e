/**
 * The one port: gRPC (HTTP/2), gRPC-Web and Connect (HTTP/1.1 or HTTP/2) on the same address. Without TLS the first
 * bytes of a connection say which HTTP it speaks; with TLS the handshake (ALPN) does.
 */
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer as createHttps } from "node:https";
import type { Server, Socket } from "node:net";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** Where to listen. Port 0 takes any that is free. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** PEM texts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export interface PortOptions {
  readonly listen: ListenAddress;
  readonly tls?: TlsFiles;
  readonly clock: Clock;
  readonly serve: (request: HttpRequest, response: HttpResponse) => void;
}

export interface Port {
  readonly address: ListenAddress;
  /** Takes no new connections and calls; what is in flight ends by itself within `graceMs`, the rest is cut. */
  stop(graceMs: number): Promise<void>;
}

/** What one client may take of the port. */
const PORT_LIMITS = {
  connections: 10_000,
  headerBytes: 16 * 1_024,
  headers: 100,
  /** From the first byte of a request's header to its last; also how long a new connection may say nothing. */
  headersTimeoutMs: 10_000,
  /** A whole HTTP/1.1 request; the answer has the call's own deadline. */
  requestTimeoutMs: LIMITS.requestDeadlineMs,
  /** An idle HTTP/1.1 connection is kept this long, as load balancers expect (they keep 60 s). */
  keepAliveMs: 65_000,
  /** An HTTP/2 connection without a frame is closed after this. */
  sessionIdleMs: 10 * 60_000,
  /** TCP probes, so that a connection whose peer vanished ends. */
  tcpProbeMs: 60_000,
  streams: 256,
  /** How much of one call's body may be under way: a batch of 100 events without waiting for the other side. */
  streamWindowBytes: 256 * 1_024,
  sessionWindowBytes: 1_024 * 1_024,
} as const;

/** How every HTTP/2 connection begins (RFC 9113 §3.4); no HTTP/1.1 method does. */
const HTTP2_BEGINS = Buffer.from("PRI ");

type ServeSocket = (socket: Socket) => void;

export async function openPort(options: PortOptions): Promise<Port> {
  const drain = new Drain(options.clock);
  const serve = (request: HttpRequest, response: HttpResponse) => {
    drain.began(response);
    options.serve(request, response);
  };
  const http2 = http2Server(serve, drain);
  const serveHttp2: ServeSocket = (socket) => {
    http2.emit("connection", socket);
  };
  const http1 = {
    maxHeaderSize: PORT_LIMITS.headerBytes,
    headersTimeout: PORT_LIMITS.headersTimeoutMs,
    requestTimeout: PORT_LIMITS.requestTimeoutMs,
    keepAliveTimeout: PORT_LIMITS.keepAliveMs,
    keepAlive: true,
    keepAliveInitialDelay: PORT_LIMITS.tcpProbeMs,
    noDelay: true,
  };
  const { tls } = options;
  const front =
    tls === undefined ? createHttp1(http1) : createHttps({ ...http1, ...tls, ALPNProtocols: ["h2", "http/1.1"] });
  front.maxHeadersCount = PORT_LIMITS.headers;
  front.maxConnections = PORT_LIMITS.connections;
  front.on("request", serve);

  // The HTTP/1.1 server listens, since only then does it hold its timeouts; what it would do with a new connection is
  // kept aside for those that turn out to speak HTTP/1.1.
  const ready = tls === undefined ? "connection" : "secureConnection";
  const [connectionListener] = front.listeners(ready);
  if (connectionListener === undefined) throw new CodedError("internal", "node:http takes no connections");
  front.removeAllListeners(ready);
  const serveHttp1: ServeSocket = (socket) => {
    connectionListener.call(front, socket);
  };
  front.on("connection", (socket: Socket) => drain.connected(socket));
  if (tls === undefined) front.on(ready, (socket: Socket) => sniff(socket, drain, serveHttp1, serveHttp2));
  else front.on(ready, (socket: Socket) => (isHttp2(socket) ? serveHttp2(socket) : serveHttp1(socket)));

  await listening(front, options.listen);
  const bound = front.address();
  if (bound === null || typeof bound === "string") throw new CodedError("internal", "the port has no address");
  return {
    address: { host: bound.address, port: bound.port },
    stop: async (graceMs) => {
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      drain.onIdle(() => front.closeIdleConnections());
      await drain.finish(graceMs);
      await closed;
    },
  };
}

function http2Server(serve: PortOptions["serve"], drain: Drain): Http2Server {
  const server = createHttp2({
    settings: {
      maxConcurrentStreams: PORT_LIMITS.streams,
      maxHeaderListSize: PORT_LIMITS.headerBytes,
      initialWindowSize: PORT_LIMITS.streamWindowBytes,
    },
    maxHeaderListPairs: PORT_LIMITS.headers,
  });
  server.on("request", serve);
  server.on("session", (session) => {
    session.setLocalWindowSize(PORT_LIMITS.sessionWindowBytes);
    session.setTimeout(PORT_LIMITS.sessionIdleMs, () => session.close());
    // A connection that breaks ends its calls; there is nobody to tell.
    session.on("error", () => session.destroy());
    drain.opened(session);
  });
  return server;
}

function isHttp2(socket: Socket): boolean {
  return "alpnProtocol" in socket && socket.alpnProtocol === "h2";
}

/** Reads as much as tells HTTP/2 from HTTP/1.1, puts it back, and hands the connection on. */
function sniff(socket: Socket, drain: Drain, serveHttp1: ServeSocket, serveHttp2: ServeSocket): void {
  let seen: Buffer = Buffer.alloc(0);
  const cut = () => socket.destroy();
  const look = (chunk: Buffer) => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, HTTP2_BEGINS.length);
    const may = seen.compare(HTTP2_BEGINS, 0, length, 0, length) === 0;
    if (may && length < HTTP2_BEGINS.length) return;
    socket.off("data", look);
    socket.off("error", cut);
    socket.off("end", cut);
    socket.setTimeout(0);
    socket.off("timeout", cut);
    drain.spoke(socket);
    socket.pause();
    socket.unshift(seen);
    if (may) serveHttp2(socket);
    else serveHttp1(socket);
    // HTTP/2 takes what was put back by itself; HTTP/1.1 wants it to flow.
    if (!may) process.nextTick(() => socket.resume());
  };
  drain.silent(socket);
  socket.setTimeout(PORT_LIMITS.headersTimeoutMs);
  socket.on("timeout", cut);
  socket.on("error", cut);
  socket.on("end", cut);
  socket.on("data", look);
}

function listening(server: Server, at: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.port, at.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Knows what is open, and closes it: what is idle at once, what is at work when it is done. */
class Drain {
  readonly #clock: Clock;
  readonly #sockets = new Set<Socket>();
  readonly #silent = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #draining = false;
  #closeIdle: () => void = () => {};
  #empty: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#silent.delete(socket);
      if (this.#sockets.size === 0) this.#empty();
    });
  }

  /** It has said nothing yet. */
  silent(socket: Socket): void {
    if (this.#draining) socket.destroy();
    else this.#silent.add(socket);
  }

  spoke(socket: Socket): void {
    this.#silent.delete(socket);
  }

  opened(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once("close", () => this.#sessions.delete(session));
    if (this.#draining) session.close();
  }

  began(response: HttpResponse): void {
    response.once("close", () => {
      if (this.#draining) this.#closeIdle();
    });
  }

  onIdle(closeIdle: () => void): void {
    this.#closeIdle = closeIdle;
  }

  async finish(graceMs: number): Promise<void> {
    this.#draining = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#empty = resolve;
    this.#closeIdle();
    for (const socket of this.#silent) socket.destroy();
    for (const session of this.#sessions) session.close();
    if (this.#sockets.size === 0) return;
    const cancel = this.#clock.after(graceMs, resolve);
    await promise;
    cancel();
    for (const socket of this.#sockets) socket.destroy();
  }
}
