/** How an endpoint has been doing, as every worker and the API see it: one row a subscription. */
import type { ErrorCode } from "../kernel/errors.ts";
import type { Tenant } from "../kernel/tenant.ts";

/** Whose endpoint. */
export interface EndpointKey {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
}

/**
 * A breaker's state over all workers:
 *
 *   closed ── failures in a row ──▶ open ── its time is over, one worker takes the probe ──▶ halfOpen
 *     ▲                              ▲                                                        │  │
 *     │                              └──────────── the probe failed, or its lease ended ──────┘  │
 *     └──────────────────────────── the endpoint answered ───────────────────────────────────────┘
 */
export type BreakerState = "closed" | "open" | "halfOpen";

/** What is stored of an endpoint. Times are wall times in milliseconds. */
export interface EndpointRecord extends EndpointKey {
  /** Counts up from 1 with every write; a write names the version that it read. */
  readonly version: number;
  readonly breaker: BreakerState;
  /** While open: from when on one probe may go. While half-open: when the probe's lease ends, and another may. */
  readonly probeAtMs?: number;
  /** When it was last opened, or opened again. */
  readonly openedAtMs?: number;
  /** How often in a row it was opened: how long it stays open follows from it. */
  readonly openings: number;
  readonly closedAtMs?: number;
  /** The first failure since the last success. Absent where the newest attempt succeeded. */
  readonly failingSinceMs?: number;
  /**
   * How long of that is believed: the times between its failures, each counted up to a bound, so that a clock that
   * jumps, or a service that was down, makes no endpoint look as if it had failed all that while.
   */
  readonly failingForMs?: number;
  /** Since the last success. */
  readonly consecutiveFailures: number;
  readonly lastSuccessAtMs?: number;
  readonly lastFailureAtMs?: number;
  /** Of the last failure. */
  readonly lastError?: ErrorCode;
  /** That it has been failing since then was told to whoever asks for it, and not yet that it has recovered. */
  readonly alarmedSinceMs?: number;
}

export type EndpointCondition = "healthy" | "failing" | "open";

/** In one word. An endpoint without a row was never tried. */
export function conditionOf(record: EndpointRecord | undefined): EndpointCondition {
  if (record === undefined) return "healthy";
  if (record.breaker !== "closed") return "open";
  return record.failingSinceMs === undefined ? "healthy" : "failing";
}
