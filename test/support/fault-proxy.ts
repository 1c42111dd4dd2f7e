/**
 * A TCP proxy of the tests' own, to stand between passbus and a receiver, a broker or a store. What it does to what
 * passes is switched while it runs, for connections that stand as for new ones. Each direction of a connection is a
 * queue of what came, in order; the mode is looked at when something leaves it.
 */
import { EventEmitter, once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export type FaultMode =
  | { readonly kind: "pass" }
  /** Everything arrives so much later, in both directions; no less of it at a time. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Connections that stand get a RST, and new ones as soon as they are made. */
  | { readonly kind: "reset" }
  /** Takes connections and bytes, passes nothing on, never answers. What it swallowed stays lost in later modes. */
  | { readonly kind: "half-open" }
  /** So many bytes a second, in each direction of each connection. */
  | { readonly kind: "drip"; readonly bytesPerSecond: number }
  /** One bit is flipped in each 64 bytes on their way to `towards`: in a chunk's first byte, its 65th, and so on. */
  | { readonly kind: "corrupt"; readonly towards: "client" | "server" }
  /** Nothing passes, no end either, and connections hang: what was sent arrives when the partition is over. */
  | { readonly kind: "partition" }
  /** Nobody listens at the port, and what stood is cut. */
  | { readonly kind: "refuse" };

export interface FaultProxyTarget {
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Where the proxy listens, on 127.0.0.1; default: any free port. */
  readonly listenPort?: number;
}

const PASS: FaultMode = { kind: "pass" };

export class FaultProxy implements AsyncDisposable {
  readonly port: number;
  /** Connections that were taken so far. */
  accepted = 0;
  readonly #target: FaultProxyTarget;
  readonly #connections = new Set<Connection>();
  readonly #switch = new Switch();
  #server: Server | undefined;

  private constructor(server: Server, port: number, target: FaultProxyTarget) {
    this.port = port;
    this.#target = target;
    this.#take(server);
  }

  static async start(target: FaultProxyTarget): Promise<FaultProxy> {
    const server = await listen(target.listenPort ?? 0);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy has no port");
    return new FaultProxy(server, address.port, target);
  }

  get mode(): FaultMode {
    return this.#switch.mode;
  }

  /** Connections that stand now. */
  get open(): number {
    return this.#connections.size;
  }

  /** From now on it does this. Resolves when that is so for the port too. */
  async set(mode: FaultMode): Promise<void> {
    this.#switch.set(mode);
    if (mode.kind === "reset" || mode.kind === "refuse") for (const connection of this.#connections) connection.reset();
    if (mode.kind === "refuse") await this.#close();
    else if (this.#server === undefined) this.#take(await listen(this.port));
  }

  pass(): Promise<void> {
    return this.set(PASS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.reset();
    await this.#close();
  }

  #take(server: Server): void {
    this.#server = server;
    server.on("connection", (client: Socket) => {
      this.accepted += 1;
      if (this.mode.kind === "reset") {
        client.on("error", () => {});
        client.resetAndDestroy();
        return;
      }
      const connection = new Connection(client, this.#target, this.#switch, () => this.#connections.delete(connection));
      this.#connections.add(connection);
    });
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, "close");
    server.close();
    await closed;
  }
}

async function listen(port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** The mode, and news of it. */
class Switch extends EventEmitter {
  mode: FaultMode = PASS;

  constructor() {
    super();
    // Two listeners a connection.
    this.setMaxListeners(0);
  }

  set(mode: FaultMode): void {
    this.mode = mode;
    this.emit("mode");
  }

  /** Resolves with the next switch, at the latest after `limitMs`; at once where the connection is over. */
  async next(over: AbortSignal, limitMs?: number): Promise<void> {
    const settled = new AbortController();
    const signal = AbortSignal.any([over, settled.signal]);
    const switched = once(this, "mode", { signal });
    const late = limitMs === undefined ? new Promise<never>(() => {}) : delay(limitMs, undefined, { signal });
    await Promise.race([switched, late]).catch(() => {});
    settled.abort();
    await Promise.allSettled(limitMs === undefined ? [switched] : [switched, late]);
  }
}

interface Piece {
  /** An empty one is the end of what this side sends. */
  readonly bytes: Buffer;
  readonly cameAtMs: number;
}

/** What one direction holds before it reads no further, as a wire's buffers do. */
const MOST_HELD_BYTES = 1024 * 1024;
/** A drip leaves so often at most, and one byte at a time at least. */
const DRIP_EVERY_MS = 20;
const FLIP_EVERY_BYTES = 64;

class Connection {
  readonly #switch: Switch;
  readonly #client: Socket;
  readonly #over = new AbortController();
  readonly #ended: () => void;
  #server: Socket | undefined;

  constructor(client: Socket, target: FaultProxyTarget, modes: Switch, ended: () => void) {
    this.#client = client;
    this.#switch = modes;
    this.#ended = ended;
    client.on("error", () => this.reset());
    client.on("close", () => this.#closed(client));
    client.pause();
    this.#reach(target).catch(() => this.reset());
  }

  reset(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    for (const socket of [this.#client, this.#server]) if (socket?.destroyed === false) socket.resetAndDestroy();
    this.#ended();
  }

  /** Dials the target as soon as something may pass; one that a half-open proxy took never reaches it. */
  async #reach(target: FaultProxyTarget): Promise<void> {
    while (this.#switch.mode.kind === "partition") await this.#switch.next(this.#over.signal);
    if (this.#over.signal.aborted) return;
    if (this.#switch.mode.kind === "half-open") {
      this.#client.resume();
      return;
    }
    const server = dial({ port: target.port, host: target.host ?? "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.#server = server;
    server.on("error", () => this.reset());
    server.on("close", () => this.#closed(server));
    await once(server, "connect");
    await Promise.all([this.#carry(this.#client, server, "server"), this.#carry(server, this.#client, "client")]);
  }

  /** Both ends are gone in peace. */
  #closed(socket: Socket): void {
    const other = socket === this.#client ? this.#server : this.#client;
    if (other !== undefined && !other.destroyed) return;
    this.#over.abort();
    this.#ended();
  }

  async #carry(from: Socket, to: Socket, towards: "client" | "server"): Promise<void> {
    const queue: Piece[] = [];
    const news = new EventEmitter();
    let heldBytes = 0;
    const put = (bytes: Buffer) => {
      queue.push({ bytes, cameAtMs: performance.now() });
      heldBytes += bytes.length;
      if (heldBytes > MOST_HELD_BYTES) from.pause();
      news.emit("piece");
    };
    from.on("data", put);
    from.on("end", () => put(Buffer.alloc(0)));
    from.resume();
    const { signal } = this.#over;
    while (!signal.aborted) {
      const piece = queue.shift();
      if (piece === undefined) {
        await once(news, "piece", { signal }).catch(() => {});
        continue;
      }
      await this.#pass(piece, to, towards);
      heldBytes -= piece.bytes.length;
      if (heldBytes <= MOST_HELD_BYTES && from.isPaused()) from.resume();
    }
  }

  async #pass(piece: Piece, to: Socket, towards: "client" | "server"): Promise<void> {
    let { bytes } = piece;
    const { signal } = this.#over;
    while (!signal.aborted) {
      const { mode } = this.#switch;
      switch (mode.kind) {
        case "partition":
          await this.#switch.next(signal);
          continue;
        case "delay": {
          const waitMs = piece.cameAtMs + mode.ms - performance.now();
          if (waitMs <= 0) return send(to, bytes, signal);
          await this.#switch.next(signal, waitMs);
          continue;
        }
        case "drip": {
          if (bytes.length === 0) return send(to, bytes, signal);
          const length = Math.max(1, Math.floor((mode.bytesPerSecond * DRIP_EVERY_MS) / 1_000));
          const waitMs = (length * 1_000) / mode.bytesPerSecond;
          await send(to, bytes.subarray(0, length), signal);
          bytes = bytes.subarray(length);
          if (bytes.length === 0) return;
          await this.#switch.next(signal, waitMs);
          continue;
        }
        case "corrupt":
          return send(to, mode.towards === towards ? flipped(bytes) : bytes, signal);
        case "pass":
          return send(to, bytes, signal);
        case "half-open":
        case "reset":
        case "refuse":
          return;
      }
    }
  }
}

/** Resolves when the socket has room for more. */
async function send(to: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (to.destroyed) return;
  if (bytes.length === 0) to.end();
  else if (!to.write(bytes)) await once(to, "drain", { signal }).catch(() => {});
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 0; at < copy.length; at += FLIP_EVERY_BYTES) copy.writeUInt8(copy.readUInt8(at) ^ 0x01, at);
  return copy;
}
