/** The store's calls about request bins. */
import type { KeptAtMost } from "../../inspector/bin-store.ts";
import type { CursorRow, PageRows, TenantId, TenantRow } from "./calls.ts";

export type BinRow = readonly [
  organisation: string,
  environment: string,
  id: string,
  createdAtMs: number,
  expiresAtMs: number,
  statusCode: number,
  description: string,
];

export type KeptRequestRow = readonly [id: string, receivedAtMs: number, sealed: string];

interface ListRows {
  readonly tenant: TenantRow;
  readonly size: number;
  readonly after?: CursorRow;
}

export interface BinCalls {
  insertBin(asked: {
    readonly row: BinRow;
    readonly limit: number;
    readonly nowMs: number;
  }): "inserted" | "limitReached";
  findBin(id: string): BinRow | null;
  listBins(asked: ListRows & { readonly nowMs: number }): PageRows<BinRow>;
  removeBin(key: TenantId): boolean;
  putRequest(asked: {
    readonly bin: TenantId & { readonly expiresAtMs: number };
    readonly row: KeptRequestRow;
    readonly keep: KeptAtMost;
  }): null;
  /** `id` is the bin's. */
  listRequests(asked: ListRows & { readonly id: string }): PageRows<KeptRequestRow>;
  arrivals(asked: TenantId & { readonly fromMs: number }): readonly string[];
  readRequests(asked: TenantId & { readonly ids: readonly string[] }): readonly KeptRequestRow[];
}
