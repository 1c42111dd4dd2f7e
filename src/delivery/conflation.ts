/**
 * Conflation: while an endpoint is behind, its work waits in the store, and there several UPDATED of one pass become the
 * newest one. It happens when one of them is claimed: that one and those that follow it without a break end as
 * cancelled, and the newest of them goes in its place, at once, so that a pass that changes all the time is still told
 * of. An event of another type, one that carries a membership or coupon event, whatever its type, or one that is being
 * attempted, ends the run: nothing is passed over.
 *
 * Not when work is spilled: the newer one is no row yet, and what is folded must say what it was folded into.
 */
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Delivery } from "../domain/delivery.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import { tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionView } from "../matching/subscription-index.ts";
import type { ChainQuery, ChainRow, ChainStore, Fold } from "./chains-store.ts";
import type { ClaimedDelivery } from "./delivery-store.ts";

export interface ConflationDeps {
  readonly store: Pick<ChainStore, "openInChains" | "fold">;
  readonly clock: Clock;
  readonly log: Log;
}

/** Deliveries of one pass that become one at a time. */
const FOLD_ROWS = 500;

/** What is left to send of a claim: the newest in place of those that were folded into it. */
export async function conflated(
  deps: ConflationDeps,
  claimed: readonly ClaimedDelivery[],
  view: SubscriptionView,
  leaseMs: number,
): Promise<readonly ClaimedDelivery[]> {
  const chains = chainsOf(claimed, view);
  if (chains.size === 0) return claimed;
  try {
    const asked = [...chains.values()];
    const open = await deps.store.openInChains(
      asked.map(({ query }) => query),
      FOLD_ROWS,
    );
    const folds = asked.flatMap(({ query, mine }, at) => foldsOf(query.tenant, open[at] ?? [], mine));
    if (folds.length === 0) return claimed;
    const newest = await deps.store.fold({ folds, nowMs: deps.clock.now(), leaseMs });
    const folded = new Set(folds.flatMap((fold) => fold.folded.map(({ id }) => `${tenantKey(fold.tenant)}/${id}`)));
    deps.log.debug("delivery.conflated", { folded: folded.size, into: folds.length });
    return [...claimed.filter(({ delivery: { tenant, id } }) => !folded.has(`${tenantKey(tenant)}/${id}`)), ...newest];
  } catch (err) {
    // Each is sent for itself. What was folded all the same is refused its outcome.
    deps.log.error("delivery.conflation_failed", { err, chains: chains.size });
    return claimed;
  }
}

interface ClaimedChain {
  /** From the oldest that was claimed. */
  readonly query: ChainQuery;
  /** What was claimed, by id. */
  readonly mine: ReadonlyMap<string, Delivery>;
}

function chainsOf(claimed: readonly ClaimedDelivery[], view: SubscriptionView): ReadonlyMap<string, ClaimedChain> {
  const chains = new Map<string, { query: ChainQuery; readonly mine: Map<string, Delivery> }>();
  for (const { delivery } of claimed) {
    const { tenant, subscriptionId, passId, sequence, run } = delivery;
    if (sequence === undefined || run !== 1 || !isPlainUpdate(delivery)) continue;
    const subscription = view.find(tenant, subscriptionId);
    if (subscription?.state !== "enabled" || !subscription.policy.conflate) continue;
    const key = `${tenantKey(tenant)}/${subscriptionId}/${passId}`;
    const query: ChainQuery = { tenant, subscriptionId, passId, fromSequence: sequence };
    const chain = chains.get(key) ?? { query, mine: new Map<string, Delivery>() };
    if (sequence < (chain.query.fromSequence ?? sequence)) chain.query = query;
    chain.mine.set(delivery.id, delivery);
    chains.set(key, chain);
  }
  return chains;
}

const isPlainUpdate = ({ eventType, protocolEvent }: Pick<ChainRow, "eventType" | "protocolEvent">): boolean =>
  eventType === PassEventType.UPDATED && protocolEvent === undefined;

/** One for each unbroken run of UPDATED, by sequence, that has something claimed in it. */
export function foldsOf(
  tenant: Fold["tenant"],
  rows: readonly ChainRow[],
  mine: ReadonlyMap<string, Pick<Delivery, "fence">>,
): readonly Fold[] {
  const isMine = ({ id, fence }: ChainRow): boolean => mine.get(id)?.fence === fence;
  const runs: ChainRow[][] = [[]];
  for (const row of rows) {
    const isFree = row.status !== "attempting" || isMine(row);
    if (isPlainUpdate(row) && isFree) runs.at(-1)?.push(row);
    else runs.push([]);
  }
  return runs.flatMap((run) => {
    const into = run.at(-1);
    if (into === undefined || run.length === 1 || !run.some(isMine)) return [];
    return [{ tenant, folded: run.slice(0, -1), into, claim: !isMine(into) }];
  });
}
