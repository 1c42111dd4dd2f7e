import type { Socket } from "node:net";
import type { ConnectionPhases } from "../../domain/delivery.ts";
import type { Clock } from "../../kernel/clock.ts";

/**
 * One client's connections, one after the other: how long the phases took of the one that is being made, or that no
 * request has gone over yet. What goes over an open connection costs nothing here.
 */
export class Line {
  readonly #clock: Clock;
  #made: { -readonly [phase in keyof ConnectionPhases]: ConnectionPhases[phase] } | undefined;
  #phaseBeganMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A connection is begun. */
  begin(): void {
    this.#made = {};
    this.#phaseBeganMs = this.#clock.monotonic();
  }

  /** The socket that connects. */
  watch(socket: Socket): void {
    // Before undici hears of it: it sends the request in its very listener. Of several addresses the first one's look-up
    // counts: it was the name's.
    socket.prependOnceListener("lookup", () => this.#ended("dnsMs"));
    socket.prependOnceListener("connect", () => this.#ended("connectMs"));
    this.watchTls(socket);
  }

  /** The proxy has connected. */
  tunnelled(): void {
    this.#ended("connectMs");
  }

  watchTls(socket: Socket): void {
    socket.prependOnceListener("secureConnect", () => this.#ended("tlsMs"));
  }

  /** Of the connection that the request which asks is the first of, or that didn't come about; else undefined. */
  take(): ConnectionPhases | undefined {
    const made = this.#made;
    this.#made = undefined;
    return made;
  }

  #ended(phase: keyof ConnectionPhases): void {
    const nowMs = this.#clock.monotonic();
    if (this.#made !== undefined) this.#made[phase] = Math.round(nowMs - this.#phaseBeganMs);
    this.#phaseBeganMs = nowMs;
  }
}
