/** Fetches due deliveries from the store under leases and puts them into the lanes, as many as these can start. */
import { create } from "@bufbuild/protobuf";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../domain/decoded-event.ts";
import type { StoredEvent } from "../domain/event.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import { nextTurn } from "../kernel/next-turn.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import { conflated } from "./conflation.ts";
import type { ClaimedDelivery, ClaimResult, DeliveryStore } from "./delivery-store.ts";
import type { EndpointHealth } from "./endpoint-health.ts";
import { eventKeyText } from "./in-hand.ts";
import type { Stopped } from "./kill-switch.ts";
import { AHEAD_MS } from "./lane.ts";
import type { Lanes } from "./lanes.ts";
import { type Holder, LEASE_SKEW_MS } from "./lease.ts";
import { LEASE_MS } from "./outcomes.ts";
import type { EventInHand, Work } from "./work.ts";

export interface RetrySchedulerDeps {
  readonly store: Pick<DeliveryStore, "claim" | "turnBack" | "shortenLeases" | "openInChains" | "fold">;
  readonly index: SubscriptionIndex;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly log: Log;
  readonly mayStart: () => boolean;
  readonly holder: Holder;
  readonly stopped: Stopped;
  /** What open breakers leave of the slots. */
  readonly endpoints: Pick<EndpointHealth, "openSlots" | "nextProbeAtMs">;
  readonly place: (work: Work) => void;
}

/** What a claim was asked for. */
interface Asked {
  readonly slots: ReadonlyMap<string, number>;
  readonly limit: number;
  readonly leftOut: readonly string[];
}

/** Slots of an endpoint that has no lane yet, so whose cap isn't known. */
const DEFAULT_SLOTS = 32;
/** Between two claims: so many slots come free meanwhile that a claim is worth its transaction. */
const MIN_GAP_MS = 5;
/** Without a claim that found something, even when woken. */
const IDLE_GAP_MS = 20;
/** However slow the store is: what is claimed ahead is bounded by the lanes' queues. */
const MAX_GAP_MS = 500;
/** A claim that takes so long says that the store is the limit. */
const SLOW_CLAIM_MS = 500;
/** Of what a claim costs: until the next is back, a gap and a claim go by. */
const AHEAD_CLAIMS = 3;
/** Clocks are slewed by less. */
const SET_BACK_MS = 10_000;
/** Longer than a group commit waits. */
const SET_BACK_WAIT_MS = 1_000;
/** Between two looks for leases that are longer than any. */
const LONG_LEASES_MS = 60_000;
/** Between two looks at the store when nothing wakes it: another process may have made something due. */
const POLL_MS = 1_000;
/** Of claimed events, which are then rendered in the same turn: a mebibyte of many small values takes some 25 ms. */
const DECODED_IN_ONE_TURN_BYTES = 1024 * 1024;

