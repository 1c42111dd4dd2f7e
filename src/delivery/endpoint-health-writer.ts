/** Writes what a worker saw of endpoints, tells what changed by it, and disables what has failed for too long. */
import type { EndpointKey, EndpointRecord } from "../domain/endpoint.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { Random } from "../kernel/random.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import { alarmOf, folded, joined, type Tally } from "./breaker.ts";
import type { EndpointChange } from "./endpoint-health.ts";
import type { EndpointStore } from "./endpoint-store.ts";
import type { EndpointSwitch } from "./turn.ts";

export interface EndpointHealthDeps {
  readonly endpoints: EndpointStore;
  readonly endpointSwitch: EndpointSwitch;
  readonly index: SubscriptionIndex;
  /** After so long of nothing but failures a subscription is disabled; 0: never. */
  readonly disableAfterMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What this worker knows of one endpoint. */
export interface Entry {
  readonly key: EndpointKey;
  /** Of the endpoint that was tried last here. */
  urlKey: string | undefined;
  /** As it was last read or written. */
  record: EndpointRecord | undefined;
  isKnown: boolean;
  tally: Tally | undefined;
  isWriting: boolean;
  /** To be written at once. */
  isUrgent: boolean;
  /** By the monotonic clock. */
  writtenAtMs: number;
  /** In a row at this worker. */
  downs: number;
  /** Present while its breaker is open, as far as is known here: from when on a probe may go. */
  probeAtMs: number | undefined;
  /** This worker asks for the probe, or is at it. */
  isProbing: boolean;
  disabledAtMs: number;
  isTelling: boolean;
}

export function newEntry(key: EndpointKey): Entry {
  return {
    key,
    urlKey: undefined,
    record: undefined,
    isKnown: false,
    tally: undefined,
    isWriting: false,
    isUrgent: false,
    writtenAtMs: Number.NEGATIVE_INFINITY,
    downs: 0,
    probeAtMs: undefined,
    isProbing: false,
    disabledAtMs: Number.NEGATIVE_INFINITY,
    isTelling: false,
  };
}

/** Its subscription points elsewhere now: what was seen of the endpoint before is neither written nor acted on. */
export function beginAnew(entry: Entry, urlKey: string, clock: Pick<Clock, "monotonic">): void {
  entry.urlKey = urlKey;
  entry.isKnown = false;
  entry.tally = undefined;
  entry.isUrgent = false;
  entry.downs = 0;
  // A write that is under way is still of the old one, and must not disable the new.
  entry.disabledAtMs = clock.monotonic();
}

/** What is read meanwhile may be older than what it knows or is about to write. */
export function isBusy({ isUrgent, isWriting, isProbing }: Entry): boolean {
  return isUrgent || isWriting || isProbing;
}

/** Endpoints written in one call. */
const WRITE_BATCH = 500;
/** A write that meets others' is made again on what they wrote. */
const WRITE_TRIES = 4;
/** Fewer failures say little, however far apart they are. */
const DISABLE_FEWEST = 3;
/**
 * Of the time after which a subscription is disabled, what may lie between two failures and still count. A clock that
 * jumps ahead counts as one such gap. Of five days it is 30 h: longer than any wait of the default retry schedule.
 */
const DISABLE_GAP_SHARE = 1 / 4;
/** At least so much counts: a tally spans several seconds. */
const DISABLE_GAP_MS = 60_000;
/** Until everybody has read that it is disabled, further failures come in. */
const DISABLE_AGAIN_MS = 60_000;

export interface HealthWriterEnds {
  /** Resolves when it is durable; the change is noted after that, and told again where a crash came between. */
  readonly onChange: (change: EndpointChange) => Promise<void>;
  /** Called with what was written, where the entry says nothing newer. */
  readonly see: (entry: Entry, record: EndpointRecord) => void;
  /** There is something to be written at once. */
  readonly wake: () => void;
}

export class HealthWriter {
  readonly #deps: EndpointHealthDeps;
  readonly #ends: HealthWriterEnds;

  constructor(deps: EndpointHealthDeps, ends: HealthWriterEnds) {
    this.#deps = deps;
    this.#ends = ends;
  }

  /** Never rejects: what was not written is kept, to be written another time. */
  async write(entries: readonly Entry[]): Promise<void> {
    for (let from = 0; from < entries.length; from += WRITE_BATCH) {
      await this.#writeBatch(entries.slice(from, from + WRITE_BATCH).filter(({ isWriting }) => !isWriting));
    }
  }

