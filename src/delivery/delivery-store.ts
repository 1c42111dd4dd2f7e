import type { Attempt, Delivery, DeliveryStatus, WorkClass } from "../domain/delivery.ts";
import type { EventKey, EventKind, StoredEvent } from "../domain/event.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { ChainStore } from "./chains-store.ts";

/** Where a delivery goes after an attempt, or after a decision without one. */
export type NextState =
  | { readonly status: "delivered" | "failed"; readonly finishedAtMs: number }
  /** `foldedInto`: the newer delivery that says what this one would have said. */
  | { readonly status: "cancelled"; readonly finishedAtMs: number; readonly foldedInto?: string }
  | { readonly status: "waiting"; readonly dueAtMs: number; readonly workClass: WorkClass }
  | { readonly status: "held" };

/**
 * A write of one delivery. Every one may be repeated: a flush whose answer was lost is sent again.
 *
 * `first`: a delivery that may have no row yet, in fence 0 and run 1: the outcome of a first attempt, or a spill
 * (waiting, held, or attempting under a lease). Where a row is there already (protocol, rule 3):
 *   - a spill (no attempts) changes nothing, and so gains no lease: refused;
 *   - an outcome "delivered" makes a row of run 1 that is not terminal delivered, and raises its fence: applied;
 *   - else only its attempts are appended: refused.
 * `outcome`: what came of a claimed delivery, or of one that was spilled under a lease (fence 0, run 1). Applied where the row has this fence and run and is attempting; else its
 * attempt is appended (rule 4) and the state stands: refused.
 */
export type DeliveryWrite =
  | { readonly kind: "first"; readonly delivery: Delivery }
  | {
      readonly kind: "outcome";
      readonly tenant: Tenant;
      readonly id: string;
      readonly fence: number;
      readonly run: number;
      /** Absent for a decision without an attempt: held because its subscription is disabled, cancelled because it is gone. */
      readonly attempt?: Attempt;
      readonly next: NextState;
    };

export interface FlushBatch {
  readonly events: readonly StoredEvent[];
  readonly deliveries: readonly DeliveryWrite[];
}

export interface FlushResult {
  /** The batch's events that met another content under their id. Their `first` writes were left out (rule 5). */
  readonly conflicts: readonly EventKey[];
  /** For each write of the batch, in its order. */
  readonly applied: readonly boolean[];
}

/** What is stored of an event, as far as deduplication needs it. */
export interface KnownEvent {
  readonly contentHash: string;
  readonly loggedAtMs: number;
  /** Its payload was dropped, and comes back with a flush that has the event again. */
  readonly payloadDropped?: true;
}

export interface ClaimRequest {
  readonly nowMs: number;
  readonly leaseMs: number;
  /** Over all subscriptions. */
  readonly limit: number;
  /** Free slots of subscriptions whose lanes are in use; one that is not named has `defaultSlots`. */
  readonly slots: ReadonlyMap<string, number>;
  readonly defaultSlots: number;
  /** Organisations whose deliveries stay where they are, due or not (kill-switch.ts). */
  readonly stopped: readonly string[];
}

/** A delivery that is ours until its lease ends, with its event. `attempts` is empty here. */
export interface ClaimedDelivery {
  readonly delivery: Delivery;
  readonly event: StoredEvent;
}

export interface ClaimResult {
  readonly claimed: readonly ClaimedDelivery[];
  /** The earliest due or lease end that is still to come; absent where nothing waits. */
  readonly nextDueAtMs?: number;
}

/** A subscription that has deliveries which are not terminal. */
export interface OpenSubscription {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  readonly hasWaiting: boolean;
  readonly hasHeld: boolean;
}

export interface ShortenRequest {
  readonly beyondMs: number;
  readonly toMs: number;
}

