/**
 * A connection whose bytes node:http and node:http2 get in pieces. By themselves they read a socket 32 times, 64 KiB
 * each, before anybody else has a turn: 2 MiB of small frames or requests are 50 ms of work that nothing can interrupt,
 * however soon the connection is cut afterwards. Here who has shown no key that counts (a stranger) is read a piece at a
 * time, all of them together for a moment of each turn of the event loop; whoever else is served in between.
 *
 * A newcomer, of whom no request was judged yet, may well have a key: he comes before those who asked without one. Those
 * rest after each of their requests: to answer one takes longer than to read it, and leaves more to be collected.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Clock } from "../kernel/clock.ts";
import { Round } from "../kernel/round.ts";
import type { PortLimits } from "./connections.ts";

/** Of a connection, what it sent and nobody has read yet. */
export interface Unread {
  /** Whom it comes from: one network has one turn of each round, however many connections it makes. */
  readonly network: string;
  readonly isNewcomer: () => boolean;
  /** Hands on so many bytes at most; answers how many they were. */
  readonly give: (mostBytes: number) => number;
  /** Whether there is more, for someone who wants it. */
  readonly hasMore: () => boolean;
}

type TurnLimits = Pick<PortLimits, "portPieceBytes" | "portTurnBytes" | "portTurnMs">;

/** Network after network, and of each one connection after the other. */
const roundByNetwork = () => new Round<Unread>(({ network }) => network);

/** Who of the strangers is read, in each turn of the event loop: one piece of each, round and round. */
export class StrangersTurns {
  readonly #clock: Clock;
  readonly #limits: TurnLimits;
  readonly #newcomers = roundByNetwork();
  readonly #others = roundByNetwork();
  #spentMs = 0;
  #spentBytes = 0;
  #isOver = false;
  #isReading = false;
  #isNextPlanned = false;
  /** The others, of whom one has asked for something. */
  #mustRest = false;
  #isResting = false;

  constructor(clock: Clock, limits: TurnLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** At once, where this turn has something left for strangers. */
  read(unread: Unread): void {
    this.#wait(unread);
    this.#goOn();
  }

  /** A request of a stranger has come: that was all for this turn; and for a while, but for newcomers. */
  end(isOfNewcomer: boolean): void {
    this.#isOver = true;
    if (!isOfNewcomer) this.#mustRest = true;
    this.#planNext();
  }

  forget(unread: Unread): void {
    this.#newcomers.delete(unread);
    this.#others.delete(unread);
  }

  /** Who waits already keeps his place. */
  #wait(unread: Unread): void {
    if (unread.isNewcomer()) {
      this.#newcomers.add(unread);
      return;
    }
    this.#newcomers.delete(unread);
    this.#others.add(unread);
  }

  #goOn(): void {
    if (!this.#isSomebodyNext) return;
    this.#planNext();
    if (!this.#isReading) this.#readNext();
  }

  #readNext(): void {
    const unread = this.#isOver || this.#isSpent ? undefined : this.#next();
    this.#isReading = unread !== undefined;
    if (unread === undefined) return;
    const startMs = this.#clock.monotonic();
    this.#spentBytes += unread.give(this.#limits.portPieceBytes);
    afterwards(() => {
      this.#spentMs += this.#clock.monotonic() - startMs;
      // After the others who wait.
      if (unread.hasMore()) this.#wait(unread);
      this.#readNext();
    });
  }

