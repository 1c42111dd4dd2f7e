/**
 * Claims the next of a chain in the store as soon as the one before it was taken, since it may go on a DELIVERED that is
 * not durable yet (protocol, rule 7). Through the flush, a promotion and the next claim it would go a tenth of a second
 * later, and much later where the store is busy. What this misses, the promotion finds.
 */
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import { chainOf } from "./chains.ts";
import type { ChainQuery, ChainStore, Fold } from "./chains-store.ts";
import type { ClaimedDelivery } from "./delivery-store.ts";
import type { Holder } from "./lease.ts";
import { LEASE_MS } from "./outcomes.ts";
import type { Work } from "./work.ts";

export interface ChainClaimerDeps {
  readonly store: Pick<ChainStore, "openInChains" | "fold">;
  readonly clock: Clock;
  readonly log: Log;
  readonly mayStart: () => boolean;
  readonly holder: Holder;
  /** `life`: in which they were claimed. */
  readonly takeOn: (claimed: readonly ClaimedDelivery[], life: number) => Promise<void>;
}

/** Chains in one call. */
const BATCH = 200;

export class ChainClaimer {
  readonly #deps: ChainClaimerDeps;
  readonly #noted = new Map<string, ChainQuery>();
  #running: Promise<void> | undefined;

  constructor(deps: ChainClaimerDeps) {
    this.#deps = deps;
  }

  /** This one was taken, and has a row: the next may go, if the store has one. */
  note(work: Work): void {
    const { tenant, passId } = work.event.stored;
    const fromSequence = (work.sequence ?? 0) + 1;
    this.#noted.set(chainOf(work), { tenant, subscriptionId: work.subscriptionId, passId, fromSequence });
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Those that are answered in one turn go together.
    await Promise.resolve();
    while (this.#noted.size > 0) {
      const batch = [...this.#noted].slice(0, BATCH);
      for (const [key] of batch) this.#noted.delete(key);
      if (this.#deps.mayStart() && this.#deps.holder.isSure) await this.#claim(batch.map(([, query]) => query));
    }
    // In the same turn as the last look: whoever notes one after it starts anew.
    this.#running = undefined;
  }

  async #claim(queries: readonly ChainQuery[]): Promise<void> {
    const { store, clock, log, takeOn, holder } = this.#deps;
    const { life } = holder;
    try {
      const open = await store.openInChains(queries, 1);
      const folds = queries.flatMap(({ tenant }, at): readonly Fold[] => {
        const into = open[at]?.[0];
        return into?.status === "held" ? [{ tenant, folded: [], into, claim: true }] : [];
      });
      if (folds.length === 0) return;
      const claimed = await store.fold({ folds, nowMs: clock.now(), leaseMs: LEASE_MS });
      if (claimed.length > 0) await takeOn(claimed, life);
    } catch (err) {
      log.error("delivery.claim_failed", { err, chains: queries.length });
    }
  }
}
