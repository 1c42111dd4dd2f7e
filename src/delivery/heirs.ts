/**
 * Work vanishes when its partition does: it is another worker's then. But records of partitions that are still ours may
 * have joined it, and their offsets wait for its row. So it is looked up again, and goes on where it isn't stored
 * (protocol, rule 1).
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import { ANY_OPEN, type Chains } from "./chains.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import type { InHand } from "./in-hand.ts";
import type { Waiter, Work, WorkAssignment } from "./work.ts";

export interface HeirsDeps {
  readonly store: Pick<DeliveryStore, "knownDeliveries">;
  readonly inHand: InHand;
  readonly chains: Chains;
  readonly clock: Clock;
  readonly log: Log;
  readonly isFresh: (assignment: WorkAssignment) => boolean;
  readonly stopping: AbortSignal;
  readonly push: (work: Work) => void;
  readonly pump: () => void;
}

const RETRY_MS = 1_000;

export class Heirs {
  readonly #deps: HeirsDeps;

  constructor(deps: HeirsDeps) {
    this.#deps = deps;
  }

  /** `work` was neither sent nor recorded. Its place in its chain is kept only as long as somebody may inherit it. */
  inherit(work: Work): void {
    const { chains, isFresh, stopping } = this.#deps;
    const waiters = work.waiters.filter(({ assignment }) => isFresh(assignment));
    const isInherited = waiters.length > 0 && !work.event.conflicted && !stopping.aborted;
    chains.dropped(work, isInherited);
    if (isInherited) void this.#lookUp(work, waiters);
  }

  async #lookUp(work: Work, waiters: readonly Waiter[]): Promise<void> {
    const { store, chains, clock, log, stopping } = this.#deps;
    const [heir] = waiters;
    while (heir !== undefined && !stopping.aborted) {
      try {
        const stored = await store.knownDeliveries(work.event.stored.tenant, [work.id]);
        if (!stored.has(work.id)) {
          this.#revive(work, heir, waiters);
          return;
        }
        for (const waiter of waiters) waiter.release();
        chains.foundStored(work);
        return;
      } catch (err) {
        log.error("delivery.inherit_failed", { err, deliveryId: work.id });
        await sleep(clock, RETRY_MS, stopping);
      }
    }
  }

  #revive(work: Work, heir: Waiter, waiters: readonly Waiter[]): void {
    const { inHand, chains, clock, push, pump } = this.#deps;
    const joined = inHand.works.get(work.id);
    if (joined !== undefined) {
      joined.waiters.push(...waiters);
      chains.foundStored(work);
      return;
    }
    const next: Work = { ...work, assignment: heir.assignment, waiters: [...waiters], row: "none", isSlow: false };
    inHand.works.set(work.id, next);
    inHand.grip(next);
    if (next.ordered !== true) push(next);
    else if (!chains.replaced(work, next)) chains.add(next, { nowMs: clock.monotonic(), openFrom: ANY_OPEN });
    pump();
  }
}