  #next(): Unread | undefined {
    return this.#newcomers.take() ?? (this.#isResting ? undefined : this.#others.take());
  }

  get #isSomebodyNext(): boolean {
    return !this.#newcomers.isEmpty || !(this.#isResting || this.#others.isEmpty);
  }

  #planNext(): void {
    if (this.#isNextPlanned) return;
    this.#isNextPlanned = true;
    setImmediate(() => {
      // Who sends that much leaves half of the time to others, and of the processor too.
      if (this.#isSpent) this.#clock.after(this.#limits.portTurnMs, () => this.#begin());
      else this.#begin();
    });
  }

  #rest(): void {
    this.#mustRest = false;
    if (this.#isResting) return;
    this.#isResting = true;
    this.#clock.after(this.#limits.portTurnMs, () => {
      this.#isResting = false;
      this.#goOn();
    });
  }

  #begin(): void {
    this.#isNextPlanned = false;
    this.#isOver = false;
    this.#spentMs = 0;
    this.#spentBytes = 0;
    if (this.#mustRest) this.#rest();
    this.#goOn();
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
  /** A request has come over it. */
  asked(): void;
  /** It is no stranger's any more: what has come goes on at once. */
  trusted(): void;
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

export interface PaceOptions {
  readonly turns: StrangersTurns;
  /** Where the connection comes from. */
  readonly network: string;
  readonly isStranger: () => boolean;
  /** Who has sent more and asked for nothing is no newcomer any more. */
  readonly newcomerBytes: number;
}

/**
 * The socket, in pieces while `isStranger`, for one of the HTTP servers; it ends with the socket, and the socket with it.
 * `first` has been read from it already, and comes before all else.
 */
export function pacedSocket(socket: Socket, first: Buffer | undefined, options: PaceOptions): PacedSocket {
  const inbox = new Inbox(socket, first, options);
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
  const more: SocketLike & Omit<PacedSocket, keyof Duplex> = {
    asked: () => inbox.asked(),
    trusted: () => inbox.trusted(),
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
  readonly network: string;
  readonly #socket: Socket;
  readonly #options: PaceOptions;
  readonly #chunks: Buffer[];
  #afterNextPiece: (() => void)[] = [];
  #stream: Duplex | undefined;
  #isWanted = false;
  #hasEnded = false;
  #asked = 0;
  #givenBytes = 0;

  constructor(socket: Socket, first: Buffer | undefined, options: PaceOptions) {
    this.network = options.network;
    this.#socket = socket;
    this.#options = options;
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
    this.#options.turns.forget(this);
  }

  afterNextPiece(task: () => void): void {
    if (this.#chunks.length === 0) setImmediate(task);
    else this.#afterNextPiece.push(task);
  }

  asked(): void {
    if (this.#options.isStranger()) this.#options.turns.end(this.isNewcomer());
    this.#asked += 1;
  }

  trusted(): void {
    this.#options.turns.forget(this);
    process.nextTick(() => this.#proceed());
  }

  isNewcomer(): boolean {
    if (this.#givenBytes >= this.#options.newcomerBytes) return false;
    // The piece that the first request waits for is as much as it.
    return this.#asked === 0 || (this.#asked === 1 && this.#afterNextPiece.length > 0);
  }

  /** The server has room for more. */
  wanted(): void {
    this.#isWanted = true;
    if (this.#chunks.length === 0) this.#socket.resume();
    // Not from here: what a stream is given while it asks, it puts aside.
    else process.nextTick(() => this.#proceed());
  }

  #proceed(): void {
    if (this.#options.isStranger()) {
      if (this.hasMore()) this.#options.turns.read(this);
      return;
    }
    while (this.hasMore()) this.give(Number.POSITIVE_INFINITY);
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
    const piece = chunk.length <= mostBytes ? chunk : chunk.subarray(0, mostBytes);
    if (piece.length === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(piece.length);
    this.#givenBytes += piece.length;
    for (const task of this.#afterNextPiece.splice(0)) setImmediate(task);
    this.#hand(piece);
    if (this.#chunks.length > 0) return piece.length;
    if (this.#hasEnded) this.#stream?.push(null);
    else if (this.#isWanted) this.#socket.resume();
    return piece.length;
  }

  #came(chunk: Buffer): void {
    if (this.#isTaken && this.#chunks.length === 0 && !this.#options.isStranger()) {
      this.#hand(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#socket.pause();
    this.#proceed();
  }

  #hand(piece: Buffer): void {
    if (this.#stream === undefined || this.#stream.push(piece)) return;
    this.#isWanted = false;
    this.#socket.pause();
  }
}