export class RetryScheduler {
  readonly #deps: RetrySchedulerDeps;
  readonly #stopping = new AbortController();
  #woken = false;
  /** The wall clock less the monotonic one, at the last look. */
  #aheadMs: number | undefined;
  /** By how much it was set back, and when that was seen. */
  #setBack: { readonly byMs: number; readonly seenAtMs: number } | undefined;
  /** When leases were last looked over. */
  #leasesSeenAtMs = Number.NEGATIVE_INFINITY;
  /** What the last claim took. */
  #costMs = 0;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(deps: RetrySchedulerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
  }

  /** Something may be due, or slots are free. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Whether the store is slow to say what is due. */
  get isSlow(): boolean {
    return this.#costMs > SLOW_CLAIM_MS;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#woken = false;
      const round = await this.#round();
      // A store that is slow to answer gets as much time to itself as it needs for a claim.
      const gapMs = Math.max(round.claimed ? MIN_GAP_MS : IDLE_GAP_MS, Math.min(this.#costMs, MAX_GAP_MS));
      await sleep(this.#deps.clock, gapMs, signal);
      if (!this.#woken && !round.claimed) await this.#waitForWork(round.nextDueAtMs);
    }
  }

  #waitForWork(nextDueAtMs: number | undefined): Promise<void> {
    const untilDueMs = (nextDueAtMs ?? Number.POSITIVE_INFINITY) - this.#deps.clock.now();
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(Math.max(1, Math.min(POLL_MS, untilDueMs)), () => this.#wake?.());
      this.#wake = () => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      if (this.#woken || this.#stopping.signal.aborted) this.#wake();
    });
  }

  /**
   * The wall clock may have been set back: then what was due soon would be due after as long as it was ahead. Mostly
   * there is nothing to be done, and nothing to wait for.
   */
  #followClock(): Promise<void> | undefined {
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    const aheadMs = clock.now() - nowMs;
    const byMs = Math.round((this.#aheadMs ?? aheadMs) - aheadMs);
    this.#aheadMs = aheadMs;
    if (byMs > SET_BACK_MS) this.#setBack = { byMs: byMs + (this.#setBack?.byMs ?? 0), seenAtMs: nowMs };
    // What was decided before is on its way to the store.
    if (this.#setBack !== undefined && nowMs - this.#setBack.seenAtMs >= SET_BACK_WAIT_MS) {
      return this.#makeUp(this.#setBack.byMs);
    }
    return nowMs - this.#leasesSeenAtMs >= LONG_LEASES_MS ? this.#shortenLeases(LEASE_SKEW_MS) : undefined;
  }

  async #makeUp(byMs: number): Promise<void> {
    const { clock, store, log } = this.#deps;
    // A healthy lease, ours or another's, is never that long: only what the clock that was ahead wrote is cut.
    await this.#shortenLeases(0);
    const deliveries = await store.turnBack({ nowMs: clock.now(), byMs });
    log.warn("delivery.clock_set_back", { byMs, deliveries });
    this.#setBack = undefined;
  }

  /** Not ended but cut to the length of a new one: whoever took such a lease may still be at work. */
  async #shortenLeases(skewMs: number): Promise<void> {
    const { clock, store, log } = this.#deps;
    this.#leasesSeenAtMs = clock.monotonic();
    const toMs = clock.now() + LEASE_MS;
    const deliveries = await store.shortenLeases({ beyondMs: toMs + skewMs, toMs });
    if (deliveries > 0) log.warn("delivery.leases_shortened", { deliveries });
  }

  async #round(): Promise<{ readonly claimed: boolean; readonly nextDueAtMs?: number }> {
    const { lanes, store, clock, stopped, endpoints, holder } = this.#deps;
    // Seen at once even where nothing may start: other workers see the same step, and make up for it together.
    const following = this.#followClock();
    if (following !== undefined) {
      await following.catch((err: unknown) => this.#deps.log.error("delivery.clock_unfollowed", { err }));
    }
    const limit = lanes.freeSlots;
    if (limit === 0 || stopped.all || !holder.isSure || !this.#deps.mayStart()) return { claimed: false };
    const { life } = holder;
    const slots = new Map<string, number>();
    const nowMs = clock.monotonic();
    const leftOut = stopped.organisations;
    const aheadMs = Math.max(AHEAD_MS, this.#costMs * AHEAD_CLAIMS);
    for (const lane of lanes.all()) slots.set(lane.subscriptionId, lane.freeSlots(nowMs, aheadMs));
    for (const [id, open] of endpoints.openSlots()) slots.set(id, (lanes.find(id)?.queued ?? 0) > 0 ? 0 : open);
    try {
      const result = await store.claim({
        nowMs: clock.now(),
        leaseMs: LEASE_MS,
        limit,
        slots,
        defaultSlots: DEFAULT_SLOTS,
        stopped: leftOut,
      });
      this.#costMs = clock.monotonic() - nowMs;
      if (result.claimed.length > 0) await this.takeOn(result.claimed, life);
      this.#noteWhatIsLeft({ slots, limit, leftOut }, result);
      const nextDueAtMs = Math.min(result.nextDueAtMs ?? Number.POSITIVE_INFINITY, endpoints.nextProbeAtMs());
      return { claimed: result.claimed.length > 0, nextDueAtMs };
    } catch (err) {
      this.#deps.log.error("delivery.claim_failed", { err });
      return { claimed: false };
    }
  }

  /** Puts deliveries into their lanes that were claimed in this life of ours. */
  async takeOn(claimed: readonly ClaimedDelivery[], life: number): Promise<void> {
    const tenants = new Map<string, Tenant>();
    for (const { delivery } of claimed) tenants.set(tenantKey(delivery.tenant), delivery.tenant);
    // What an attempt uses is as new as its claim: a rotation or a corrected URL reaches waiting work.
    const view = await this.#deps.index.refresh([...tenants.values()]);
    const events = new Map<string, EventInHand>();
    let decodedBytes = 0;
    for (const { delivery, event: stored } of await conflated(this.#deps, claimed, view, LEASE_MS)) {
      const key = eventKeyText(stored);
      const known = events.get(key);
      if (known === undefined) decodedBytes += stored.value.length;
      if (decodedBytes > DECODED_IN_ONE_TURN_BYTES) {
        await nextTurn();
        decodedBytes = 0;
      }
      const event = known ?? this.#inHand(stored);
      events.set(key, event);
      const { id, subscriptionId, workClass, createdAtMs, runAttempts, fence, run, sequence, replayId } = delivery;
      const leaseUntilMs = delivery.leaseUntilMs ?? this.#deps.clock.now() + LEASE_MS;
      const claim = { fence, run, leaseUntilMs, life };
      const policy = view.find(delivery.tenant, subscriptionId)?.policy;
      this.#deps.place({
        id,
        subscriptionId,
        event,
        workClass,
        createdAtMs,
        ...(sequence === undefined ? {} : { sequence }),
        ...(replayId === undefined ? {} : { replayId }),
        ...(sequence !== undefined && run === 1 && policy?.ordering === "perPass" ? { ordered: true } : {}),
        runAttempts,
        claim,
        waiters: [],
        row: "leased",
        queuedAtMs: 0,
      });
    }
  }

  /** One that can't be read fails by itself, when it is to be rendered; its neighbours go on. */
  #inHand(stored: StoredEvent): EventInHand {
    const fresh = { rendered: new Map(), conflicted: false };
    try {
      return { ...decodeStored(stored), ...fresh };
    } catch (err) {
      this.#deps.log.error("delivery.event_unreadable", { err, eventId: stored.id });
      return { stored, event: create(PassEventSchema), ...fresh };
    }
  }

  /** An endpoint that had more slots than due work has nothing left in the store; one that used them all may have more. */
  #noteWhatIsLeft({ slots, limit, leftOut }: Asked, result: ClaimResult): void {
    const counts = new Map<string, number>();
    for (const { delivery } of result.claimed) {
      counts.set(delivery.subscriptionId, (counts.get(delivery.subscriptionId) ?? 0) + 1);
    }
    // A claim that met the overall limit, or a limit of size (then what is left is due at once), says nothing of those that it left out.
    const isWhole =
      result.claimed.length < limit && (result.nextDueAtMs ?? Number.POSITIVE_INFINITY) > this.#deps.clock.now();
    for (const lane of [...this.#deps.lanes.all()]) {
      if (lane.stoppedWith !== undefined && leftOut.includes(lane.stoppedWith)) continue;
      const took = counts.get(lane.subscriptionId) ?? 0;
      const usedAll = took >= (slots.get(lane.subscriptionId) ?? DEFAULT_SLOTS);
      if (usedAll || !isWhole) lane.moreDue ||= took > 0;
      else lane.moreDue = false;
      if (lane.behind && isWhole && !usedAll) this.#deps.lanes.caughtUp(lane);
    }
  }
}
