/** Calls that stream and need no key (Health.Watch, reflection): how many may begin and be open, of an address and of all. */
import { peerNetwork } from "../access/peer.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

export class KeylessStreams {
  readonly #openByPeer = new Map<string, number>();
  #open = 0;

  /**
   * One more of the address's network (peer.ts), until the signal aborts.
   * @throws CodedError `limit.streams`
   */
  take(address: string, signal: AbortSignal): void {
    if (signal.aborted) return;
    const peer = peerNetwork(address);
    const ofPeer = this.#openByPeer.get(peer) ?? 0;
    if (ofPeer >= LIMITS.keylessStreamsPerPeer || this.#open >= LIMITS.keylessStreams) {
      const message = `${ofPeer} streams without a key are open from this address and ${this.#open} in all, as many as may be`;
      throw new CodedError("limit.streams", message);
    }
    this.#openByPeer.set(peer, ofPeer + 1);
    this.#open += 1;
    signal.addEventListener("abort", () => this.#release(peer), { once: true });
  }

  #release(peer: string): void {
    const left = (this.#openByPeer.get(peer) ?? 0) - 1;
    if (left > 0) this.#openByPeer.set(peer, left);
    else this.#openByPeer.delete(peer);
    this.#open -= 1;
  }
}

const WINDOW_MS = 1_000;

/** How many each address began within this second. */
export class KeylessBeginnings {
  readonly #clock: Clock;
  readonly #begun = new Map<string, number>();
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One more of the peer's; false where that is too many. */
  take(peer: string): boolean {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#begun.clear();
      this.#sinceMs = nowMs;
    }
    const begun = (this.#begun.get(peer) ?? 0) + 1;
    this.#begun.set(peer, begun);
    return begun <= LIMITS.keylessStreamsPerSecond;
  }
}
