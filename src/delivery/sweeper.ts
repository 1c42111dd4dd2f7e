/**
 * Two sweeps that run always, not only after a crash or at the switch (protocol, rule 8): held deliveries of enabled
 * subscriptions are released, waiting ones of disabled subscriptions are held. Those of deleted ones are cancelled.
 * Once a second, with the index brought up to date on the way.
 */
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { DeliveryStore, MoveRequest, OpenSubscription } from "./delivery-store.ts";

export interface SweeperDeps {
  readonly store: Pick<DeliveryStore, "openSubscriptions" | "moveOpen">;
  readonly index: SubscriptionIndex;
  readonly clock: Clock;
  readonly log: Log;
  /** Deliveries were made due. */
  readonly onDue: () => void;
}

const SWEEP_EVERY_MS = 1_000;
const MOVE_BATCH = 1_000;

export class Sweeper {
  readonly #deps: SweeperDeps;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

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
      for (const move of movesOf(entry, view.find(entry.tenant, entry.subscriptionId))) await this.#move(entry, move);
    }
  }

  async #move(entry: OpenSubscription, move: Pick<MoveRequest, "from" | "to">): Promise<void> {
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

/** What the state of a subscription asks of its open deliveries; undefined: it was deleted. */
export function movesOf(
  open: Pick<OpenSubscription, "hasHeld" | "hasWaiting">,
  subscription: Pick<Subscription, "state"> | undefined,
): readonly Pick<MoveRequest, "from" | "to">[] {
  if (subscription === undefined) {
    return [
      { from: "waiting", to: "cancelled" },
      { from: "held", to: "cancelled" },
    ];
  }
  if (subscription.state === "disabled") return open.hasWaiting ? [{ from: "waiting", to: "held" }] : [];
  return open.hasHeld ? [{ from: "held", to: "waiting" }] : [];
}
