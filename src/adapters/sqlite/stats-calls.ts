/** The store's calls about what is counted, what waits, and what workers say of themselves. */
import type { Backlog } from "../../delivery/stats-store.ts";
import type { TenantRow } from "./calls.ts";

/** `durations` and `delays` as histogram.ts writes them. */
export type CountsRow = readonly [
  organisation: string,
  environment: string,
  subscriptionId: string,
  atMs: number,
  delivered: number,
  failed: number,
  attempts: number,
  failedAttempts: number,
  events: number,
  durations: string,
  delays: string,
];

export interface ReadCounts {
  readonly tenant: TenantRow;
  readonly subscriptionId: string;
  readonly spanMs: number;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface StatsCalls {
  addCounts(rows: readonly CountsRow[]): null;
  readCounts(query: ReadCounts): readonly CountsRow[];
  backlog(asked: { readonly tenant: TenantRow; readonly nowMs: number }): Backlog;
  /** `document` is the report as JSON. */
  putReport(report: readonly [worker: string, reportedAtMs: number, document: string]): null;
  reports(sinceMs: number): readonly string[];
}
