/**
 * Sweeps that run always, not only after a crash or at the switch (protocol, rule 8): held deliveries of enabled
 * subscriptions are released, where these ask for order only the first of each pass; waiting ones of disabled
 * subscriptions are held. Those of deleted ones are cancelled.
 * Once a second, with the index brought up to date on the way, a group of tenants at a time: however many have open
 * work, few of them are in memory at once, and one that doesn't change is loaded no second time.
 */
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { DeliveryStore, MoveRequest, OpenSubscription } from "./delivery-store.ts";

export interface SweeperDeps {
  readonly store: Pick<DeliveryStore, "openSubscriptions" | "moveOpen" | "promoteNext">;
  readonly index: SubscriptionIndex;
  readonly clock: Clock;
  readonly log: Log;
  /** Deliveries were made due. */
  readonly onDue: () => void;
}

const SWEEP_EVERY_MS = 1_000;
/** Tenants whose subscriptions are looked at together. */
const GROUP = 100;
/** Subscriptions of which it is remembered what they ask; those beyond are loaded with every sweep. */
const REMEMBERED = 100_000;
const MOVE_BATCH = 1_000;
/** Open deliveries of an ordered subscription that one look takes in. */
const PROMOTE_ROWS = 1_000;
/**
 * A look for what has no place among its pass's goes past all that has one (MongoDB has no index for it). One that found
 * nothing is made again after so many times as long as it took, and after `MOST_REST_MS` at the latest.
 */
const RESTS = 20;
const MOST_REST_MS = 60_000;
/** Looks of one sweep at one subscription; the next sweep goes on behind the last pass. */
const PROMOTE_LOOKS = 10;

export class Sweeper {
  readonly #deps: SweeperDeps;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  /** How far the look at an ordered subscription's passes got, where it did not get to the end. */
  readonly #lastPasses = new Map<string, string>();
  /** Until when there is no look for what has no place among its pass's, by the clock that only grows. */
  readonly #restsUntilMs = new Map<string, number>();
  /** As of a version: what open subscriptions ask, of tenants that the index didn't hold. */
  #remembered = new Map<string, Remembered>();

