/** Tells the store which chains may have a new head: those of one flush together, one call at a time. */
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import { chainOf } from "./chains.ts";
import type { Chain, ChainStore } from "./chains-store.ts";
import type { Work } from "./work.ts";

export interface PromoterDeps {
  readonly store: Pick<ChainStore, "promote">;
  readonly index: SubscriptionIndex;
  readonly clock: Clock;
  readonly log: Log;
  /** Deliveries were made due. */
  readonly onDue: () => void;
}

/** Chains in one call. */
const BATCH = 500;

export class Promoter {
  readonly #deps: PromoterDeps;
  readonly #noted = new Map<string, Chain>();
  #running: Promise<void> | undefined;

  constructor(deps: PromoterDeps) {
    this.#deps = deps;
  }

  /** The chain's head is terminal, or one was written behind it that may have become its head meanwhile. */
  note(work: Work): void {
    const { tenant, passId } = work.event.stored;
    this.#noted.set(chainOf(work), { tenant, subscriptionId: work.subscriptionId, passId });
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // All that one flush made durable is told of in one go.
    await Promise.resolve();
    while (this.#noted.size > 0) {
      const batch = [...this.#noted].slice(0, BATCH);
      for (const [key] of batch) this.#noted.delete(key);
      const chains = batch.map(([, chain]) => chain).filter((chain) => this.#mayGo(chain));
      if (chains.length > 0) await this.#promote(chains);
    }
    // In the same turn as the last look: whoever notes one after it starts anew.
    this.#running = undefined;
  }

  /** A disabled subscription's head stays held, or it would be claimed only to be held again. */
  #mayGo({ tenant, subscriptionId }: Chain): boolean {
    const { index } = this.#deps;
    if (!index.holds(tenant)) return true;
    const subscription = index.find(tenant, subscriptionId);
    return subscription?.state === "enabled" && subscription.policy.ordering === "perPass";
  }

  async #promote(chains: readonly Chain[]): Promise<void> {
    try {
      if ((await this.#deps.store.promote(chains, this.#deps.clock.now())) > 0) this.#deps.onDue();
    } catch (err) {
      // The sweep comes by.
      this.#deps.log.error("delivery.promote_failed", { err, chains: chains.length });
    }
  }
}
