/** Where request bins and what arrives in them are kept. */
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";

export interface Bin {
  readonly tenant: Tenant;
  /** `bin_` and 128 random bits: whoever knows it may send to it. */
  readonly id: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** What it answers with. */
  readonly statusCode: number;
  readonly description: string;
}

/** One request that arrived, as it is kept. */
export interface KeptRequest {
  /** `brq_…`; later ones sort behind. */
  readonly id: string;
  readonly receivedAtMs: number;
  /** What it said, under a key of the keyring. */
  readonly sealed: string;
}

/** Of one bin: how many requests are kept, and how many characters of them; the newest are. */
export interface KeptAtMost {
  readonly requests: number;
  readonly characters: number;
}

/** Every call names the tenant but `find`: what arrives from outside has no other name than the bin's. */
export interface BinStore {
  /** `limit` is of the organisation's bins that have not expired at `nowMs`. */
  insertBin(bin: Bin, limit: number, nowMs: number): Promise<"inserted" | "limitReached">;
  /** Expired or not. */
  findBin(id: string): Promise<Bin | undefined>;
  /** Those that have not expired, newest first, by time of creation, then id. */
  listBins(tenant: Tenant, nowMs: number, page: PageRequest): Promise<Page<Bin>>;
  /** With its requests; false where there was none. */
  removeBin(tenant: Tenant, id: string): Promise<boolean>;
  /** The oldest beyond `keep` go. It goes with its bin, at `bin.expiresAtMs`. */
  putRequest(bin: Bin, request: KeptRequest, keep: KeptAtMost): Promise<void>;
  /** Newest first, by time, then id. */
  listRequests(tenant: Tenant, binId: string, page: PageRequest): Promise<Page<KeptRequest>>;
  /** The ids of those that arrived at `fromMs` or later, the oldest first. */
  arrivals(tenant: Tenant, binId: string, fromMs: number): Promise<readonly string[]>;
  /** Those of the ids that are there, by time, then id, the oldest first. */
  readRequests(tenant: Tenant, binId: string, ids: readonly string[]): Promise<readonly KeptRequest[]>;
}

/** How many of those, newest first, are kept. */
export function keptOf(characters: readonly number[], keep: KeptAtMost): number {
  let sum = 0;
  for (const [at, each] of characters.entries()) {
    sum += each;
    // The newest is kept, however large.
    if (at >= keep.requests || (sum > keep.characters && at > 0)) return at;
  }
  return characters.length;
}
