/**
 * Erasing: everything of a pass, of a deleted subscription or of an organisation goes, whatever its age. An erasure is
 * stored before anything is taken away, and made again for a day, so that a crash ends none and what was in flight or
 * unread when it was asked for goes too. Only what was there at that time goes: of a pass that lives on, the later
 * events stay. erasures.ts asks for them and makes them.
 */
import type { Cursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";

export type ErasureTarget =
  /**
   * Its events, their deliveries with all attempts, dead letters that hold it, replays of it alone; and all that its
   * tenant's request bins hold, in which nothing can be looked for.
   */
  | { readonly kind: "pass"; readonly tenant: Tenant; readonly passId: string }
  /** Its deliveries and what is known of its endpoint; nothing while it is stored. */
  | { readonly kind: "subscription"; readonly tenant: Tenant; readonly subscriptionId: string }
  /** All that is stored under its name, in every environment. */
  | { readonly kind: "organisation"; readonly organisation: string };

/** An erasure as it is kept until it has been made for the last time. */
export interface ErasureRow {
  readonly id: string;
  /** What is erased, under a key of the keyring: the list must not say what is to be forgotten. */
  readonly sealed: string;
  /** What is younger than this stays. */
  readonly askedAtMs: number;
  /** When it is to be made again. */
  readonly nextAtMs: number;
}

/** The asking for an erasure that a worker has read. */
export type ErasureRead = Pick<ErasureRow, "id" | "askedAtMs">;

/** A pass's id that is shorter than this stands in bytes that have nothing to do with it: dead letters' keys alone count. */
export const FOUND_FROM_CHARACTERS = 8;

export interface ErasureRequest {
  readonly target: ErasureTarget;
  /** What was logged or created at this time or earlier goes. */
  readonly beforeMs: number;
  /**
   * When it was begun to be made, this time. Of a pass, what request bins received until then goes: what was in flight, or
   * unread in the log, when it was asked for reached them after `beforeMs`.
   */
  readonly madeAtMs: number;
  /** Dead letters of the pass's tenant that go too: the store can't look into what is sealed. */
  readonly letterIds?: readonly string[];
  /** `lettersAt` of the step before: what goes with a pass before its dead letters is gone, and of them those so far. */
  readonly lettersAfter?: Cursor;
  /** Rows that are taken away, at most. */
  readonly limit: number;
}

/** How many of each went. */
export interface ErasedCounts {
  readonly events: number;
  readonly deliveries: number;
  readonly deadLetters: number;
  /** Subscriptions, keys, portal sessions, replays, bins' requests, audit records, limits and the like. */
  readonly others: number;
}

export interface ErasureStep extends ErasedCounts {
  /** There may be more. */
  readonly more: boolean;
  /** The last dead letter that was looked through, by the time the log took it, then id; absent where a step looks through all. */
  readonly lettersAt?: Cursor;
}

/** Every call may be repeated, and any number of processes may call at once. */
export interface ErasureStore {
  /** Writes over the one of the same id, but for `askedAtMs`, of which the later counts. */
  putErasure(row: ErasureRow): Promise<void>;
  /** Those whose `nextAtMs` has come, the earliest first; `limit` at most. */
  dueErasures(nowMs: number, limit: number): Promise<readonly ErasureRow[]>;
  /** Unless it has been asked for again: then another `askedAtMs` is stored than the one that was read. */
  postponeErasure(read: ErasureRead, nextAtMs: number): Promise<void>;
  /** Writes what is erased as it is sealed under another key. Nothing where it is gone. */
  resealErasure(id: string, sealed: string): Promise<void>;
  /** Unless it has been asked for again. */
  removeErasure(read: ErasureRead): Promise<void>;
  /** One short step. */
  erase(request: ErasureRequest): Promise<ErasureStep>;
  /** What was erased is in no file of this process's store any more, where that is up to passbus. */
  settleErased(): Promise<void>;
}
