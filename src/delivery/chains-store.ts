/** The store's side of order per pass and of conflation. Every worker sees the same chains there. */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Tenant } from "../kernel/tenant.ts";
import type { ClaimedDelivery } from "./delivery-store.ts";

/** One pass at one subscription. Its deliveries are those of run 1 that have a sequence: a replay is no part of it. */
export interface Chain {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  readonly passId: string;
}

/** An open delivery of a chain. */
export interface ChainRow {
  readonly id: string;
  readonly eventType: PassEventType;
  readonly status: "waiting" | "attempting" | "held";
  readonly sequence: number;
  /** It says more than its type: nothing newer of that type says the same. */
  readonly protocolEvent?: true;
  readonly fence: number;
}

export interface ChainQuery extends Chain {
  /** Those with this sequence or a higher one; absent: all. */
  readonly fromSequence?: number;
}

/** A row as it was read: who raised its fence since has decided about it. */
export type RowAsRead = Pick<ChainRow, "id" | "fence">;

export interface Fold {
  readonly tenant: Tenant;
  /** They end as cancelled, where they are still open and as they were read. */
  readonly folded: readonly RowAsRead[];
  readonly into: RowAsRead;
  /** False where `into` is the caller's already: it is left as it is. */
  readonly claim: boolean;
}

export interface FoldRequest {
  readonly folds: readonly Fold[];
  readonly nowMs: number;
  readonly leaseMs: number;
}

export interface PromoteRequest {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  /** Passes behind this one, in the order of the store. */
  readonly afterPassId: string;
  /** Open deliveries looked at. */
  readonly limit: number;
  readonly nowMs: number;
}

export interface Promoted {
  readonly promoted: number;
  /** Where the next look goes on; absent: that was the last pass. */
  readonly lastPassId?: string;
}

export interface ChainStore {
  /** For each chain, its open deliveries by sequence, `limit` at most. */
  openInChains(chains: readonly ChainQuery[], limit: number): Promise<readonly (readonly ChainRow[])[]>;
  /**
   * For each chain: where its lowest open delivery is held it becomes waiting, and goes by its age: it is due since it
   * was created. Raises its fence. How many were moved. Repeating it does nothing.
   */
  promote(chains: readonly Chain[], nowMs: number): Promise<number>;
  /** The same for chains of a subscription, in the order of their passes (the sweep, protocol, rule 8). */
  promoteNext(request: PromoteRequest): Promise<Promoted>;
  /**
   * Ends deliveries as cancelled, folded into a newer one, and then claims that one (waiting or held, due or not) under a
   * new fence and lease. In this order, so that after a crash in between none of the older can go behind it. What is
   * claimed; a newer one that changed since it was read is left out.
   */
  fold(request: FoldRequest): Promise<readonly ClaimedDelivery[]>;
}
