/**
 * The upkeep: every ten minutes one worker, whose turn it is, goes over all that is past its time. It takes short steps
 * with long pauses, and waits while the store is busy, so that deliveries notice nothing of it.
 */
import type { Delivery } from "../domain/delivery.ts";
import type { ServiceRetention } from "../domain/retention.ts";
import { disabledSince } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import type { Cursor } from "../kernel/page.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionView } from "../matching/subscription-index.ts";
import type { DeliveryLog } from "./delivery-store.ts";
import type { Stopped } from "./kill-switch.ts";
import { nextPurgeClock, type PurgeClock, readPurgeClock } from "./purge-clock.ts";
import { PURGED, type PurgedKind, type RetentionStore, type TenantRetention } from "./retention.ts";

export interface UpkeepRetention extends ServiceRetention {
  readonly deadLetterRetentionMs: number;
  readonly auditRetentionMs: number;
  /** Of a held delivery, from its creation or since its subscription was disabled, whichever is later. */
  readonly holdRetentionMs: number;
}

export interface UpkeepDeps {
  readonly store: RetentionStore;
  readonly deliveries: Pick<DeliveryLog, "listDeliveries">;
  /** The tenant's subscriptions as they are now (SubscriptionIndex). */
  readonly index: { refresh(tenants: readonly Tenant[]): Promise<Pick<SubscriptionView, "find">> };
  readonly stopped: Pick<Stopped, "isStopped">;
  readonly retention: UpkeepRetention;
  /** Called with held deliveries that are about to end for their age; they end when it has resolved. */
  readonly expiring: (deliveries: readonly Delivery[]) => Promise<void>;
  /** True while deliveries need the store more. */
  readonly isBusy: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** A name that no other process has. */
  readonly holder: string;
}

const ROUND_EVERY_MS = 10 * 60_000;
/** Longer than from one round to the next, so that one process does them all; its heir waits no longer than this. */
const TURN_MS = 15 * 60_000;
/** A round that takes longer renews its turn as often as this: many times before it would end. */
const RENEW_MS = 60_000;
const STEP_ROWS = 500;
/** Between two steps: the store has four fifths of its time for others. */
const REST = 4;
const MIN_REST_MS = 20;
/** How long a busy store is waited for. Then a step is made all the same, or a store that is always busy would grow. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 500;
/** Failures one after the other, after which a round ends: each may have taken as long as a store that is away is waited for. */
const GIVEN_UP_AFTER = 3;
/** How long a portal session is kept after its end: it is listed for those who wonder. */
const SESSION_KEPT_MS = 7 * 24 * 3_600_000;
/**
 * Payloads that were kept for an open delivery are looked at again after so long. In between a round goes on where the
 * last one ended, and not over all that was dropped.
 */
const PAYLOADS_ANEW_MS = 24 * 3_600_000;

type Counts = Record<PurgedKind | "expired", number>;

const NOTHING: Readonly<Record<PurgedKind, number>> = {
  deliveries: 0,
  events: 0,
  payloads: 0,
  deadLetters: 0,
  replays: 0,
  portalSessions: 0,
  auditRecords: 0,
  binRequests: 0,
  bins: 0,
  deliveryStats: 0,
};

interface Place {
  readonly at: Cursor | undefined;
  /** By the monotonic clock: when it was last gone over from the beginning. */
  readonly anewMs: number;
}

