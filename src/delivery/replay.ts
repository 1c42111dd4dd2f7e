/**
 * Replays: sending again what was sent before, as a job.
 *
 *   create ─▶ RUNNING ◀──▶ paused
 *                │ └────────┴──▶ CANCELLED
 *                └─ everything was attempted ─▶ FINISHED
 *
 * A job goes through stored deliveries (or, for a target that is to get what it never got, events) from the oldest on,
 * up to the moment of its own creation, so that it never meets its own repeats. It makes them due in small steps, as
 * work of the last class, at its rate, and never more than a thousand before they are attempted. Where it stands is
 * stored with what it has done (replay-store.ts), under a lease and a fence: any worker may go on with it, two never do.
 *
 *   replay-runner.ts  the workers' loop        replay-step.ts  what one step does with what it finds, pure
 *   replays.ts        the people's side        replay-store.ts the port
 */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { type Delivery, type DeliveryStatus, deliveryId } from "../domain/delivery.ts";
import type { EventKind } from "../domain/event.ts";
import { derivedId } from "../kernel/ids.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { NextState } from "./delivery-store.ts";

export type ReplayState = "running" | "paused" | "finished" | "cancelled";

export interface ReplayFilter {
  readonly subscriptionId?: string;
  /** Empty: of every type. */
  readonly eventTypes: readonly PassEventType[];
  readonly passId?: string;
  /** A terminal one; absent: any of them. */
  readonly status?: DeliveryStatus;
  /** At or after; of deliveries their creation, of events their log time. */
  readonly fromMs?: number;
  /** Before. Never later than the replay's own creation. */
  readonly toMs: number;
}

/** A place in the order of a replay: the time, the place in the log where it is known, the id. All rising. */
export interface ReplayCursor {
  readonly timeMs: number;
  /** -1 where the delivery has none. */
  readonly sequence: number;
  readonly id: string;
}

/** One thing to be sent: a stored delivery that starts its next run, or an event for a subscription. */
export interface ReplayItem {
  /** Absent: the id is derived from event and subscription, and there may be no row yet. */
  readonly deliveryId?: string;
  readonly eventId: string;
  readonly kind: EventKind;
  readonly passId: string;
  readonly subscriptionId: string;
}

/** A job as it is stored. */
export interface Replay {
  readonly id: string;
  readonly tenant: Tenant;
  readonly filter: ReplayFilter;
  /** Absent: each goes to the subscription that it was for. */
  readonly targetSubscriptionId?: string;
  /** How many may become due a second. */
  readonly ratePerSecond: number;
  readonly freshIds: boolean;
  readonly state: ReplayState;
  /** How many fit the filter, counted at the creation. */
  readonly counted: number;
  /** False where it was counted no further. */
  readonly isWhollyCounted: boolean;
  /** Made due. */
  readonly sent: number;
  /** Left alone. */
  readonly skipped: number;
  /** Everything up to here is sent, skipped or deferred. Absent: nothing yet. */
  readonly cursor?: ReplayCursor;
  /** Nothing lies behind the cursor. */
  readonly isAtEnd: boolean;
  /** Passed over for now, since an earlier one of its pass is under way at an ordered subscription; in their order. */
  readonly deferred: readonly ReplayItem[];
  /** Counts the leases and the changes of state: a write of whoever runs it names it. */
  readonly fence: number;
  /** Absent: nobody runs it. */
  readonly leaseUntilMs?: number;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
}

/** Where those stand that a replay made due last. */
export interface ReplayProgress {
  readonly pending: number;
  readonly delivered: number;
  readonly failed: number;
}

export type ReplayChange = "pause" | "resume" | "cancel";

/** From which states a person may bring it where. Whatever is already there stays as it is. */
export const REPLAY_CHANGES: Readonly<
  Record<ReplayChange, { readonly from: readonly ReplayState[]; readonly to: ReplayState }>
> = {
  pause: { from: ["running"], to: "paused" },
  resume: { from: ["paused"], to: "running" },
  cancel: { from: ["running", "paused"], to: "cancelled" },
};

/** What a replay goes through. */
export type ReplaySource =
  | { readonly kind: "deliveries"; readonly filter: ReplayFilter }
  | { readonly kind: "events"; readonly filter: ReplayFilter };

/** A target that names no source is sent events, whoever else got them. */
export function sourceOf({
  filter,
  targetSubscriptionId,
}: Pick<Replay, "filter" | "targetSubscriptionId">): ReplaySource {
  const kind = targetSubscriptionId === undefined || filter.subscriptionId !== undefined ? "deliveries" : "events";
  return { kind, filter };
}

/** How many fit the filter, as far as it is known. */
export function matchedOf({ counted, sent, skipped, deferred }: Replay): number {
  return Math.max(counted, sent + skipped + deferred.length);
}

export function isOver({ state }: Pick<Replay, "state">): boolean {
  return state === "finished" || state === "cancelled";
}

/** Receivers tell a replay by it. */
const REPLAY_MARK = { "webhook-replay": "true" };

/** The headers that say what sort of delivery it is. */
export function replayMarks(replayId: string | undefined): Readonly<Record<string, string>> {
  return replayId === undefined ? {} : REPLAY_MARK;
}

/** What a replay sends stays behind live work and its retries, also when it is tried again. */
export function asReplay(next: NextState): NextState {
  return next.status === "waiting" ? { ...next, workClass: "replay" } : next;
}

/** The row of an item that may have none: run 1, due now. */
export function newDelivery(
  replay: Pick<Replay, "id" | "tenant" | "freshIds">,
  item: ReplayItem,
  nowMs: number,
): Delivery {
  const { tenant } = replay;
  const { eventId, kind, passId, subscriptionId } = item;
  const id = replay.freshIds
    ? derivedId("dlv", [tenant.organisation, tenant.environment, eventId, subscriptionId, replay.id])
    : deliveryId({ tenant, id: eventId }, subscriptionId);
  return {
    id,
    tenant,
    eventId,
    eventType: kind.type,
    ...(kind.operationalType === undefined ? {} : { operationalType: kind.operationalType }),
    passId,
    subscriptionId,
    status: "waiting",
    workClass: "replay",
    run: 1,
    fence: 0,
    runAttempts: 0,
    attemptCount: 0,
    attempts: [],
    dueAtMs: nowMs,
    replayId: replay.id,
    createdAtMs: nowMs,
  };
}
