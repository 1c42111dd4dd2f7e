/**
 * Watching what becomes durable, for any number of watchers: those of one tenant share one reader of the store, which
 * is looked at four times a second while there are any. A watcher that reads slower than things happen is told how many
 * it missed; it costs no more memory than its inbox holds.
 */
import type { Delivery } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { ChangeFeed, ChangeReader } from "./change-feed.ts";
import { Waiting } from "./waiting.ts";

const LOOK_EVERY_MS = 250;
const READ_LIMIT = 500;

/** The first one says that the watch has begun, and one comes at least every 15 s: these may have no item. */
export interface Told<T> {
  readonly item?: T;
  /** Since the one before: items that this watcher was too slow for, or that the store let go of. */
  readonly skipped: number;
}

export interface WatchRequest<T> {
  readonly tenant: Tenant;
  readonly accepts: (item: T) => boolean;
  /** What the store let go of was anybody's: who sees one entity alone is told that there was some, not how much. */
  readonly ofEntity?: boolean;
  /** Ends the watch: what it yields ends then, without an error. */
  readonly signal: AbortSignal;
}

export interface Watches {
  /** Each event that is stored from the first told one on. Throws what the store threw. */
  events(request: WatchRequest<StoredEvent>): AsyncIterable<Told<StoredEvent>>;
  /** Each delivery whose state changes or that gets an attempt, as it is stored then. Throws what the store threw. */
  deliveries(request: WatchRequest<Delivery>): AsyncIterable<Told<Delivery>>;
}

export function watches(feed: ChangeFeed, clock: Clock): Watches {
  const events = new Fan(clock, (tenant) => feed.watchEvents(tenant), eventBytes);
  const deliveries = new Fan(clock, (tenant) => feed.watchDeliveries(tenant), deliveryBytes);
  return { events: (request) => events.watch(request), deliveries: (request) => deliveries.watch(request) };
}

/** What an item costs besides its long fields. */
const ITEM_BYTES = 512;

function eventBytes({ value }: StoredEvent): number {
  return value.length + ITEM_BYTES;
}

function deliveryBytes({ attempts }: Delivery): number {
  return attempts.reduce((sum, { responseExcerpt = "" }) => sum + responseExcerpt.length + ITEM_BYTES, ITEM_BYTES);
}

/** Who watches one tenant, over one reader. */
interface Group<T> {
  readonly inboxes: Map<Inbox<T>, Pick<WatchRequest<T>, "accepts" | "ofEntity">>;
  readonly opened: Promise<ChangeReader<T>>;
  /** Aborted when the last one has gone. */
  readonly over: AbortController;
}

/** One kind of change, from one reader a tenant to all who watch it. */
class Fan<T> {
  readonly #clock: Clock;
  readonly #open: (tenant: Tenant) => Promise<ChangeReader<T>>;
  readonly #bytesOf: (item: T) => number;
  readonly #groups = new Map<string, Group<T>>();

  constructor(clock: Clock, open: (tenant: Tenant) => Promise<ChangeReader<T>>, bytesOf: (item: T) => number) {
    this.#clock = clock;
    this.#open = open;
    this.#bytesOf = bytesOf;
  }

  async *watch({ tenant, accepts, ofEntity = false, signal }: WatchRequest<T>): AsyncIterable<Told<T>> {
    const key = tenantKey(tenant);
    const group = this.#groups.get(key) ?? this.#begin(key, tenant);
    const inbox = new Inbox<T>(this.#clock, signal);
    group.inboxes.set(inbox, { accepts, ofEntity });
    try {
      await group.opened;
      yield { skipped: 0 };
      for (;;) {
        const told = await inbox.next();
        if (told === undefined) return;
        yield told;
      }
    } finally {
      inbox.waiting.close();
      group.inboxes.delete(inbox);
      if (group.inboxes.size === 0) this.#end(key, group);
    }
  }

  #begin(key: string, tenant: Tenant): Group<T> {
    const group: Group<T> = { inboxes: new Map(), opened: this.#open(tenant), over: new AbortController() };
    this.#groups.set(key, group);
    void this.#run(group).catch((error: unknown) => {
      this.#end(key, group);
      for (const inbox of group.inboxes.keys()) inbox.waiting.fail(error);
    });
    return group;
  }

  /** Whoever watches next begins another. */
  #end(key: string, group: Group<T>): void {
    if (this.#groups.get(key) === group) this.#groups.delete(key);
    group.over.abort();
  }

  async #run({ inboxes, opened, over }: Group<T>): Promise<void> {
    const reader = await opened;
    try {
      while (!over.signal.aborted) {
        const { items, more, skipped } = await reader.read(READ_LIMIT);
        for (const [inbox, { accepts, ofEntity }] of inboxes) {
          inbox.skip(ofEntity ? Math.min(skipped, 1) : skipped);
          for (const item of items) if (accepts(item)) inbox.put(item, this.#bytesOf(item));
        }
        if (!more) await sleep(this.#clock, LOOK_EVERY_MS, over.signal);
      }
    } finally {
      await reader.close();
    }
  }
}

/** What one watcher has not read yet. */
class Inbox<T> {
  readonly waiting: Waiting;
  readonly #items: { readonly item: T; readonly bytes: number }[] = [];
  #bytes = 0;
  #skipped = 0;

  constructor(clock: Clock, signal: AbortSignal) {
    this.waiting = new Waiting(clock, signal);
  }

  put(item: T, bytes: number): void {
    this.#items.push({ item, bytes });
    this.#bytes += bytes;
    // One that is larger than the whole inbox may be is let in alone.
    while (this.#items.length > 1 && (this.#items.length > LIMITS.watchItems || this.#bytes > LIMITS.watchBytes)) {
      this.#bytes -= this.#items.shift()?.bytes ?? 0;
      this.#skipped += 1;
    }
    this.waiting.wake();
  }

  skip(count: number): void {
    this.#skipped += count;
    if (count > 0) this.waiting.wake();
  }

  /** The oldest item, or after a while nothing; undefined once the watch is to end. */
  async next(): Promise<Told<T> | undefined> {
    if (this.#items.length === 0 && this.#skipped === 0) await this.waiting.somethingHappens();
    if (this.waiting.isOver) return undefined;
    const skipped = this.#skipped;
    this.#skipped = 0;
    const oldest = this.#items.shift();
    if (oldest !== undefined) {
      this.#bytes -= oldest.bytes;
      return { item: oldest.item, skipped };
    }
    this.waiting.throwFailure();
    return { skipped };
  }
}
