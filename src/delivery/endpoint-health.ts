/**
 * How endpoints are doing, as this worker knows it: what it saw itself, gathered and written to the store every now and
 * then (at once where a breaker opens or closes), and which breakers others opened, read twice a second. It says what
 * may be sent, hands out the one probe of an open breaker, tells of changes, and disables what has failed for too long.
 */
import type { EndpointKey, EndpointRecord } from "../domain/endpoint.ts";
import type { Outcome } from "../domain/outcome.ts";
import type { Subscription } from "../domain/subscription.ts";
import { sleep, waitAtMost } from "../kernel/clock.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import {
  BREAKER,
  breakerClosed,
  joined,
  judge,
  openFor,
  probeReleased,
  probeTimeMs,
  probing,
  tallyOf,
} from "./breaker.ts";
import {
  beginAnew,
  type EndpointHealthDeps,
  type Entry,
  HealthWriter,
  isBusy,
  newEntry,
} from "./endpoint-health-writer.ts";

/**
 * What became of an endpoint. It may be told more than once (by several workers, or again after a crash), each time with
 * the same `kind` and `sinceMs`.
 */
export interface EndpointChange {
  /**
   * `failing`: its breaker opened, or it has had nothing but failures for a while. `recovered`: a success after that.
   * `disabled`: its subscription was disabled, since it has had nothing but failures for too long.
   */
  readonly kind: "failing" | "recovered" | "disabled";
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  /** Since when it has been failing, wall time in milliseconds; of `recovered`, since when it had been. */
  readonly sinceMs: number;
  /** The error code of the last failure. */
  readonly reason: string;
}

export interface EndpointHealthEnds {
  /** Resolves when it is durable. */
  readonly onChange: (change: EndpointChange) => Promise<void>;
  /** Its breaker was opened, here or elsewhere. */
  readonly onOpened: (subscriptionId: string) => void;
  /** Its breaker was closed, here or elsewhere. */
  readonly onClosed: (key: EndpointKey) => void;
}

/** How often others' breakers are looked at; they are known within a second then. */
const LOOK_EVERY_MS = 500;
/** Between two writes, however much opens and closes. */
const WRITE_GAP_MS = 20;
/** Between two writes of one endpoint whose breaker stays as it is: of one that fails, */
const FAILING_GAP_MS = 5_000;
/** and of one that is well, whose row then tells the last success. */
const WELL_GAP_MS = 60_000;
/** Open breakers that are read, the newest. Beyond these each worker asks after those that it knows, */
const OPEN_LIMIT = 10_000;
/** so many with each look. */
const LOOK_BEYOND = 1_000;
/** A breaker that nobody has probed for so long after its time may be of a subscription that is disabled by now, */
const UNPROBED_MS = 60_000;
/** which is asked so often, */
const UNPROBED_EVERY_MS = 30_000;
/** of so many at a time. */
const UNPROBED_ROWS = 100;
/** Endpoints remembered; the oldest of those that say nothing are forgotten. */
const REMEMBERED = 10_000;
/** How long a stop waits for the last write. */
const STOP_MS = 1_000;

/** Whether work may go: "probe" says that it is the one request that an open breaker lets through. */
export type Admission = "yes" | "probe" | "no";

export class EndpointHealth {
  readonly #deps: EndpointHealthDeps;
  readonly #ends: EndpointHealthEnds;
  readonly #writer: HealthWriter;
  readonly #entries = new Map<string, Entry>();
  /** Those whose breaker is open, by subscription. */
  readonly #open = new Map<string, Entry>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #isWoken = false;