  constructor(deps: SweeperDeps) {
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
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.sweep();
      } catch (err) {
        this.#deps.log.error("delivery.sweep_failed", { err });
      }
      await sleep(this.#deps.clock, SWEEP_EVERY_MS, signal);
    }
  }

  /** A stop ends it where it is: what it has not come to is for the next sweep, whichever worker's. */
  async sweep(): Promise<void> {
    const { index, store, clock } = this.#deps;
    for (const [id, untilMs] of this.#restsUntilMs) if (untilMs <= clock.monotonic()) this.#restsUntilMs.delete(id);
    const open = Map.groupBy(await store.openSubscriptions(), ({ tenant }) => tenantKey(tenant));
    const held = index.tenants();
    const remembered = new Map<string, Remembered>();
    for (const tenants of groupsOf(held)) {
      if (this.#stopping.signal.aborted) return;
      const view = await index.refresh(tenants);
      for (const tenant of tenants) {
        const entries = open.get(tenantKey(tenant)) ?? [];
        for (const entry of entries) await this.#sweepOne(entry, view.find(tenant, entry.subscriptionId));
      }
    }
    for (const key of held.map(tenantKey)) {
      // The index may let go of it before the next sweep.
      const known = this.#remembered.get(key);
      if (open.delete(key) && known !== undefined) remembered.set(key, known);
    }
    await this.#sweepOthers([...open.values()], remembered);
    this.#remembered = remembered;
  }

  /** Of tenants that the index doesn't hold: a view of each group, let go after it. */
  async #sweepOthers(
    open: readonly (readonly OpenSubscription[])[],
    remembered: Map<string, Remembered>,
  ): Promise<void> {
    const { index } = this.#deps;
    let count = 0;
    for (const group of groupsOf(open)) {
      if (this.#stopping.signal.aborted) return;
      const asked = await this.#askedBy(group, await index.versions(group.map(tenantOf)));
      for (const [at, entries] of group.entries()) {
        const now = asked[at];
        if (now === undefined) continue;
        for (const entry of entries) await this.#sweepOne(entry, now.byId.get(entry.subscriptionId));
        count += entries.length;
        if (count <= REMEMBERED) remembered.set(tenantKey(tenantOf(entries)), now);
      }
    }
  }

  /** For each tenant of a group; loads those of which it is not remembered. */
  async #askedBy(
    group: readonly (readonly OpenSubscription[])[],
    versions: readonly number[],
  ): Promise<readonly Remembered[]> {
    const known = group.map((entries, at) => {
      const found = this.#remembered.get(tenantKey(tenantOf(entries)));
      const isWhole = entries.every(({ subscriptionId }) => found?.byId.has(subscriptionId));
      return isWhole && found?.version === versions[at] ? found : undefined;
    });
    const view = await this.#deps.index.refresh(group.filter((_, at) => known[at] === undefined).map(tenantOf));
    return group.map((entries, at) => {
      const find = (id: string) => askedOf(view.find(tenantOf(entries), id));
      const byId = () => new Map(entries.map(({ subscriptionId: id }) => [id, find(id)]));
      // What was loaded is of this version or newer; where it is newer, the next sweep loads it again.
      return known[at] ?? { version: versions[at] ?? 0, byId: byId() };
    });
  }

  async #sweepOne(entry: OpenSubscription, subscription: Asked | undefined): Promise<void> {
    for (const move of movesOf(entry, subscription)) {
      if (move.unsequenced !== true) await this.#move(entry, move);
      else if (!this.#restsUntilMs.has(entry.subscriptionId)) await this.#moveUnsequenced(entry, move);
    }
    if (entry.hasHeld && keepsOrder(subscription)) await this.#promote(entry);
    else this.#lastPasses.delete(entry.subscriptionId);
  }

  async #promote({ tenant, subscriptionId }: OpenSubscription): Promise<void> {
    const { store, clock, log, onDue } = this.#deps;
    let count = 0;
    for (let looks = 0; looks < PROMOTE_LOOKS && !this.#stopping.signal.aborted; looks++) {
      const afterPassId = this.#lastPasses.get(subscriptionId) ?? "";
      const request = { tenant, subscriptionId, afterPassId, limit: PROMOTE_ROWS, nowMs: clock.now() };
      const { promoted, lastPassId } = await store.promoteNext(request);
      count += promoted;
      if (promoted > 0) onDue();
      if (lastPassId === undefined) {
        this.#lastPasses.delete(subscriptionId);
        break;
      }
      this.#lastPasses.set(subscriptionId, lastPassId);
    }
    if (count > 0) log.info("delivery.promoted", { subscriptionId, count });
  }

  /** Where the store fails for it, the others' turns come with the next sweep. */
  async #moveUnsequenced(entry: OpenSubscription, move: Move): Promise<void> {
    const { clock } = this.#deps;
    const fromMs = clock.monotonic();
    let moved = 0;
    try {
      moved = await this.#move(entry, move);
    } finally {
      const restMs = Math.min(MOST_REST_MS, RESTS * (clock.monotonic() - fromMs));
      if (moved === 0 && restMs > SWEEP_EVERY_MS)
        this.#restsUntilMs.set(entry.subscriptionId, clock.monotonic() + restMs);
    }
  }

  /** Answers how many were moved. */
  async #move(entry: OpenSubscription, move: Move): Promise<number> {
    const { tenant, subscriptionId } = entry;
    let all = 0;
    let moved = MOVE_BATCH;
    while (moved === MOVE_BATCH && !this.#stopping.signal.aborted) {
      const nowMs = this.#deps.clock.now();
      moved = await this.#deps.store.moveOpen({ tenant, subscriptionId, ...move, nowMs, limit: MOVE_BATCH });
      if (moved > 0) this.#deps.log.info("delivery.swept", { subscriptionId, ...move, count: moved });
      if (moved > 0 && move.to === "waiting") this.#deps.onDue();
      all += moved;
    }
    return all;
  }
}

type Move = Pick<MoveRequest, "from" | "to" | "unsequenced">;

type Asked = Pick<Subscription, "state"> & { readonly policy: Pick<Subscription["policy"], "ordering"> };

interface Remembered {
  readonly version: number;
  /** Undefined: there is no such subscription. */
  readonly byId: ReadonlyMap<string, Asked | undefined>;
}

/** No more of it than a sweep reads. */
function askedOf(subscription: Subscription | undefined): Asked | undefined {
  if (subscription === undefined) return undefined;
  return { state: subscription.state, policy: { ordering: subscription.policy.ordering } };
}

/** All of the entries are of one tenant. */
function tenantOf([entry]: readonly OpenSubscription[]): Tenant {
  if (entry === undefined) throw new CodedError("internal", "a tenant without open subscriptions is not swept");
  return entry.tenant;
}

function* groupsOf<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += GROUP) yield all.slice(from, from + GROUP);
}

function keepsOrder(subscription: Asked | undefined): boolean {
  return subscription?.state === "enabled" && subscription.policy.ordering === "perPass";
}

/** What the state of a subscription asks of its open deliveries; undefined: it was deleted. */
export function movesOf(
  open: Pick<OpenSubscription, "hasHeld" | "hasWaiting">,
  subscription: Asked | undefined,
): readonly Move[] {
  if (subscription === undefined) {
    return [
      { from: "waiting", to: "cancelled" },
      { from: "held", to: "cancelled" },
    ];
  }
  if (subscription.state === "disabled") return open.hasWaiting ? [{ from: "waiting", to: "held" }] : [];
  if (!open.hasHeld) return [];
  return [
    keepsOrder(subscription) ? { from: "held", to: "waiting", unsequenced: true } : { from: "held", to: "waiting" },
  ];
}