export interface MoveRequest {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  readonly from: "waiting" | "held";
  readonly to: "waiting" | "held" | "cancelled";
  readonly nowMs: number;
  readonly limit: number;
  /** Of the `limit` oldest only those that are part of no chain: the others have an order to keep (chains-store.ts). */
  readonly unsequenced?: boolean;
}

/** The workers' side of the store: deduplicate, record in bulk, claim what is due, sweep. */
export interface DeliveryStore extends ChainStore {
  /**
   * One group commit: the events, then the deliveries. Durable when it resolves; nothing is when it rejects, or all may
   * be. Of `first` writes that have a sequence and don't say delivered, each is durable only if those before it are, so
   * that no delivery has a row before an earlier one of its pass (protocol, rule 6).
   */
  flush(batch: FlushBatch): Promise<FlushResult>;
  /** In the order asked; undefined where the event isn't stored. */
  knownEvents(keys: readonly EventKey[]): Promise<readonly (KnownEvent | undefined)[]>;
  /** Those of the ids that have a row. */
  knownDeliveries(tenant: Tenant, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /**
   * Takes due deliveries (waiting and due, or attempting with an ended lease) under a new fence and lease. By class,
   * then by due time, within each subscription; each subscription gets a share, so that one cannot starve the others.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  /**
   * The wall clock was set back by so much: what waits for a time later than now is due as much earlier, but not before
   * now. Once for all workers that see the same step within a few minutes of each other; where it rejects, some may have
   * been moved. The number moved.
   */
  turnBack(request: { readonly nowMs: number; readonly byMs: number }): Promise<number>;
  /**
   * Leases that end later than `beyondMs` end at `toMs`: a clock that was ahead wrote them, and whoever did may be dead.
   * The number shortened.
   */
  shortenLeases(request: ShortenRequest): Promise<number>;
  /** Every subscription that has waiting or held deliveries. */
  openSubscriptions(): Promise<readonly OpenSubscription[]>;
  /** Moves up to `limit` deliveries, the oldest first; the number moved. Raises their fence. */
  moveOpen(request: MoveRequest): Promise<number>;
}

/** A `type` or an `operationalType`, not both. */
export interface EventFilter extends Partial<EventKind> {
  readonly passId?: string;
  /** The empty one is of events that are the organisation's own. Other entities' count for no page, nor for what follows. */
  readonly entityId?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
}

/** Of an event's `type` or `operationalType`, not both. */
export interface DeliveryFilter extends Partial<EventKind> {
  readonly subscriptionId?: string;
  readonly eventId?: string;
  readonly passId?: string;
  readonly status?: DeliveryStatus;
  readonly fromMs?: number;
  readonly toMs?: number;
}

/** The people's side of the store: what was sent, and sending again. */
export interface DeliveryLog {
  getEvent(key: EventKey): Promise<StoredEvent | undefined>;
  /** Newest first, by log time, then id. */
  listEvents(tenant: Tenant, filter: EventFilter, page: PageRequest): Promise<Page<StoredEvent>>;
  getDelivery(tenant: Tenant, id: string): Promise<Delivery | undefined>;
  /** Newest first, by creation, then id. A page may be short, or empty, before the last: one without `next` is the last. */
  listDeliveries(tenant: Tenant, filter: DeliveryFilter, page: PageRequest): Promise<Page<Delivery>>;
  /**
   * Ends one that waits or is held, and raises its fence; any other stays as it is. What it is then; undefined where
   * there is none. Those behind it in a chain go when they are promoted (chains-store.ts), or the sweep comes by.
   */
  cancel(
    tenant: Tenant,
    id: string,
    nowMs: number,
  ): Promise<{ readonly cancelled: boolean; readonly delivery: Delivery } | undefined>;
  /**
   * Due now, of no replay any more; a terminal one starts its next run. "attempting" where a worker has it,
   * "payloadDropped" where its event, or the event's payload, is kept no longer.
   */
  retry(tenant: Tenant, id: string, nowMs: number): Promise<Delivery | "attempting" | "payloadDropped" | undefined>;
}
