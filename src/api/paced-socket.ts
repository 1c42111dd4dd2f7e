/**
 * A connection whose bytes node:http and node:http2 get in pieces. By themselves they read a socket 32 times, 64 KiB
 * each, before anybody else has a turn: 2 MiB of small frames or requests are 50 ms of work that nothing can interrupt,
 * however soon the connection is cut afterwards. Here who has shown no key that counts (a stranger) is read a few KiB
 * at a time, all of them together for a moment of each turn of the event loop; whoever else is served in between.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Clock } from "../kernel/clock.ts";
import type { PortLimits } from "./connections.ts";

/** Of a connection, what it sent and nobody has read yet. */
interface Unread {
  /** Hands on so many bytes at most; answers how many they were. */
  readonly give: (mostBytes: number) => number;
  /** Whether there is more, for someone who wants it. */
  readonly hasMore: () => boolean;
}

type TurnLimits = Pick<PortLimits, "portPieceBytes" | "portTurnBytes" | "portTurnMs">;

/** Who of the strangers is read, in each turn of the event loop: one piece of each, round and round. */
export class StrangersTurns {
  readonly #clock: Clock;
  readonly #limits: TurnLimits;
  /** In the order in which they come to their turn. */
  readonly #waiting = new Set<Unread>();
  #spentMs = 0;
  #spentBytes = 0;
  #isOver = false;
  #isReading = false;
  #isNextPlanned = false;

  constructor(clock: Clock, limits: TurnLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** At once, where this turn has something left for strangers. */
  read(unread: Unread): void {
    this.#waiting.add(unread);
    this.#planNext();
    if (!this.#isReading) this.#readNext();
  }

  /** A request has come: to answer it takes longer than to read it, so that was all for this turn. */
  end(): void {
    this.#isOver = true;
    this.#planNext();
  }

  forget(unread: Unread): void {
    this.#waiting.delete(unread);
  }

  #readNext(): void {
    const { portPieceBytes } = this.#limits;
    const isOver = this.#isOver || this.#isSpent;
    const [unread] = this.#waiting;
    this.#isReading = !isOver && unread !== undefined;
    if (isOver || unread === undefined) return;
    this.#waiting.delete(unread);
    const startMs = this.#clock.monotonic();
    this.#spentBytes += unread.give(portPieceBytes);
    afterwards(() => {
      this.#spentMs += this.#clock.monotonic() - startMs;
      // After the others who wait.
      if (unread.hasMore()) this.#waiting.add(unread);
      this.#readNext();
    });
  }

  #planNext(): void {
    if (this.#isNextPlanned) return;
    this.#isNextPlanned = true;
    setImmediate(() => {
      // Who sends or asks that much leaves half of the time to others, and of the processor too.
      if (this.#isSpent || this.#isOver) this.#clock.after(this.#limits.portTurnMs, () => this.#begin());
      else this.#begin();
    });
  }

  #begin(): void {
    this.#isNextPlanned = false;
    this.#isOver = false;
    this.#spentMs = 0;
    this.#spentBytes = 0;
    if (this.#waiting.size === 0) return;
    this.#planNext();
    if (!this.#isReading) this.#readNext();
  }

  get #isSpent(): boolean {
    return this.#spentMs >= this.#limits.portTurnMs || this.#spentBytes >= this.#limits.portTurnBytes;
  }
}

/** When all has been done that follows from it without waiting for anything: ticks, promises, and theirs. */
function afterwards(task: () => void): void {
  queueMicrotask(() => process.nextTick(task));
}

/** A connection as its HTTP server sees it. */
export interface PacedSocket extends Duplex {
  /** Runs the task in a turn of its own, once what had come by now has been read, or a piece of it where that is more. */
  afterNextPiece(task: () => void): void;
}

/** What node:http asks of a connection beside what a stream has. */
interface SocketLike {
  readonly remoteAddress: string | undefined;
  readonly encrypted: boolean;
  readonly setTimeout: (timeoutMs: number, task?: () => void) => Duplex;
  readonly destroySoon: () => void;
}

/**
 * The socket, in pieces while `isStranger`, for one of the HTTP servers; it ends with the socket, and the socket with it.
 * `first` has been read from it already, and comes before all else.
 */
export function pacedSocket(
  socket: Socket,
  first: Buffer | undefined,
  { turns, isStranger }: { readonly turns: StrangersTurns; readonly isStranger: () => boolean },
): PacedSocket {
  const inbox = new Inbox(socket, first, turns, isStranger);
  const stream = new Duplex({
    read: () => inbox.wanted(),
    write: (chunk, _, done) => void socket.write(chunk, done),
    writev: (chunks, done) => {
      socket.cork();
      chunks.forEach(({ chunk }, at) => void socket.write(chunk, at === chunks.length - 1 ? done : undefined));
      socket.uncork();
    },
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      inbox.close();
      socket.destroy();
      done(error);
    },
  });
  inbox.open(stream);
  socket.on("close", () => stream.destroy());
  socket.on("timeout", () => stream.emit("timeout"));
  const more: SocketLike & Pick<PacedSocket, "afterNextPiece"> = {
    afterNextPiece: (task) => inbox.afterNextPiece(task),
    remoteAddress: socket.remoteAddress,
    encrypted: "encrypted" in socket,
    setTimeout: (timeoutMs, task) => {
      socket.setTimeout(timeoutMs);
      return task === undefined ? stream : stream.once("timeout", task);
    },
    destroySoon: () => {
      if (stream.writableFinished) stream.destroy();
      else stream.once("finish", () => stream.destroy()).end();
    },
  };
  return Object.assign(stream, more);
}

/** What came over a socket and is not handed on yet: one chunk, and what the socket itself holds meanwhile. */
class Inbox implements Unread {
  readonly #socket: Socket;
  readonly #turns: StrangersTurns;
  readonly #isStranger: () => boolean;
  readonly #chunks: Buffer[];
  #afterNextPiece: (() => void)[] = [];
  #stream: Duplex | undefined;
  #isWanted = false;
  #hasEnded = false;

