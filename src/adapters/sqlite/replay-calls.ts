/** What goes between the store's thread and its callers of replays. A replay itself goes as JSON: steps are few. */
import type { ReplayChange, ReplayCursor, ReplaySource } from "../../delivery/replay.ts";
import type { PassOfSubscription, ReplayStep, TakeReplays } from "../../delivery/replay-store.ts";
import type { CursorRow, DeliveryRow, EventRows, PageRows, TenantId, TenantIds, TenantRow } from "./calls.ts";

export interface ListReplays {
  readonly tenant: TenantRow;
  readonly size: number;
  readonly after?: CursorRow;
}

export interface FindCandidates {
  readonly tenant: TenantRow;
  readonly source: ReplaySource;
  readonly after?: ReplayCursor;
  readonly limit: number;
}

/** The second part is there for a delivery. */
export type CandidateRow = readonly [
  timeMs: number,
  sequence: number,
  id: string,
  eventId: string,
  kind: number,
  passId: string,
  delivery: readonly [subscriptionId: string, status: number, replayId: string | null] | null,
];

export interface CandidateRows {
  readonly rows: readonly CandidateRow[];
  readonly next?: ReplayCursor;
}

export interface StepReplay extends Omit<ReplayStep, "tenant" | "fresh"> {
  readonly tenant: TenantRow;
  readonly fresh: readonly DeliveryRow[];
}

/** Each `string` is a Replay in JSON; null: there is none. */
export interface ReplayCalls {
  insertReplay(asked: { readonly tenant: TenantRow; readonly replay: string; readonly openLimit: number }): boolean;
  countOpenReplays(tenant: TenantRow): number;
  getReplay(key: TenantId): string | null;
  listReplays(request: ListReplays): PageRows<string>;
  changeReplay(asked: TenantId & { readonly change: ReplayChange; readonly nowMs: number }): string | null;
  replayProgress(key: TenantId): readonly [pending: number, delivered: number, failed: number];
  replayCandidates(asked: FindCandidates): CandidateRows;
  takeReplays(request: TakeReplays): readonly string[];
  unattempted(asked: TenantId & { readonly limit: number }): number;
  busyPasses(asked: {
    readonly tenant: TenantRow;
    readonly pairs: readonly PassOfSubscription[];
  }): readonly PassOfSubscription[];
  eventsById(asked: TenantIds): EventRows;
  stepReplay(step: StepReplay): string | null;
}
