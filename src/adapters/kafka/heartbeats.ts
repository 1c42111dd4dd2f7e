import type { Clock } from "../../kernel/clock.ts";

/**
 * How long ago the group last heard of this member. It is counted from when the heartbeat was sent, since its answer
 * may have waited for a process that was stopped, and on two clocks, the older age counts: the one that only grows
 * stands still while the machine sleeps, and wall time may be set back.
 */
export class Heartbeats {
  readonly #clock: Clock;
  readonly #sessionMs: number;
  #last: { readonly wallMs: number; readonly monotonicMs: number } | undefined;

  constructor(clock: Clock, sessionMs: number) {
    this.#clock = clock;
    this.#sessionMs = sessionMs;
  }

  /** The group has answered what was sent so long ago. */
  note(sentAgoMs: number): void {
    this.#last = { wallMs: this.#clock.now() - sentAgoMs, monotonicMs: this.#clock.monotonic() - sentAgoMs };
  }

  forget(): void {
    this.#last = undefined;
  }

  /** undefined: it was never heard of. */
  get ageMs(): number | undefined {
    if (this.#last === undefined) return undefined;
    return Math.max(this.#clock.now() - this.#last.wallMs, this.#clock.monotonic() - this.#last.monotonicMs);
  }

  /** Past the session timeout the group may have given the partitions to another. */
  get isFresh(): boolean {
    const { ageMs } = this;
    return ageMs !== undefined && ageMs < this.#sessionMs;
  }
}
