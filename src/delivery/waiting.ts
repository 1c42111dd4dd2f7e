/** How a watcher waits: until it is woken, its watch fails or is to end, or there has to be a sign of life. */
import type { Clock } from "../kernel/clock.ts";
import { SIGN_OF_LIFE_MS } from "../kernel/sign-of-life.ts";

export class Waiting {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #failure: { readonly error: unknown } | undefined;
  #resolve = () => {};

  /** `signal` ends the watch. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    signal.addEventListener("abort", this.wake);
  }

  readonly wake = (): void => this.#resolve();

  fail(error: unknown): void {
    this.#failure = { error };
    this.wake();
  }

  get isOver(): boolean {
    return this.#signal.aborted;
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** At once where the watch has failed or is over. */
  async somethingHappens(): Promise<void> {
    if (this.#failure !== undefined || this.isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(SIGN_OF_LIFE_MS, resolve);
    this.#resolve = resolve;
    await promise;
    cancel();
    this.#resolve = () => {};
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.wake);
  }
}
