import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type DeliveryPolicy as DeliveryPolicyMessage,
  Ordering,
  OrderingSchema,
  WhileDisabled,
  WhileDisabledSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import { DEFAULT_POLICY, type DeliveryPolicy, type Rate } from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";
import { isKnown, type Violations } from "./violations.ts";

/** A policy with every unset field filled in. */
export function readPolicy(message: DeliveryPolicyMessage | undefined, wrong: Violations): DeliveryPolicy {
  if (message === undefined) return DEFAULT_POLICY;
  if (!isKnown(WhileDisabledSchema, message.whileDisabled)) {
    const type = WhileDisabledSchema.typeName;
    wrong.add("policy.while_disabled", `${message.whileDisabled} is not a number of ${type}`);
  }
  if (!isKnown(OrderingSchema, message.ordering)) {
    wrong.add("policy.ordering", `${message.ordering} is not a number of ${OrderingSchema.typeName}`);
  }
  if (message.maxInFlight > LIMITS.maxInFlight) {
    wrong.add("policy.max_in_flight", `must be 1 to ${LIMITS.maxInFlight}, or 0 for ${DEFAULT_POLICY.maxInFlight}`);
  }
  return {
    retryScheduleMs: readSchedule(message.retrySchedule, wrong),
    attemptTimeoutMs: readTimeout(message.attemptTimeout, wrong),
    maxInFlight: message.maxInFlight === 0 ? DEFAULT_POLICY.maxInFlight : message.maxInFlight,
    ...readRate(message, wrong),
    whileDisabled: message.whileDisabled === WhileDisabled.HOLD ? "hold" : "drop",
    ordering: message.ordering === Ordering.PER_PASS ? "perPass" : "none",
    conflate: message.conflate,
  };
}

function readRate(
  { ratePerSecond: perSecond, burst }: Pick<DeliveryPolicyMessage, "ratePerSecond" | "burst">,
  wrong: Violations,
): Pick<DeliveryPolicy, "rate"> {
  const { rateMin, rateMax, burst: burstMax } = LIMITS;
  if (burst > burstMax) {
    wrong.add("policy.burst", `must be 1 to ${burstMax}, or 0 for as many as the rate has in a second`);
  }
  if (perSecond === 0) {
    if (burst > 0) wrong.add("policy.burst", "needs a rate_per_second beside it");
    return {};
  }
  // As a condition that NaN fails too.
  if (!(perSecond >= rateMin && perSecond <= rateMax)) {
    wrong.add("policy.rate_per_second", `must be ${rateMin} to ${rateMax}, or 0 for no limit`);
  }
  return { rate: { perSecond, burst: burst === 0 ? defaultBurst(perSecond) : burst } };
}

function defaultBurst(perSecond: number): number {
  return Math.max(1, Math.ceil(perSecond));
}

/** As the API shows a rate. A burst that follows from the rate is left unset, so that it goes on following it. */
export function rateFields(rate: Rate | undefined): Pick<DeliveryPolicyMessage, "ratePerSecond" | "burst"> {
  if (rate === undefined) return { ratePerSecond: 0, burst: 0 };
  const { perSecond, burst } = rate;
  return { ratePerSecond: perSecond, burst: burst === defaultBurst(perSecond) ? 0 : burst };
}

function readSchedule(steps: readonly Duration[], wrong: Violations): readonly number[] {
  if (steps.length === 0) return DEFAULT_POLICY.retryScheduleMs;
  if (steps.length > LIMITS.retrySteps) {
    wrong.add("policy.retry_schedule", `must have 1 to ${LIMITS.retrySteps} entries, or none for the default`);
  }
  return steps.map((step, at) => {
    const ms = millisecondsOf(step);
    if (ms === undefined || ms < LIMITS.retryStepMinMs || ms > LIMITS.retryStepMaxMs) {
      wrong.add(`policy.retry_schedule[${at}]`, "must be 100 ms to 7 days");
    }
    return ms ?? 0;
  });
}

function readTimeout(timeout: Duration | undefined, wrong: Violations): number {
  if (timeout === undefined) return DEFAULT_POLICY.attemptTimeoutMs;
  const ms = millisecondsOf(timeout);
  if (ms === undefined || ms < LIMITS.attemptTimeoutMinMs || ms > LIMITS.attemptTimeoutMaxMs) {
    const [least, most] = [LIMITS.attemptTimeoutMinMs / 1_000, LIMITS.attemptTimeoutMaxMs / 1_000];
    wrong.add("policy.attempt_timeout", `must be ${least} s to ${most} s`);
  }
  return ms ?? 0;
}

/**
 * Whole milliseconds, rounded; undefined where the message is not a duration that google/protobuf/duration.proto
 * allows: 10,000 years at most, and nanoseconds of the sign of the seconds.
 */
export function millisecondsOf({ seconds, nanos }: Duration): number | undefined {
  if (seconds > 315_576_000_000n || seconds < -315_576_000_000n || Math.abs(nanos) > 999_999_999) return undefined;
  if ((seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0)) return undefined;
  return Number(seconds) * 1_000 + Math.round(nanos / 1_000_000);
}
