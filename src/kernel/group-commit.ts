import { exponentialWait } from "./backoff.ts";
import { type BatchLimits, firstBatch } from "./batch.ts";
import { type Clock, sleep } from "./clock.ts";

export interface GroupCommitOptions<T> extends BatchLimits<T> {
  /** Makes a batch durable. May be called again with the same batch after it rejected, so it must be repeatable. */
  readonly write: (batch: readonly T[]) => Promise<void>;
  /** How long the first item of a batch waits for others. */
  readonly maxWaitMs: number;
  readonly clock: Clock;
  readonly onFailure: (error: unknown, itemCount: number) => void;
  /** Called when writing works again after a failure. */
  readonly onRecovery?: () => void;
}

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 5_000;
/** Whoever drains has little time: a store that is well again must not be waited for. */
const RETRY_DRAINING_MS = 100;

/**
 * Gathers items and writes them in batches, one batch at a time and in order. A batch that fails is written again until
 * it succeeds; meanwhile `stalled` is true, and whoever makes more items should stop.
 */
export class GroupCommit<T> {
  readonly #options: GroupCommitOptions<T>;
  readonly #stop = new AbortController();
  /** Ends the wait before the next try. */
  #wake = new AbortController();
  #queue: T[] = [];
  #queuedBytes = 0;
  #writing = 0;
  #writingBytes = 0;
  #stalled = false;
  #timer: (() => void) | undefined;
  #idle: (() => void)[] = [];
  #draining = false;

  constructor(options: GroupCommitOptions<T>) {
    this.#options = options;
  }

  /** Items that are not durable yet. */
  get size(): number {
    return this.#queue.length + this.#writing;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#queuedBytes + this.#writingBytes;
  }

  /** True from a write's failure until a write succeeds. */
  get stalled(): boolean {
    return this.#stalled;
  }

  add(item: T): void {
    this.#queue.push(item);
    this.#queuedBytes += this.#options.bytesOf(item);
    if (this.#writing > 0) return;
    if (this.#isFull || this.#draining) this.#begin();
    else this.#timer ??= this.#options.clock.after(this.#options.maxWaitMs, () => this.#begin());
  }

  /** Resolves when nothing is left to write, or after `abandon`. Items that are added meanwhile, and what failed, are written at once. */
  drain(): Promise<void> {
    this.#draining = true;
    this.#wake.abort();
    if (this.size === 0 || this.#stop.signal.aborted) return Promise.resolve();
    if (this.#writing === 0) this.#begin();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives up what isn't durable, as a crash would. */
  abandon(): void {
    this.#stop.abort();
    this.#wake.abort();
    this.#timer?.();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** There is a whole batch to write. */
  get #isFull(): boolean {
    const { maxItems, maxBytes } = this.#options;
    return this.#queue.length >= maxItems || this.#queuedBytes >= maxBytes;
  }

  #begin(): void {
    this.#timer?.();
    this.#timer = undefined;
    if (this.#writing > 0 || this.#queue.length === 0 || this.#stop.signal.aborted) return;
    const batch = firstBatch(this.#queue, this.#options);
    this.#queue.splice(0, batch.length);
    this.#writing = batch.length;
    this.#writingBytes = batch.reduce((sum, item) => sum + this.#options.bytesOf(item), 0);
    this.#queuedBytes -= this.#writingBytes;
    void this.#write(batch);
  }

  async #write(batch: readonly T[]): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; failures++) {
      try {
        await this.#options.write(batch);
        break;
      } catch (error) {
        this.#stalled = true;
        this.#options.onFailure(error, batch.length);
        await this.#pause(failures);
      }
    }
    this.#writing = 0;
    this.#writingBytes = 0;
    if (this.#stop.signal.aborted) return;
    if (this.#stalled) {
      this.#stalled = false;
      this.#options.onRecovery?.();
    }
    this.#next();
  }

  #pause(failures: number): Promise<void> {
    const most = this.#draining ? RETRY_DRAINING_MS : RETRY_MAX_MS;
    if (!this.#stop.signal.aborted) this.#wake = new AbortController();
    return sleep(this.#options.clock, exponentialWait(failures, RETRY_FIRST_MS, most), this.#wake.signal);
  }

  #next(): void {
    if (this.#queue.length === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    } else if (this.#draining || this.#isFull) {
      this.#begin();
    } else {
      this.#timer ??= this.#options.clock.after(this.#options.maxWaitMs, () => this.#begin());
    }
  }
}