  constructor(socket: Socket, first: Buffer | undefined, turns: StrangersTurns, isStranger: () => boolean) {
    this.#socket = socket;
    this.#turns = turns;
    this.#isStranger = isStranger;
    this.#chunks = first === undefined ? [] : [first];
  }

  open(stream: Duplex): void {
    this.#stream = stream;
    stream.on("resume", () => this.wanted());
    this.#socket.on("error", () => stream.destroy());
    this.#socket.on("data", (chunk: Buffer) => this.#came(chunk));
    this.#socket.once("end", () => {
      this.#hasEnded = true;
      if (this.#chunks.length === 0) stream.push(null);
    });
  }

  close(): void {
    this.#stream = undefined;
    this.#chunks.length = 0;
    this.#afterNextPiece = [];
    this.#turns.forget(this);
  }

  afterNextPiece(task: () => void): void {
    if (this.#chunks.length === 0) setImmediate(task);
    else this.#afterNextPiece.push(task);
  }

  /** The server has room for more. */
  wanted(): void {
    this.#isWanted = true;
    if (this.#chunks.length === 0) this.#socket.resume();
    // Not from here: what a stream is given while it asks, it puts aside.
    else process.nextTick(() => this.#turns.read(this));
  }

  hasMore(): boolean {
    return this.#isTaken && this.#chunks.length > 0;
  }

  /**
   * Whether a piece goes on to the server at once. A stream that is paused would keep it, and hand it on in nobody's turn:
   * node:http2 pauses and resumes with each answer that it writes.
   */
  get #isTaken(): boolean {
    return this.#isWanted && this.#stream?.isPaused() === false;
  }

  give(mostBytes: number): number {
    const [chunk] = this.#chunks;
    if (chunk === undefined || !this.#isTaken) return 0;
    const piece = this.#isStranger() ? chunk.subarray(0, mostBytes) : chunk;
    if (piece.length === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(piece.length);
    for (const task of this.#afterNextPiece.splice(0)) setImmediate(task);
    this.#hand(piece);
    if (this.#chunks.length > 0) return piece.length;
    if (this.#hasEnded) this.#stream?.push(null);
    else if (this.#isWanted) this.#socket.resume();
    return piece.length;
  }

  #came(chunk: Buffer): void {
    if (this.#isTaken && this.#chunks.length === 0 && !this.#isStranger()) {
      this.#hand(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#socket.pause();
    if (this.#isTaken) this.#turns.read(this);
  }

  #hand(piece: Buffer): void {
    if (this.#stream === undefined || this.#stream.push(piece)) return;
    this.#isWanted = false;
    this.#socket.pause();
  }
}
