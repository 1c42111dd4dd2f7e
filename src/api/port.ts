/**
 * The one port: gRPC (HTTP/2), gRPC-Web and Connect (HTTP/1.1 or HTTP/2) on the same address. Without TLS the first
 * bytes of a connection say which HTTP it speaks; with TLS the handshake (ALPN) does.
 */

import { constants } from "node:crypto";
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
} from "node:http2";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { peerNetwork } from "../access/peer.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { addressOf } from "./access-peer.ts";
import { type Connection, Connections, type PortLimits } from "./connections.ts";
import { framingFault } from "./framing.ts";
import { type PacedSocket, pacedSocket, StrangersTurns } from "./paced-socket.ts";

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
  /** The authorities of clients' certificates, which are asked for then, and not required. */
  readonly clientCa?: string;
  /** Their revocation lists, one of each; who shows a certificate that is on one is refused. */
  readonly clientCrls?: readonly string[];
}

export interface PortOptions {
  readonly listen: ListenAddress;
  readonly tls?: TlsFiles;
  readonly clock: Clock;
  readonly serve: (request: HttpRequest, response: HttpResponse, connection: Connection) => void;
  /** Those of a test that doesn't wait for real ones. */
  readonly limits?: Partial<PortLimits>;
}

export interface Port {
  readonly address: ListenAddress;
  /**
   * Connections from now on are made with these, and those with a client's certificate end when their calls are done,
   * within `portRenewMs`. Nothing happens where there was no TLS.
   */
  replaceTls(tls: TlsFiles): void;
  /** Takes no new connections and calls; what is in flight ends by itself within `graceMs`, the rest is cut. */
  stop(graceMs: number): Promise<void>;
}

/** TCP probes, so that a connection whose peer vanished ends. */
const TCP_PROBE_MS = 60_000;

/** How often node:http looks which requests have come too slowly; each look passes by those that have time left. */
const LOOK_EVERY_MS = 1_000;

/** How every HTTP/2 connection begins (RFC 9113 §3.4); no HTTP/1.1 method does. */
const HTTP2_BEGINS = Buffer.from("PRI ");

/** `first` was read from it already. */
type ServeSocket = (socket: Socket, isOfHttp2: boolean, first?: Buffer) => void;

export async function openPort(options: PortOptions): Promise<Port> {
  const limits: PortLimits = { ...LIMITS, ...options.limits };
  const connections = new Connections(options.clock, limits);
  const serve: Serve = (socket, request, response) => {
    // Who goes away in the middle of a body is an error of the request's, and one that nobody listens for ends passbus.
    request.on("error", () => {});
    response.on("error", () => {});
    const connection = connections.began(socket, response);
    if (connection !== undefined) options.serve(request, response, connection);
  };
  const turns = new StrangersTurns(options.clock, limits);
  const serveHttp2 = http2Server(serve, connections, limits);
  const http1 = http1Options(limits);
  const { tls } = options;
  const handshakeTimeout = limits.portHeadersTimeoutMs;
  const front =
    tls === undefined
      ? createHttp1(http1)
      : createHttps({ ...http1, ...tlsOptions(tls), handshakeTimeout, ALPNProtocols: ["h2", "http/1.1"] });
  front.maxHeadersCount = limits.portHeaders;
  front.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const fault = framingFault(request);
    const over = paced.get(request.socket);
    over?.stream.asked();
    if (fault === undefined) serve(over?.socket ?? request.socket, request, response);
    else refuse(response, fault);
  });

  // The HTTP/1.1 server listens, since only then does it hold its timeouts; what it would do with a new connection is
  // kept aside for those that turn out to speak HTTP/1.1.
  const ready = tls === undefined ? "connection" : "secureConnection";
  const [connectionListener] = front.listeners(ready);
  if (connectionListener === undefined) throw new CodedError("internal", "node:http takes no connections");
  front.removeAllListeners(ready);
  const paced = new WeakMap<Duplex, Over>();
  const serveSocket: ServeSocket = (socket, isOfHttp2, first) => {
    const connection = connections.of(socket);
    const stream = pacedSocket(socket, first, {
      turns,
      network: peerNetwork(addressOf({ socket })),
      isStranger: () => connections.isStranger(connection),
      newcomerBytes: limits.portHeaderBytes,
    });
    connections.whenTrusted(connection, () => stream.trusted());
    paced.set(stream, { socket, stream });
    if (isOfHttp2) serveHttp2({ socket, stream });
    else connectionListener.call(front, stream);
  };
  front.on("connection", (socket: Socket) => connections.connected(socket));
  if (tls === undefined) front.on(ready, (socket: Socket) => sniff(socket, limits, connections, serveSocket));
  else front.on(ready, (socket: TLSSocket) => shaken(socket, connections) && serveSocket(socket, isHttp2(socket)));

  await listening(front, options.listen);
  const bound = front.address();
  if (bound === null || typeof bound === "string") throw new CodedError("internal", "the port has no address");
  return {
    address: { host: bound.address, port: bound.port },
    replaceTls: (files) => "setSecureContext" in front && replaceTls(front, files, connections),
    stop: async (graceMs) => {
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      connections.onIdle(() => front.closeIdleConnections());
      await connections.finish(graceMs);
      await closed;
    },
  };
}