  async #writeBatch(entries: readonly Entry[]): Promise<void> {
    const tallies = new Map<Entry, Tally>();
    for (const entry of entries) {
      if (entry.tally !== undefined) tallies.set(entry, entry.tally);
      entry.tally = undefined;
      entry.isUrgent = false;
      entry.isWriting = true;
      entry.writtenAtMs = this.#deps.clock.monotonic();
    }
    try {
      // What has still not been written then belongs to a subscription that is gone.
      for (let tries = 0; tallies.size > 0 && tries < WRITE_TRIES; tries++) await this.#tryWrite(tallies);
    } catch (err) {
      this.#deps.log.error("endpoint.write_failed", { err, endpoints: tallies.size });
      for (const [entry, tally] of tallies)
        entry.tally = entry.tally === undefined ? tally : joined(tally, entry.tally);
    }
    for (const entry of entries) entry.isWriting = false;
  }

  /** Those that were written leave `tallies`. */
  async #tryWrite(tallies: Map<Entry, Tally>): Promise<void> {
    const { endpoints: store, clock, random, disableAfterMs } = this.#deps;
    const unknown = [...tallies.keys()].filter(({ isKnown }) => !isKnown);
    const found = unknown.length === 0 ? [] : await store.read(unknown.map(({ key }) => key));
    unknown.forEach((entry, at) => {
      entry.record = found[at];
    });
    const nowMs = clock.now();
    const mostGapMs = Math.max(disableAfterMs * DISABLE_GAP_SHARE, DISABLE_GAP_MS);
    const writes = [...tallies].map(([entry, tally]) => ({
      entry,
      tally,
      before: entry.record,
      after: folded(entry.key, entry.record, tally, nowMs, random, mostGapMs),
    }));
    const written = await store.write(writes.map(({ after }) => after));
    writes.forEach(({ entry, tally, before, after }, at) => {
      entry.isKnown = written[at] === true;
      if (!entry.isKnown) return;
      tallies.delete(entry);
      entry.record = after;
      if (!entry.isUrgent) this.#ends.see(entry, after);
      this.#logBreaker(before, after);
      void this.#tell(entry, after);
      if (tally.failedAtMs !== undefined) this.#disableIfLong(entry, after);
    });
  }

  #logBreaker(before: EndpointRecord | undefined, { subscriptionId, breaker, openings }: EndpointRecord): void {
    const from = before?.breaker ?? "closed";
    if (breaker !== from) this.#deps.log.info("endpoint.breaker", { subscriptionId, from, to: breaker, openings });
  }

  async #tell(entry: Entry, record: EndpointRecord): Promise<void> {
    const { log, clock } = this.#deps;
    const { tenant, subscriptionId, lastError } = record;
    const alarm = alarmOf(record, clock.now());
    if (alarm === undefined || entry.isTelling) return;
    entry.isTelling = true;
    try {
      await this.#ends.onChange({ ...alarm, tenant, subscriptionId, reason: lastError ?? "" });
      entry.tally = joined(entry.tally, { failures: 0, told: alarm });
      entry.isUrgent = true;
      this.#ends.wake();
    } catch (err) {
      // The next write tells it again.
      log.error("endpoint.untold", { err, subscriptionId });
    }
    entry.isTelling = false;
  }

  /** Decided at a failure, from what is stored: any worker may, and whoever comes second changes nothing. */
  #disableIfLong(entry: Entry, record: EndpointRecord): void {
    const { clock, disableAfterMs } = this.#deps;
    const { failingSinceMs, failingForMs = 0, consecutiveFailures } = record;
    if (disableAfterMs === 0 || failingSinceMs === undefined || consecutiveFailures < DISABLE_FEWEST) return;
    if (failingForMs < disableAfterMs) return;
    const { urlKey } = entry;
    if (urlKey === undefined || clock.monotonic() - entry.disabledAtMs < DISABLE_AGAIN_MS) return;
    entry.disabledAtMs = clock.monotonic();
    void this.#disable(entry, urlKey, record, failingSinceMs);
  }

  async #disable(entry: Entry, urlKey: string, record: EndpointRecord, sinceMs: number): Promise<void> {
    const { endpointSwitch, log } = this.#deps;
    const { tenant, subscriptionId, lastError } = record;
    try {
      await this.#ends.onChange({ kind: "disabled", tenant, subscriptionId, sinceMs, reason: lastError ?? "" });
      const now = await endpointSwitch.disable(tenant, subscriptionId, "failing", urlKey);
      if (now?.state === "disabled") log.warn("subscription.disabled", { subscriptionId, reason: "failing", sinceMs });
    } catch (err) {
      // The next failure tries again.
      entry.disabledAtMs = Number.NEGATIVE_INFINITY;
      log.error("subscription.disable_failed", { err, subscriptionId });
    }
  }
}
