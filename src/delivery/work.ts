import type { Attempt, WorkClass } from "../domain/delivery.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Rendered } from "../formats/format.ts";
import type { NextState } from "./delivery-store.ts";

/** As intake's; the rooms meet in this shape. */
export interface WorkAssignment {
  readonly topic: string;
  readonly partition: number;
  readonly generation: number;
}

export function sameAssignment(left: WorkAssignment, right: WorkAssignment): boolean {
  return left.partition === right.partition && left.generation === right.generation && left.topic === right.topic;
}

/** An event in memory, shared by its deliveries: rendered once per format and options. */
export interface EventInHand extends DecodedEvent {
  readonly rendered: Map<string, Rendered>;
  /** Set when the store has another content under its id: what is left of its work is discarded (protocol, rule 5). */
  conflicted: boolean;
}

/** A record of the log that waits until a delivery's row is durable. */
export interface Waiter {
  readonly assignment: WorkAssignment;
  release(): void;
}

/** Under what right a delivery that has a row is worked on. */
export interface Claim {
  readonly fence: number;
  readonly run: number;
  readonly leaseUntilMs: number;
  /** The worker's, when it claimed it (Holder). */
  readonly life: number;
}

/**
 * How the row of a delivery that came from the log stands:
 *   none ──▶ writing ──▶ leased    its spill is durable: the outcome names fence 0
 *                   └──▶ refused   a row was there: the outcome is merged into it, no lease is held
 */
export type RowState = "none" | "writing" | "leased" | "refused";

export interface WorkResult {
  /** Absent for a decision without an attempt. */
  readonly attempt?: Attempt;
  readonly next: NextState;
}

/** One delivery in memory, from matching (or claiming) until its outcome is durable. */
export interface Work {
  readonly id: string;
  readonly subscriptionId: string;
  readonly event: EventInHand;
  readonly workClass: WorkClass;
  readonly createdAtMs: number;
  /** Its place among its pass's events: where its subscription asks for order or conflation. */
  readonly sequence?: number;
  /** Its subscription asks for order, and this is its first run: it is one of a chain (chains.ts). */
  readonly ordered?: true;
  /** The replay that made it due. */
  readonly replayId?: string;
  /** Attempts made in this run before this one. */
  readonly runAttempts: number;
  /** Present for work from the store. */
  readonly claim?: Claim;
  /** Present for work from the log. */
  readonly assignment?: WorkAssignment;
  readonly waiters: Waiter[];
  row: RowState;
  /** An outcome that came while the spill was being written. */
  late?: WorkResult;
  /** By the monotonic clock. */
  queuedAtMs: number;
  startedAtMs?: number;
  /** In flight for so long that it no longer counts among those that others wait for. */
  isSlow?: boolean;
}

export function isFromLog(work: Work): work is Work & { readonly assignment: WorkAssignment } {
  return work.assignment !== undefined;
}
