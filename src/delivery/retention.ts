/**
 * What is past its time goes, in small steps: finished deliveries, events none of whose deliveries is open, their
 * payloads, dead letters, replays and portal sessions that have ended, audit records,
 * request bins, counts. Nothing that waits, is attempted or is held goes with age. upkeep.ts takes the steps.
 */
import type { OrganisationRetention } from "../domain/retention.ts";
import type { Cursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";

/** One tenant, and what its organisation was given. */
export interface TenantRetention extends OrganisationRetention {
  readonly tenant: Tenant;
}

/** In the order in which a round goes through them: an event goes after its deliveries. */
export const PURGED = [
  "deliveries",
  "events",
  "payloads",
  "deadLetters",
  "replays",
  "portalSessions",
  "auditRecords",
  "binRequests",
  "bins",
  "deliveryStats",
] as const;
export type PurgedKind = (typeof PURGED)[number];

/** One step: what is looked at in one short transaction. */
export interface PurgeRequest {
  readonly tenant: Tenant;
  readonly kind: PurgedKind;
  /** What was done with at this time or earlier goes. */
  readonly beforeMs: number;
  /** Where the step before ended. */
  readonly after?: Cursor;
  /** Rows that are looked at, at most. */
  readonly limit: number;
  /** What a dropped payload is marked with. */
  readonly nowMs: number;
}

export interface PurgeStep {
  readonly purged: number;
  /** The last row that was looked at; absent where there was none. */
  readonly at?: Cursor;
  /** There may be more behind it. */
  readonly more: boolean;
}

export interface TurnRequest {
  /** A name that no other process has. */
  readonly holder: string;
  readonly nowMs: number;
  readonly leaseMs: number;
}

/** The upkeep's side of the store. Every call may be repeated, and any number of processes may call at once. */
export interface RetentionStore {
  /** Every tenant of which something may be kept. */
  tenants(): Promise<readonly TenantRetention[]>;
  purge(request: PurgeRequest): Promise<PurgeStep>;
  /** Ends those of the deliveries that are still held as failed, with `hold.expired` in their history; how many. */
  expireHeld(tenant: Tenant, ids: readonly string[], nowMs: number): Promise<number>;
  /**
   * Whether it is this process's turn to do the upkeep, from now until the lease ends: where nobody else has it. The
   * state is what `keepState` was last given, by whomever; null where it never was.
   */
  takeTurn(request: TurnRequest): Promise<{ readonly state: string | null } | undefined>;
  /** Keeps a text for the next turns; nothing where the turn is another's by now. */
  keepState(holder: string, state: string): Promise<void>;
}
