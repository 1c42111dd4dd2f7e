/**
 * Sweeps that run always, not only after a crash or at the switch (protocol, rule 8): held deliveries of enabled
 * subscriptions are released, where these ask for order only the first of each pass; waiting ones of disabled
 * subscriptions are held. Those of deleted ones are cancelled.
 * Once a second, with the index brought up to date on the way.
 */
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
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
const MOVE_BATCH = 1_000;
/** Open deliveries of an ordered subscription that one look takes in. */
const PROMOTE_ROWS = 1_000;
/** Looks of one sweep at one subscription; the next sweep goes on behind the last pass. */
const PROMOTE_LOOKS = 10;

export class Sweeper {
  readonly #deps: SweeperDeps;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  /** How far the look at an ordered subscription's passes got, where it did not get to the end. */
  readonly #lastPasses = new Map<string, string>();

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

  async sweep(): Promise<void> {
    const { index, store } = this.#deps;
    const open = await store.openSubscriptions();
    const tenants = new Map<string, Tenant>(index.tenants().map((tenant) => [tenantKey(tenant), tenant]));
    for (const { tenant } of open) tenants.set(tenantKey(tenant), tenant);
    const view = await index.refresh([...tenants.values()]);
    for (const entry of open) {
      const subscription = view.find(entry.tenant, entry.subscriptionId);
      for (const move of movesOf(entry, subscription)) await this.#move(entry, move);
      if (entry.hasHeld && keepsOrder(subscription)) await this.#promote(entry);
      else this.#lastPasses.delete(entry.subscriptionId);
    }
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

  async #move(entry: OpenSubscription, move: Move): Promise<void> {
    const { tenant, subscriptionId } = entry;
    let moved = 0;
    do {
      const nowMs = this.#deps.clock.now();
      moved = await this.#deps.store.moveOpen({ tenant, subscriptionId, ...move, nowMs, limit: MOVE_BATCH });
      if (moved > 0) this.#deps.log.info("delivery.swept", { subscriptionId, ...move, count: moved });
      if (moved > 0 && move.to === "waiting") this.#deps.onDue();
    } while (moved === MOVE_BATCH && !this.#stopping.signal.aborted);
  }
}

type Move = Pick<MoveRequest, "from" | "to" | "unsequenced">;

type Asked = Pick<Subscription, "state"> & { readonly policy: Pick<Subscription["policy"], "ordering"> };

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
