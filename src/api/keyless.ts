/** Calls that stream and need no key (Health.Watch, reflection): how many may be open, of one address and of all. */
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

export class KeylessStreams {
  readonly #openByPeer = new Map<string, number>();
  #open = 0;

  /**
   * One more of the peer's, until the signal aborts.
   * @throws CodedError `limit.streams`
   */
  take(peer: string, signal: AbortSignal): void {
    if (signal.aborted) return;
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