function http1Options(limits: PortLimits) {
  return {
    maxHeaderSize: limits.portHeaderBytes,
    headersTimeout: limits.portHeadersTimeoutMs,
    requestTimeout: limits.portRequestTimeoutMs,
    connectionsCheckingInterval: Math.min(LOOK_EVERY_MS, limits.portHeadersTimeoutMs),
    keepAliveTimeout: limits.portKeepAliveMs,
    keepAlive: true,
    keepAliveInitialDelay: TCP_PROBE_MS,
    noDelay: true,
  };
}

/**
 * A certificate that isn't the authorities' does not end the handshake: nobody looks at it (client-certificate.ts). With
 * lists no session is resumed: its certificate isn't verified again, and a list goes out of date all by itself. Node keeps
 * no sessions on this side, so tickets are all that could be resumed, in TLS 1.2 and 1.3. Nor is a session of TLS 1.2
 * negotiated again: a certificate that is shown later would pass by all that is done with one at the handshake.
 */
function tlsOptions({ cert, key, clientCa, clientCrls }: TlsFiles) {
  // Said outright, against --tls-min-v1.0.
  const pair = { cert, key, minVersion: "TLSv1.2", secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;
  if (clientCa === undefined) return pair;
  const withoutTickets = pair.secureOptions | constants.SSL_OP_NO_TICKET;
  const crl = clientCrls === undefined ? {} : { crl: [...clientCrls], secureOptions: withoutTickets };
  return { ...pair, ca: clientCa, ...crl, requestCert: true, rejectUnauthorized: false };
}

function replaceTls(front: HttpsServer, files: TlsFiles, connections: Connections): void {
  // Session tickets are new too: nobody takes up a session that was made with other authorities.
  front.setSecureContext(tlsOptions(files));
  connections.renewCertified();
}

/** Its handshake is over. False where nothing more is to come of it. */
function shaken(socket: TLSSocket, connections: Connections): boolean {
  const { authorizationError } = socket;
  // Not merely passed over: whoever has a certificate that was taken back finds nothing here, with an API key or without.
  if (String(authorizationError) === "CERT_REVOKED") socket.destroy();
  else if (socket.getPeerX509Certificate() !== undefined) connections.certified(connections.of(socket), socket);
  return !socket.destroyed;
}

/** A connection, and what its server reads it through. */
interface Over {
  readonly socket: Socket;
  readonly stream: PacedSocket;
}

/** `socket` is the connection that it came over. */
type Serve = (socket: Socket, request: HttpRequest, response: HttpResponse) => void;

function http2Server(serve: Serve, connections: Connections, limits: PortLimits): (over: Over) => void {
  const server = createHttp2({
    settings: {
      maxConcurrentStreams: limits.portCalls,
      maxHeaderListSize: limits.portHeaderBytes,
      initialWindowSize: limits.portStreamWindowBytes,
    },
    maxHeaderListPairs: limits.portHeaders,
    streamResetBurst: limits.portResets,
    streamResetRate: limits.portResetsPerSecond,
  });
  const sessions = new WeakMap<Http2Session, Over>();
  server.on("request", (request, response) => {
    const over = request.stream.session === undefined ? undefined : sessions.get(request.stream.session);
    if (over === undefined) return;
    const { socket, stream } = over;
    stream.asked();
    // What was taken back in the breath that asked for it (CVE-2023-44487) costs no call: its end has been read by then.
    stream.afterNextPiece(() => {
      if (!request.stream.destroyed && !request.stream.closed) serve(socket, request, response);
    });
  });
  return ({ socket, stream }) => {
    // The session is made before `emit` returns, and says nothing before.
    server.once("session", (session) => {
      session.setLocalWindowSize(limits.portSessionWindowBytes);
      session.setTimeout(limits.portSessionIdleMs, () => session.close());
      // A connection that breaks ends its calls; there is nobody to tell.
      session.on("error", () => session.destroy());
      connections.opened(session, socket);
      sessions.set(session, { socket, stream });
    });
    server.emit("connection", stream);
  };
}

/** The connection goes too: where its next request begins is not certain. */
function refuse(response: ServerResponse, status: number): void {
  response.shouldKeepAlive = false;
  response.statusCode = status;
  response.setHeader("connection", "close");
  response.end();
}

function isHttp2(socket: Socket): boolean {
  return "alpnProtocol" in socket && socket.alpnProtocol === "h2";
}

/** Reads as much as tells HTTP/2 from HTTP/1.1, and hands the connection on with it. */
function sniff(socket: Socket, limits: PortLimits, connections: Connections, serve: ServeSocket): void {
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
    connections.spoke(socket);
    socket.pause();
    serve(socket, may, seen);
  };
  connections.silent(socket);
  socket.setTimeout(limits.portHeadersTimeoutMs);
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