  constructor(deps: EndpointHealthDeps, ends: EndpointHealthEnds) {
    this.#deps = deps;
    this.#ends = ends;
    this.#writer = new HealthWriter(deps, {
      onChange: ends.onChange,
      see: (entry, record) => this.#see(entry, record),
      wake: () => this.#wakeUp(),
    });
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Writes what is left to be written, where the store takes it within a second. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
    const last = this.#writer.write([...this.#entries.values()].filter(({ tally }) => tally !== undefined));
    await waitAtMost(this.#deps.clock, STOP_MS, last);
  }

  isOpen(subscriptionId: string): boolean {
    return this.#open.has(subscriptionId);
  }

  /** Open breakers, and how many requests may go to each now: none, or the probe. */
  *openSlots(): Generator<readonly [subscriptionId: string, slots: 0 | 1]> {
    const nowMs = this.#deps.clock.now();
    for (const [id, { probeAtMs = 0, isProbing }] of this.#open) yield [id, probeAtMs <= nowMs && !isProbing ? 1 : 0];
  }

  /** When the next probe may go that may not go yet. */
  nextProbeAtMs(): number {
    const nowMs = this.#deps.clock.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { probeAtMs = 0 } of this.#open.values()) if (probeAtMs > nowMs) nextMs = Math.min(nextMs, probeAtMs);
    return nextMs;
  }

  /** Asked right before an attempt. */
  async admit({ tenant, id }: Pick<Subscription, "tenant" | "id">): Promise<Admission> {
    const entry = this.#open.get(id);
    if (entry === undefined) return "yes";
    if (entry.isProbing || (entry.probeAtMs ?? 0) > this.#deps.clock.now()) return "no";
    entry.isProbing = true;
    try {
      return await this.#takeProbe(entry);
    } catch (err) {
      entry.isProbing = false;
      entry.probeAtMs = this.#deps.clock.now() + LOOK_EVERY_MS;
      this.#deps.log.error("endpoint.probe_failed", { err, subscriptionId: id, organisation: tenant.organisation });
      return "no";
    }
  }

  /** What came of an attempt that was admitted. */
  note(
    { tenant, id, urlKey }: Pick<Subscription, "tenant" | "id" | "urlKey">,
    outcome: Outcome,
    admission: Admission,
  ): void {
    const nowMs = this.#deps.clock.now();
    const entry = this.#entry({ tenant, subscriptionId: id });
    const isProbe = admission === "probe";
    if (isProbe) entry.isProbing = false;
    const seen = tallyOf(outcome, nowMs);
    if (seen === undefined) {
      if (isProbe) this.#release(entry);
      return;
    }
    if (entry.urlKey !== undefined && entry.urlKey !== urlKey) beginAnew(entry, urlKey, this.#deps.clock);
    entry.urlKey = urlKey;
    entry.downs = judge(outcome) === "down" ? entry.downs + 1 : 0;
    const retryAfterMs = outcome.kind === "rejected" ? (outcome.retryAfterMs ?? 0) : 0;
    const opens = entry.downs > 0 && (isProbe || (!this.isOpen(id) && entry.downs >= BREAKER.failures));
    const closes = isProbe && seen.answeredAtMs !== undefined;
    entry.tally = joined(entry.tally, {
      ...seen,
      ...(opens ? { opening: { byProbe: isProbe, retryAfterMs } } : {}),
      ...(closes ? { closing: true as const } : {}),
    });
    if (opens) {
      const openings = isProbe ? (entry.record?.openings ?? 0) + 1 : 1;
      this.#setOpen(entry, nowMs + openFor(openings, retryAfterMs, this.#deps.random));
    } else if (seen.answeredAtMs !== undefined && (closes || this.isOpen(id))) {
      this.#setClosed(entry);
    } else {
      return;
    }
    entry.isUrgent = true;
    this.#wakeUp();
  }

  async #takeProbe(entry: Entry): Promise<Admission> {
    const { endpoints: store, clock } = this.#deps;
    if (entry.isUrgent || entry.isWriting) await this.#writer.write([entry]);
    if (!entry.isKnown) [entry.record] = await store.read([entry.key]);
    const { record } = entry;
    if (record === undefined || record.breaker === "closed") {
      entry.isProbing = false;
      this.#setClosed(entry);
      return "yes";
    }
    if (probeTimeMs(record, clock.now()) <= clock.now()) {
      const next = probing(record, clock.now());
      const [written] = await store.write([next]);
      if (written === true) {
        entry.record = next;
        entry.isKnown = true;
        entry.probeAtMs = next.probeAtMs;
        return "probe";
      }
    }
    // Another was quicker, or knows more: so do we with the next look.
    entry.isProbing = false;
    entry.isKnown = false;
    entry.probeAtMs = clock.now() + LOOK_EVERY_MS;
    return "no";
  }

  /** Our probe said nothing of the endpoint. */
  #release(entry: Entry): void {
    const nowMs = this.#deps.clock.now();
    const { record } = entry;
    if (record?.breaker !== "halfOpen") return;
    const next = probeReleased(record, nowMs);
    entry.isKnown = false;
    entry.probeAtMs = nowMs;
    // Where that fails, the probe's lease ends by itself.
    this.#deps.endpoints.write([next]).catch((err: unknown) => this.#deps.log.error("endpoint.write_failed", { err }));
  }

  // ---- writing and reading ----

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    let lookAtMs = Number.NEGATIVE_INFINITY;
    let closeAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      this.#isWoken = false;
      try {
        await this.#writer.write([...this.#entries.values()].filter((entry) => this.#isDue(entry)));
        if (clock.monotonic() >= lookAtMs) {
          lookAtMs = clock.monotonic() + LOOK_EVERY_MS;
          await this.#look();
        }
        if (clock.monotonic() >= closeAtMs) {
          closeAtMs = clock.monotonic() + UNPROBED_EVERY_MS;
          await this.#closeUnprobed();
        }
      } catch (err) {
        log.error("endpoint.look_failed", { err });
      }
      this.#forgetSome();
      await sleep(clock, WRITE_GAP_MS, signal);
      if (!this.#isWoken) await this.#waitUntil(lookAtMs);
    }
  }

  #waitUntil(atMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(Math.max(1, atMs - this.#deps.clock.monotonic()), () => this.#wake?.());
      this.#wake = () => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      if (this.#isWoken || this.#stopping.signal.aborted) this.#wake();
    });
  }

  #wakeUp(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  #isDue({ tally, isWriting, isUrgent, writtenAtMs, record }: Entry): boolean {
    if (tally === undefined || isWriting) return false;
    if (isUrgent) return true;
    const isFailing = tally.failures > 0 || record?.failingSinceMs !== undefined;
    return this.#deps.clock.monotonic() - writtenAtMs >= (isFailing ? FAILING_GAP_MS : WELL_GAP_MS);
  }

  /** Which breakers are open elsewhere, and which no more. */
  async #look(): Promise<void> {
    const before = [...this.#open.values()];
    const records = await this.#deps.endpoints.open(OPEN_LIMIT);
    const found = new Set<Entry>();
    for (const record of records) {
      const entry = this.#entry(record);
      found.add(entry);
      if (!isBusy(entry) && record.version >= (entry.record?.version ?? 0)) this.#learn(entry, record);
    }
    const missing = before.filter((entry) => !found.has(entry) && !isBusy(entry));
    if (records.length >= OPEN_LIMIT) return this.#lookAfter(missing.slice(0, LOOK_BEYOND));
    for (const entry of missing) this.#forgetOpening(entry);
  }

  async #lookAfter(entries: readonly Entry[]): Promise<void> {
    const records = entries.length === 0 ? [] : await this.#deps.endpoints.read(entries.map(({ key }) => key));
    entries.forEach((entry, at) => {
      const record = records[at];
      this.#toTheEnd(entry);
      if (isBusy(entry)) return;
      if (record === undefined) this.#forgetOpening(entry);
      else if (record.version >= (entry.record?.version ?? 0)) this.#learn(entry, record);
    });
  }

  #forgetOpening(entry: Entry): void {
    entry.isKnown = false;
    this.#setClosed(entry);
  }

  /** The others are looked at before it again. */
  #toTheEnd(entry: Entry): void {
    const { subscriptionId } = entry.key;
    if (this.#open.delete(subscriptionId)) this.#open.set(subscriptionId, entry);
  }

  /**
   * Nothing is sent for a disabled subscription, so nobody probes its endpoint: its breaker would stay open, and be read
   * by every worker. It is closed; enabled again, the endpoint starts anew.
   */
  async #closeUnprobed(): Promise<void> {
    const { endpoints: store, index, clock } = this.#deps;
    const beforeMs = clock.now() - UNPROBED_MS;
    const isUnprobed = (entry: Entry) => !isBusy(entry) && entry.isKnown && (entry.probeAtMs ?? beforeMs) < beforeMs;
    const unprobed = this.#open.values().filter(isUnprobed).take(UNPROBED_ROWS).toArray();
    if (unprobed.length === 0) return;
    for (const entry of unprobed) this.#toTheEnd(entry);
    const tenants = new Map(unprobed.map(({ key: { tenant } }) => [tenantKey(tenant), tenant]));
    const view = await index.refresh([...tenants.values()]);
    const closing = unprobed.flatMap((entry) => {
      const { tenant, subscriptionId } = entry.key;
      if (entry.record === undefined || view.find(tenant, subscriptionId)?.state === "enabled") return [];
      return isUnprobed(entry) ? [{ entry, next: breakerClosed(entry.record, clock.now()) }] : [];
    });
    if (closing.length === 0) return;
    const written = await store.write(closing.map(({ next }) => next));
    closing.forEach(({ entry, next }, at) => {
      if (written[at] === true && !isBusy(entry)) this.#learn(entry, next);
    });
  }

  #learn(entry: Entry, record: EndpointRecord): void {
    entry.record = record;
    entry.isKnown = true;
    this.#see(entry, record);
  }

  #see(entry: Entry, record: EndpointRecord): void {
    if (record.breaker === "closed") this.#setClosed(entry);
    else this.#setOpen(entry, probeTimeMs(record, this.#deps.clock.now()));
  }

  #setOpen(entry: Entry, probeAtMs: number): void {
    const { subscriptionId } = entry.key;
    entry.probeAtMs = probeAtMs;
    entry.downs = 0;
    if (this.#open.has(subscriptionId)) return;
    this.#open.set(subscriptionId, entry);
    this.#ends.onOpened(subscriptionId);
  }

  #setClosed(entry: Entry): void {
    entry.probeAtMs = undefined;
    entry.downs = 0;
    if (this.#open.delete(entry.key.subscriptionId)) this.#ends.onClosed(entry.key);
  }

  #entry(key: EndpointKey): Entry {
    const { tenant, subscriptionId } = key;
    const name = `${tenantKey(tenant)}/${subscriptionId}`;
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry = newEntry({ tenant, subscriptionId });
    this.#entries.set(name, entry);
    return entry;
  }

  #forgetSome(): void {
    if (this.#entries.size <= REMEMBERED) return;
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size <= REMEMBERED) return;
      if (entry.tally === undefined && entry.probeAtMs === undefined && !isBusy(entry)) this.#entries.delete(name);
    }
  }
}
