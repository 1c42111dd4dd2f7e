/**
 * Attempt first, then record in bulk: outcomes gather here and become durable in group commits. Whoever waits for a row
 * is told when it is there.
 */
import type { StoredEvent } from "../domain/event.ts";
import type { Clock } from "../kernel/clock.ts";
import { GroupCommit } from "../kernel/group-commit.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { tenantKey } from "../kernel/tenant.ts";
import type { DeliveryStore, DeliveryWrite } from "./delivery-store.ts";
import type { Counting } from "./stats.ts";

export type EventResult = "stored" | "conflict";
/** "void": its event met another content under its id, and so the write was left out. */
export type WriteResult = "applied" | "refused" | "void";

type Item =
  | { readonly kind: "event"; readonly event: StoredEvent; readonly settle: (result: EventResult) => void }
  | {
      readonly kind: "delivery";
      readonly write: DeliveryWrite;
      readonly eventId: string;
      readonly settle: (result: WriteResult) => void;
    };

export interface RecorderDeps {
  readonly store: Pick<DeliveryStore, "flush">;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each flush, and when the store takes writes again. */
  readonly onFlushed: () => void;
  /** Told of each event that is durable. Left out: nothing is counted. */
  readonly counting?: Pick<Counting, "eventStored"> | undefined;
}

/** Larger groups gain little and cost latency (performance.md). */
const FLUSH_ROWS = 2_000;
/** On SQLite a flush is one transaction, and nothing else is asked of the store meanwhile. */
const FLUSH_BYTES = 16 * 1024 * 1024;
const FLUSH_WAIT_MS = 50;
/** A flush that takes so long, of what gathered meanwhile, says that the store is the limit. */
const SLOW_FLUSH_MS = 500;

export class Recorder {
  readonly #deps: RecorderDeps;
  readonly #group: GroupCommit<Item>;
  #lastFlushMs = 0;
  #flushingSinceMs: number | undefined;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
    this.#group = new GroupCommit<Item>({
      write: (items) => this.#flush(items),
      maxItems: FLUSH_ROWS,
      maxBytes: FLUSH_BYTES,
      bytesOf,
      maxWaitMs: FLUSH_WAIT_MS,
      clock: deps.clock,
      onFailure: (err, rows) => deps.log.error("delivery.flush_failed", { err, rows }),
      onRecovery: () => {
        deps.log.info("delivery.flush_recovered");
        deps.onFlushed();
      },
    });
  }

  /**
   * The unflushed are bounded: after a failed flush no new attempt starts until one succeeds, or each restart would
   * send them again.
   */
  get takesMore(): boolean {
    const { stalled, size, bytes } = this.#group;
    return !stalled && size < LIMITS.unflushedRows && bytes < LIMITS.unflushedBytes;
  }

  get stalled(): boolean {
    return this.#group.stalled;
  }

  /** Whether the store keeps up with what is to be recorded. */
  get isSlow(): boolean {
    const sinceMs = this.#flushingSinceMs;
    const runningMs = sinceMs === undefined ? 0 : this.#deps.clock.monotonic() - sinceMs;
    return Math.max(this.#lastFlushMs, runningMs) > SLOW_FLUSH_MS;
  }

  get unflushed(): number {
    return this.#group.size;
  }

  addEvent(event: StoredEvent, settle: (result: EventResult) => void): void {
    this.#group.add({ kind: "event", event, settle });
  }

  addDelivery(write: DeliveryWrite, eventId: string, settle: (result: WriteResult) => void): void {
    this.#group.add({ kind: "delivery", write, eventId, settle });
  }

  drain(): Promise<void> {
    return this.#group.drain();
  }

  abandon(): void {
    this.#group.abandon();
  }

  async #flush(items: readonly Item[]): Promise<void> {
    const events: StoredEvent[] = [];
    const deliveries: DeliveryWrite[] = [];
    for (const item of items) {
      if (item.kind === "event") events.push(item.event);
      else deliveries.push(item.write);
    }
    const { conflicts, applied } = await this.#timed(() => this.#deps.store.flush({ events, deliveries }));
    const conflicted = new Set(conflicts.map((key) => `${tenantKey(key.tenant)}/${key.id}`));
    let at = 0;
    for (const item of items) {
      if (item.kind === "event") {
        const lost = conflicted.size > 0 && conflicted.has(`${tenantKey(item.event.tenant)}/${item.event.id}`);
        // What passbus says of itself is nobody's event.
        if (!lost && item.event.operationalType === undefined) this.#deps.counting?.eventStored(item.event.tenant);
        item.settle(lost ? "conflict" : "stored");
      } else {
        item.settle(this.#resultOf(item, applied[at++] ?? false, conflicted));
      }
    }
    this.#deps.onFlushed();
  }

  async #timed<T>(flush: () => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    const beganMs = clock.monotonic();
    this.#flushingSinceMs = beganMs;
    try {
      return await flush();
    } finally {
      this.#flushingSinceMs = undefined;
      this.#lastFlushMs = clock.monotonic() - beganMs;
    }
  }

  #resultOf(item: Item & { kind: "delivery" }, applied: boolean, conflicted: ReadonlySet<string>): WriteResult {
    if (applied) return "applied";
    if (conflicted.size === 0 || item.write.kind !== "first") return "refused";
    return conflicted.has(`${tenantKey(item.write.delivery.tenant)}/${item.eventId}`) ? "void" : "refused";
  }
}

/** What is said of a delivery is small: its rows alone bound it. */
function bytesOf(item: Item): number {
  return item.kind === "event" ? item.event.value.length : 0;
}
