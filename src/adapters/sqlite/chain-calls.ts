/** The store's calls about chains. Each chain names its tenant by the place in the call's list of tenants. */
import type { ClaimAnswer, TenantRow } from "./calls.ts";

export type ChainCallRow = readonly [tenant: number, subscriptionId: string, passId: string];

export type OpenInChainRow = readonly [
  id: string,
  eventType: number,
  status: number,
  sequence: number,
  fence: number,
  protocolEvent: boolean,
];

export interface OpenInChains {
  readonly tenants: readonly TenantRow[];
  readonly chains: readonly (readonly [...chain: ChainCallRow, fromSequence: number])[];
  readonly limit: number;
}

export interface PromoteRows {
  readonly tenants: readonly TenantRow[];
  readonly chains: readonly ChainCallRow[];
  readonly nowMs: number;
}

export interface PromoteNextRow {
  readonly tenant: TenantRow;
  readonly subscriptionId: string;
  readonly afterPassId: string;
  readonly limit: number;
  readonly nowMs: number;
}

/** A row as it was read. */
export type FencedRow = readonly [id: string, fence: number];

export type FoldRow = readonly [tenant: number, folded: readonly FencedRow[], into: FencedRow, isToClaim: boolean];

export interface FoldRows {
  readonly tenants: readonly TenantRow[];
  readonly folds: readonly FoldRow[];
  readonly nowMs: number;
  readonly leaseMs: number;
}

export interface ChainCalls {
  openInChains(asked: OpenInChains): readonly (readonly OpenInChainRow[])[];
  promote(asked: PromoteRows): number;
  promoteNext(asked: PromoteNextRow): readonly [promoted: number, lastPassId: string | null];
  fold(asked: FoldRows): ClaimAnswer;
}