export class Upkeep {
  readonly #deps: UpkeepDeps;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  /** The purge clock's last look of this process, by the monotonic clock. */
  #lookedAtMs: number | undefined;
  #wasBehind = false;
  /** Whether it is this process's turn, and when that was last made sure of, by the monotonic clock. */
  #hasTurn = false;
  #turnAtMs = 0;
  readonly #payloads = new Map<string, Place>();
  /** Since the last step that didn't fail. */
  #failures = 0;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#round().catch((err: unknown) => log.error("retention.failed", { err }));
      await sleep(clock, ROUND_EVERY_MS, signal);
    }
  }

  async #round(): Promise<void> {
    const { store, log } = this.#deps;
    const nowMs = await this.#purgeTime();
    if (nowMs === undefined) {
      // Another's turn: when it is ours again, what has passed meanwhile is for the wall clock to say.
      this.#lookedAtMs = undefined;
      return;
    }
    const counts: Counts = { expired: 0, ...NOTHING };
    this.#failures = 0;
    for (const retained of await store.tenants()) {
      counts.expired += await this.#tried("expired", retained, () => this.#expireHeld(retained, nowMs));
      for (const kind of PURGED) {
        counts[kind] += await this.#tried(kind, retained, () => this.#purge(kind, retained, nowMs));
      }
      if (this.#stopping.signal.aborted || !this.#hasTurn || this.#failures === GIVEN_UP_AFTER) break;
    }
    if (!this.#hasTurn) log.warn("retention.turn_lost", { holder: this.#deps.holder });
    if (Object.values(counts).some((count) => count > 0)) log.info("retention.purged", counts);
    log.debug("retention.round_ended", counts);
  }

  /** One kind of one tenant, whose failure keeps no other from going; where one after the other fails, the store is away. */
  async #tried(kind: keyof Counts, { tenant }: TenantRetention, task: () => Promise<number>): Promise<number> {
    if (this.#failures === GIVEN_UP_AFTER) return 0;
    try {
      return await task();
    } catch (err) {
      this.#failures += 1;
      this.#deps.log.error("retention.failed", { err, kind, ...tenant });
      return 0;
    }
  }

  /** Undefined where it is another process's turn. */
  async #purgeTime(): Promise<number | undefined> {
    const { store, clock, holder, log } = this.#deps;
    const turn = await this.#takeTurn();
    if (turn === undefined) return undefined;
    const lookMs = clock.monotonic();
    const elapsedMs = this.#lookedAtMs === undefined ? undefined : lookMs - this.#lookedAtMs;
    const next = nextPurgeClock(readPurgeClock(turn.state), clock.now(), elapsedMs);
    this.#lookedAtMs = lookMs;
    await store.keepState(holder, JSON.stringify(next));
    this.#tell(next, log);
    return next.purgeMs;
  }

  async #takeTurn() {
    const { store, clock, holder } = this.#deps;
    const turnAtMs = clock.monotonic();
    const turn = await store.takeTurn({ holder, nowMs: clock.now(), leaseMs: TURN_MS });
    this.#hasTurn = turn !== undefined;
    this.#turnAtMs = turnAtMs;
    return turn;
  }

  #tell({ purgeMs, wallMs }: PurgeClock, log: Log): void {
    const isBehind = purgeMs < wallMs;
    if (isBehind && !this.#wasBehind) log.warn("retention.clock_jumped", { aheadMs: wallMs - purgeMs });
    if (!isBehind && this.#wasBehind) log.info("retention.clock_believed");
    this.#wasBehind = isBehind;
  }

  async #purge(kind: PurgedKind, retained: TenantRetention, nowMs: number): Promise<number> {
    const { store } = this.#deps;
    const keptMs = keptFor(kind, { ...this.#deps.retention, ...retained });
    if (keptMs === undefined) return 0;
    const { tenant } = retained;
    let after = kind === "payloads" ? this.#payloadsFrom(retained) : undefined;
    let purged = 0;
    let more = true;
    while (more && (await this.#mayStep())) {
      const step = await this.#rested(() => {
        const where = { tenant, kind, beforeMs: nowMs - keptMs, limit: STEP_ROWS, nowMs };
        return store.purge(after === undefined ? where : { ...where, after });
      });
      purged += step.purged;
      after = step.at ?? after;
      more = step.more;
      if (kind === "payloads") this.#notePayloads(retained, after);
    }
    return purged;
  }

  #payloadsFrom({ tenant }: TenantRetention): Cursor | undefined {
    const nowMs = this.#deps.clock.monotonic();
    const place = this.#payloads.get(tenantKey(tenant));
    if (place !== undefined && nowMs - place.anewMs < PAYLOADS_ANEW_MS) return place.at;
    this.#payloads.set(tenantKey(tenant), { at: undefined, anewMs: nowMs });
    return undefined;
  }

  #notePayloads({ tenant }: TenantRetention, at: Cursor | undefined): void {
    const place = this.#payloads.get(tenantKey(tenant));
    if (place !== undefined) this.#payloads.set(tenantKey(tenant), { ...place, at });
  }

  /** Told first and ended then: a crash or a stop in between tells again, and the same event. */
  async #expireHeld({ tenant }: TenantRetention, nowMs: number): Promise<number> {
    const { store, deliveries, retention } = this.#deps;
    const toMs = nowMs - retention.holdRetentionMs + 1;
    let expired = 0;
    let after: Cursor | undefined;
    while (await this.#mayStep()) {
      const request = { size: LIMITS.pageSize, ...(after !== undefined && { after }) };
      const { items, next } = await this.#rested(() =>
        deliveries.listDeliveries(tenant, { status: "held", toMs }, request),
      );
      const old = await this.#heldTooLong(tenant, items, toMs);
      if (old.length > 0) {
        if (!(await this.#areTold(old))) break;
        // Telling takes its time, in which it may have been enabled.
        const ids = (await this.#heldTooLong(tenant, old, toMs)).map(({ id }) => id);
        if (ids.length > 0) {
          expired += await this.#rested(() => store.expireHeld(tenant, ids, this.#deps.clock.now()));
        }
      }
      if (next === undefined) break;
      after = next;
    }
    return expired;
  }

  /** False where the process stops first: a store that takes no writes would never let it, and the rest is for the next round. */
  async #areTold(old: readonly Delivery[]): Promise<boolean> {
    const { signal } = this.#stopping;
    if (signal.aborted) return false;
    const { promise: stopped, resolve } = Promise.withResolvers<false>();
    const stop = () => resolve(false);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([this.#deps.expiring(old).then(() => true), stopped]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /**
   * Those whose subscription is disabled, and was before `toMs`. What waits for its turn in a chain is held too, and so
   * is what was held when its organisation was stopped: these go on by themselves. One that was asked for again
   * (a later run) doesn't go with age: its creation says nothing of how long it has been held.
   */
  async #heldTooLong(tenant: Tenant, held: readonly Delivery[], toMs: number): Promise<readonly Delivery[]> {
    const { index, stopped } = this.#deps;
    const inFirstRun = held.filter(({ run, createdAtMs }) => run === 1 && createdAtMs < toMs);
    if (inFirstRun.length === 0) return [];
    const view = await index.refresh([tenant]);
    if (stopped.isStopped(tenant.organisation)) return [];
    return inFirstRun.filter(({ subscriptionId }) => {
      const subscription = view.find(tenant, subscriptionId);
      const sinceMs = subscription === undefined ? undefined : disabledSince(subscription);
      return sinceMs !== undefined && sinceMs < toMs;
    });
  }

  /** Waits while the store is busy; false where the process stops, or it is another's turn. */
  async #mayStep(): Promise<boolean> {
    const { clock, isBusy } = this.#deps;
    const { signal } = this.#stopping;
    const untilMs = clock.monotonic() + PATIENCE_MS;
    while (!signal.aborted && isBusy() && clock.monotonic() < untilMs) await sleep(clock, LOOK_MS, signal);
    if (signal.aborted || !this.#hasTurn) return false;
    if (clock.monotonic() - this.#turnAtMs >= RENEW_MS) await this.#takeTurn();
    return this.#hasTurn;
  }

  async #rested<T>(step: () => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    const beganMs = clock.monotonic();
    const result = await step();
    this.#failures = 0;
    const restMs = Math.max(MIN_REST_MS, REST * (clock.monotonic() - beganMs));
    await sleep(clock, restMs, this.#stopping.signal);
    return result;
  }
}

/** Undefined: nothing of the kind goes by itself. */
function keptFor(kind: PurgedKind, retention: UpkeepRetention): number | undefined {
  switch (kind) {
    case "deliveries":
    case "replays":
      return retention.deliveryRetentionMs;
    case "events":
      return retention.eventRetentionMs;
    case "payloads": {
      const { payloadRetentionMs, eventRetentionMs } = retention;
      // A payload that is kept as long as its event goes with it.
      return payloadRetentionMs !== undefined && payloadRetentionMs < eventRetentionMs ? payloadRetentionMs : undefined;
    }
    case "deadLetters":
      return retention.deadLetterRetentionMs;
    case "portalSessions":
      return SESSION_KEPT_MS;
    case "auditRecords":
      return retention.auditRetentionMs;
    // They say themselves when their time is over.
    case "binRequests":
    case "bins":
    case "deliveryStats":
      return 0;
  }
}
