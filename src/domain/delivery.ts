/**
 * A delivery: one event for one subscription.
 *
 *             ┌─────────────── due ◀──────────────┐
 *             ▼                                   │ retryable
 *  (event) ─▶ attempting ─2xx─▶ DELIVERED         │
 *             │  ├───────────────────────────▶ waiting ── cancel ──▶ CANCELLED
 *             │  └─ schedule used up ─▶ FAILED     ▲
 *             │                                    │ enabled again, or turn come
 *             └─ 410: FAILED, subscription off    held
 *
 * Capitals are terminal. A manual retry or a replay makes a terminal one waiting again, in the next run, with its
 * history kept. Two numbers guard a row against writers that come late: `fence` counts the claims, `run` the runs.
 */
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { ErrorCode } from "../kernel/errors.ts";
import { derivedId } from "../kernel/ids.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { EventKey } from "./event.ts";

export type DeliveryStatus = "waiting" | "attempting" | "held" | "delivered" | "failed" | "cancelled";

/** Which due work goes first: live before retries before replays; within a class the older. */
export type WorkClass = "live" | "retry" | "replay";

export function isTerminal(status: DeliveryStatus): boolean {
  return status === "delivered" || status === "failed" || status === "cancelled";
}

/** What was sent, without secrets and without the body. */
export interface AttemptRequest {
  readonly method: string;
  readonly url: string;
  /** The value is empty where it could be secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** Hex. */
  readonly bodySha256: string;
  readonly bodyBytes: number;
}

/** How long the phases took of making a connection, in milliseconds. Absent: not reached, or there was none. */
export interface ConnectionPhases {
  /** Resolving the host's name. */
  readonly dnsMs?: number;
  /** The TCP connection; through a proxy, all until it had connected. */
  readonly connectMs?: number;
  /** The TLS handshake. */
  readonly tlsMs?: number;
}

/** One HTTP request and what came of it, as the log keeps it. */
export interface Attempt {
  /** Appending is idempotent by this (protocol, rule 4). */
  readonly id: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** From its start until the request went out: a connection was waited for, or made. Absent where none went out. */
  readonly sentAfterMs?: number;
  /** From its start until the response's first byte. Absent where none came. */
  readonly firstByteAfterMs?: number;
  /** Of the connection that was made for it, or was to be. Absent where one was open already. */
  readonly connection?: ConnectionPhases;
  readonly statusCode?: number;
  /** Absent on success. */
  readonly errorCode?: ErrorCode;
  readonly errorMessage?: string;
  /** Absent where the attempt failed before a request could be made. */
  readonly request?: AttemptRequest;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseExcerpt?: string;
}

export interface Delivery {
  readonly id: string;
  readonly tenant: Tenant;
  readonly eventId: string;
  readonly eventType: PassEventType;
  /** Only of passbus's own events, whose `eventType` is UNSPECIFIED. */
  readonly operationalType?: OperationalEventType;
  readonly passId: string;
  readonly subscriptionId: string;
  readonly status: DeliveryStatus;
  readonly workClass: WorkClass;
  /** 1 at first; each replay or manual retry of a terminal delivery starts the next. */
  readonly run: number;
  /** How often it was claimed. A write of a claimed delivery names it. */
  readonly fence: number;
  /** Attempts made in this run: the place in the retry schedule. */
  readonly runAttempts: number;
  /** All attempts ever made. */
  readonly attemptCount: number;
  /** The first and the last 20. */
  readonly attempts: readonly Attempt[];
  /** When it is due; only while waiting. */
  readonly dueAtMs?: number;
  /** Only while attempting. */
  readonly leaseUntilMs?: number;
  /**
   * Its place among its pass's events, from the log: the offset of the record. Present where its subscription asked for
   * order or conflation when it was planned.
   */
  readonly sequence?: number;
  /** Its event carries a membership or coupon event. Present only beside a sequence, for conflation. */
  readonly protocolEvent?: true;
  /** The replay that made it due; its attempts carry `webhook-replay: true`. */
  readonly replayId?: string;
  /** The newer delivery that says what this one would have said (conflation). Only when cancelled. */
  readonly foldedInto?: string;
  readonly createdAtMs: number;
  /** Only when terminal; TTL runs from here. */
  readonly finishedAtMs?: number;
}

/** A delivery's id is the same whoever derives it, and so is the `webhook-id` of all its attempts. */
export function deliveryId(event: EventKey, subscriptionId: string): string {
  return derivedId("dlv", [event.tenant.organisation, event.tenant.environment, event.id, subscriptionId]);
}

/** Keeps the first attempt and the last ones. An attempt that is there already is not added again. */
export function appendAttempt(attempts: readonly Attempt[], attempt: Attempt, keep: number): readonly Attempt[] {
  if (attempts.some((known) => known.id === attempt.id)) return attempts;
  const all = [...attempts, attempt];
  const [first] = all;
  return all.length <= keep || first === undefined ? all : [first, ...all.slice(all.length - keep + 1)];
}
