/**
 * The connections of the port: which are open, what each may cost, and how they end. A connection that was never used
 * with a key that counts makes room for a newer one where there are too many; one of HTTP/2 that sends much and asks
 * for little is cut (RFC 9113 §10.5: PING, SETTINGS, WINDOW_UPDATE, PRIORITY and whatever is thought of next are legal
 * each by itself).
 */
import { constants, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../kernel/clock.ts";
import type { LIMITS } from "../kernel/limits.ts";
import type { HttpResponse } from "./port.ts";

/** What one client may take of the port. */
export type PortLimits = { readonly [name in keyof typeof LIMITS & `port${string}`]: number };

/** The connection that a request came over. */
export interface Connection {
  /** With TLS, what was laid over it. */
  readonly socket: Socket;
  /** A key that counts came over it. */
  trust(): void;
  /** So many bytes of a body were wanted. */
  took(bytes: number): void;
}

/** Between two looks at what came over the connections of HTTP/2. */
const LOOK_EVERY_MS = 200;
/** Of what a connection sent, a call that it began answers for. */
const HEADER_CREDIT_BYTES = 2 * 1_024;

interface Session {
  readonly session: ServerHttp2Session;
  /** Which the session reads: with TLS it is not the connection's own. */
  readonly socket: Socket;
  readonly openedAtMs: number;
  /** Its settings have come: the preface is over. */
  settled: boolean;
  calls: number;
  /** Of all it sent, what was wanted: headers of calls and the bodies that were read. */
  wantedBytes: number;
  /** What it may send beside, and when that was reckoned. */
  budgetBytes: number;
  seenBytes: number;
  seenAtMs: number;
}

export class Connections {
  readonly #clock: Clock;
  readonly #limits: PortLimits;
  readonly #sockets = new Set<Socket>();
  readonly #byEnds = new Map<string, Socket>();
  /** Those that nobody with a key has used, the oldest first, and what is done when somebody does. */
  readonly #strangers = new Map<Socket, () => void>();
  readonly #silent = new Set<Socket>();
  readonly #sessions = new Map<Socket, Session>();
  readonly #callsUnderWay = new Map<Socket, Set<HttpResponse>>();
  /** Those that showed a client's certificate, with the TLS that was laid over each. */
  readonly #certified = new Map<Socket, Socket>();
  /** Of them those that end with their last call. */
  readonly #leaving = new Map<Socket, Socket>();
  /** Their certificates were judged, or are being judged, by lists that hold no longer. */
  readonly #judgedBefore = new WeakSet<Socket>();
  #draining = false;
  #closeIdle: () => void = () => {};
  #empty: () => void = () => {};
  #cancelLook: (() => void) | undefined;

  constructor(clock: Clock, limits: PortLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  connected(socket: Socket): void {
    this.#sockets.add(socket);
    this.#strangers.set(socket, () => {});
    const ends = endsOf(socket);
    this.#byEnds.set(ends, socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#byEnds.get(ends) === socket) this.#byEnds.delete(ends);
      this.#strangers.delete(socket);
      this.#silent.delete(socket);
      this.#sessions.delete(socket);
      this.#callsUnderWay.delete(socket);
      this.#certified.delete(socket);
      this.#leaving.delete(socket);
      if (this.#sockets.size === 0) this.#empty();
    });
    if (this.#sockets.size <= this.#limits.portConnections) return;
    const [oldest = socket] = this.#strangers.keys();
    oldest.destroy();
  }

  /** The connection that a socket belongs to: itself, or what TLS was laid over. */
  of(socket: Socket): Socket {
    return this.#sockets.has(socket) ? socket : (this.#byEnds.get(endsOf(socket)) ?? socket);
  }

  /** Nobody with a key that counts has used it. */
  isStranger(connection: Socket): boolean {
    return this.#strangers.has(connection);
  }

  /** Once, if it ever comes to that. */
  whenTrusted(connection: Socket, task: () => void): void {
    if (this.#strangers.has(connection)) this.#strangers.set(connection, task);
  }

  #trust(connection: Socket): void {
    const task = this.#strangers.get(connection);
    this.#strangers.delete(connection);
    task?.();
  }

  /** It has said nothing yet. */
  silent(socket: Socket): void {
    if (this.#draining) socket.destroy();
    else this.#silent.add(socket);
  }

  spoke(socket: Socket): void {
    this.#silent.delete(socket);
  }

  opened(session: ServerHttp2Session, socket: Socket): void {
    const nowMs = this.#clock.monotonic();
    const { portFloodBytes: budgetBytes } = this.#limits;
    const opened = { session, socket, openedAtMs: nowMs, settled: false, calls: 0, wantedBytes: 0 };
    const open: Session = { ...opened, budgetBytes, seenBytes: 0, seenAtMs: nowMs };
    const connection = this.of(socket);
    if (this.#sockets.has(connection)) this.#sessions.set(connection, open);
    session.once("remoteSettings", () => {
      open.settled = true;
    });
    if (this.#draining) session.close();
    else this.#lookLater();
  }

  /** A request has come whose headers are whole; answers the connection, or nothing where it asks too much at once. */
  began(over: Socket, response: HttpResponse): Connection | undefined {
    const socket = this.of(over);
    // Of what it sent before it was cut, or before it heard that it ends, some more may be read.
    if (socket.destroyed || !this.#sockets.has(socket) || this.#leaving.has(socket)) return undefined;
    const underWay = this.#callsUnderWay.get(socket) ?? new Set();
    this.#callsUnderWay.set(socket, underWay.add(response));
    response.once("close", () => {
      underWay.delete(response);
      if (this.#underWay(socket) === 0) this.#leaving.get(socket)?.destroySoon();
      if (this.#draining) this.#closeIdle();
    });
    const session = this.#sessions.get(socket);
    // Of HTTP/2 its settings say how many, to who has acknowledged them; those that ended are counted a moment longer.
    const most = session === undefined ? this.#limits.portPipelined : 2 * this.#limits.portCalls;
    if (underWay.size > most) {
      socket.destroy();
      return undefined;
    }
    if (session !== undefined) {
      session.calls += 1;
      session.wantedBytes += HEADER_CREDIT_BYTES;
    }
    return {
      socket: over,
      trust: () => this.#trust(socket),
      took: (bytes) => {
        if (session !== undefined) session.wantedBytes += bytes;
      },
    };
  }

  #underWay(socket: Socket): number {
    return this.#callsUnderWay.get(socket)?.size ?? 0;
  }

  /** Its handshake is over, and a certificate was shown. */
  certified(connection: Socket, tls: Socket): void {
    // It may have gone meanwhile, and nobody would forget it.
    const isOpen = this.#sockets.has(connection);
    if (!isOpen || this.#judgedBefore.has(connection)) tls.destroy();
    else this.#certified.set(connection, tls);
  }

  /** Certificates are judged anew from now on: who showed one connects again, when his calls are done or time is up. */
  renewCertified(): void {
    for (const socket of this.#sockets) this.#judgedBefore.add(socket);
    for (const [socket, tls] of this.#certified) {
      const session = this.#sessions.get(socket)?.session;
      const underWay = this.#callsUnderWay.get(socket) ?? [];
      if (session !== undefined) session.close();
      else if (this.#underWay(socket) === 0) tls.destroy();
      else this.#leaving.set(socket, tls);
      for (const response of underWay) if ("shouldKeepAlive" in response) response.shouldKeepAlive = false;
      socket.once(
        "close",
        this.#clock.after(this.#limits.portRenewMs, () => tls.destroy()),
      );
    }
    this.#certified.clear();
  }

  onIdle(closeIdle: () => void): void {
    this.#closeIdle = closeIdle;
  }

  /** Closes what is idle at once, what is at work when it is done; after `graceMs` all that is left. */
  async finish(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#cancelLook?.();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#empty = resolve;
    this.#closeIdle();
    for (const socket of this.#silent) socket.destroy();
    for (const { session } of this.#sessions.values()) session.close();
    if (this.#sockets.size === 0) return;
    const cancel = this.#clock.after(graceMs, resolve);
    await promise;
    cancel();
    for (const socket of this.#sockets) socket.destroy();
  }

  #lookLater(): void {
    if (this.#draining) return;
    this.#cancelLook ??= this.#clock.after(LOOK_EVERY_MS, () => {
      this.#cancelLook = undefined;
      for (const session of this.#sessions.values()) this.#look(session);
      if (this.#sessions.size > 0) this.#lookLater();
    });
  }

  #look(open: Session): void {
    const { portFloodBytes, portFloodBytesPerSecond, portHeadersTimeoutMs, portUnusedMs } = this.#limits;
    const nowMs = this.#clock.monotonic();
    const beside = open.socket.bytesRead - open.wantedBytes;
    const refilled = open.budgetBytes + ((nowMs - open.seenAtMs) / 1_000) * portFloodBytesPerSecond;
    open.budgetBytes = Math.min(portFloodBytes, refilled - Math.max(0, beside - open.seenBytes));
    open.seenBytes = Math.max(open.seenBytes, beside);
    open.seenAtMs = nowMs;
    const ageMs = nowMs - open.openedAtMs;
    if (open.budgetBytes < 0) end(open, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else if (!open.settled && ageMs > portHeadersTimeoutMs) end(open, constants.NGHTTP2_SETTINGS_TIMEOUT);
    else if (open.calls === 0 && ageMs > portUnusedMs) open.session.close();
  }
}

function end({ session, socket }: Session, code: number): void {
  session.destroy(undefined, code);
  // Who floods may well not read: there is no waiting for the last frame to be taken.
  socket.destroy();
}

/** No two live connections have the same ends: of a port that listens at several addresses, both of them. */
function endsOf({ remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
