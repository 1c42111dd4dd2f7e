import type { Dispatcher } from "undici";
import type { Exchange, ExchangeMoments, OutboundRequest } from "../../delivery/sender.ts";
import type { ConnectionPhases } from "../../domain/delivery.ts";
import type { Clock } from "../../kernel/clock.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { endedReusedConnection } from "./connector.ts";
import { type FailureReason, failureMessage, failureReason } from "./failure.ts";
import type { Line } from "./line.ts";

const NOTHING = new Uint8Array(0);
const NO_MOMENTS: ExchangeMoments = {};

/** Given to undici where an exchange is over for us. Nobody sees them, so they needn't cost a stack trace each. */
const OVER = new Error("the exchange is over");

/** What a flight asks of the sender. */
export interface Tower {
  readonly clock: Clock;
  /** Sends the request over a connection made for it, after a kept-alive one turned out to be dead. */
  resend(flight: Flight): void;
  /** The flight has landed; said once. */
  landed(flight: Flight): void;
}

/**
 * One exchange, as undici's dispatch drives it: takes the status, keeps the body's first bytes, and lands once, whatever
 * comes first: the response's end, too long a body, an error, the deadline, or the sender's end.
 */
export class Flight implements Dispatcher.DispatchHandler {
  readonly request: OutboundRequest;
  readonly isTls: boolean;
  /** Of the client that it was given to. */
  line: Line | undefined;
  readonly #tower: Tower;
  readonly #resolve: (exchange: Exchange) => void;
  readonly #startedMs: number;
  readonly #cancelDeadline: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #sentAfterMs: number | undefined;
  #firstByteAfterMs: number | undefined;
  #connection: ConnectionPhases | undefined;
  #isResent = false;
  #hasLanded = false;
  #interims = 0;
  #status = 0;
  #headers: Record<string, string> = {};
  #excerpt: Uint8Array = NOTHING;
  #readBytes = 0;

  constructor(request: OutboundRequest, isTls: boolean, tower: Tower, resolve: (exchange: Exchange) => void) {
    this.request = request;
    this.isTls = isTls;
    this.#tower = tower;
    this.#resolve = resolve;
    this.#startedMs = tower.clock.monotonic();
    const { timeoutMs } = request;
    this.#cancelDeadline = tower.clock.after(timeoutMs, () =>
      this.fail("attempt.timeout", `no complete response within ${timeoutMs} ms`),
    );
  }

  /** Lands with a failure, and cuts the connection where one is in use. */
  fail(reason: FailureReason, message: string): void {
    const durationMs = this.#elapsedMs();
    if (!this.#land({ kind: "failure", reason, message, durationMs, ...this.#moments() })) return;
    this.#controller?.abort(OVER);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Landed while it waited for a connection: undici then takes the request back, and the connection stays good.
    if (this.#hasLanded) throw OVER;
    this.#controller = controller;
    this.#sentAfterMs = this.#elapsedMs();
    this.#connection = this.line?.take();
  }

  /** The first byte of a response, or of an interim one. */
  onResponseStarted(): void {
    this.#firstByteAfterMs ??= this.#elapsedMs();
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // RFC 9110 §15.2: interim responses (103 Early Hints) may come first; the final one takes their place.
    if (status < 200) {
      this.#interims += 1;
      const most = LIMITS.interimResponses;
      if (this.#interims > most) this.fail("response.invalid", `more than ${most} interim responses`);
      return;
    }
    this.#status = status;
    this.#headers = singleValues(headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = LIMITS.responseExcerptBytes - this.#excerpt.length;
    // Copied: the chunk is a window on undici's read buffer, which it would keep alive.
    if (room > 0) this.#excerpt = Buffer.concat([this.#excerpt, chunk.subarray(0, room)]);
    this.#readBytes += chunk.length;
    if (this.#readBytes <= LIMITS.responseReadBytes) return;
    this.#respond();
    controller.abort(OVER);
  }

  onResponseEnd(): void {
    this.#respond();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#hasLanded) return;
    if (this.#firstByteAfterMs === undefined && !this.#isResent && endedReusedConnection(error)) {
      this.#isResent = true;
      this.#controller = undefined;
      this.#sentAfterMs = undefined;
      this.#tower.resend(this);
      return;
    }
    const stage = this.#controller === undefined ? "connecting" : "sent";
    this.fail(failureReason(error, stage, this.isTls), failureMessage(error));
  }

  #respond(): void {
    this.#land({
      kind: "response",
      status: this.#status,
      headers: this.#headers,
      excerpt: this.#excerpt,
      ...(this.#readBytes > this.#excerpt.length && { isCut: true as const }),
      durationMs: this.#elapsedMs(),
      ...this.#moments(),
    });
  }

  #moments(): ExchangeMoments {
    const [sentAfterMs, firstByteAfterMs] = [this.#sentAfterMs, this.#firstByteAfterMs];
    const connection = sentAfterMs === undefined ? this.line?.take() : this.#connection;
    const made = connection === undefined ? NO_MOMENTS : { connection };
    if (sentAfterMs === undefined) return made;
    return firstByteAfterMs === undefined ? { ...made, sentAfterMs } : { ...made, sentAfterMs, firstByteAfterMs };
  }

  #land(exchange: Exchange): boolean {
    if (this.#hasLanded) return false;
    this.#hasLanded = true;
    this.#cancelDeadline();
    this.#tower.landed(this);
    // undici rests a connection for one turn of the event loop, by a setImmediate of its own that comes right after
    // this. Who sends the next request on our answer should find it ready, or would open a second one.
    queueMicrotask(() => setImmediate(this.#resolve, exchange));
    return true;
  }

  #elapsedMs(): number {
    return Math.round(this.#tower.clock.monotonic() - this.#startedMs);
  }
}

/** RFC 9110 §5.3: repeated fields may be joined with commas. */
function singleValues(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const single: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) single[name] = typeof value === "string" ? value : value.join(", ");
  }
  return single;
}
