/** How a subscription's state and its secrets change over time. Pure: what is, and what is asked, to what will be. */
import {
  type DisabledReason,
  type DisabledSpan,
  liveSecrets,
  type SealedSecret,
  type Subscription,
} from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";

type Standing = Pick<Subscription, "state" | "disabledSpans"> & { readonly disabledReason?: DisabledReason };

/** How a new subscription stands. */
export function initialStanding(state: Subscription["state"], nowMs: number): Standing {
  const enabled: Standing = { state: "enabled", disabledSpans: [] };
  return state === "enabled" ? enabled : disabledByPerson(enabled, nowMs);
}

/**
 * What a person's wish makes of it. One that is in the wished state already stays as it is, reason and all: a client
 * that writes back what it read must not turn a pause of passbus's own, in which events are held, into a person's.
 */
export function standingAsAsked(current: Standing, state: Subscription["state"], nowMs: number): Standing {
  if (state === current.state) return standingOf(current);
  if (state === "disabled") return disabledByPerson(current, nowMs);
  const disabledSpans = current.disabledSpans.map((span) =>
    span.toMs === undefined ? { ...span, toMs: nowMs } : span,
  );
  return { state: "enabled", disabledSpans };
}

/** What passbus does by itself opens no span: its events are held, whatever the policy says. */
export function standingDisabledByUs(current: Standing, reason: "gone" | "failing"): Standing {
  if (current.state === "disabled") return standingOf(current);
  return { state: "disabled", disabledReason: reason, disabledSpans: current.disabledSpans };
}

/** The oldest span goes first: what was accepted in it is then sent rather than dropped. */
function disabledByPerson(current: Standing, nowMs: number): Standing {
  const span: DisabledSpan = { fromMs: nowMs };
  const disabledSpans = [...current.disabledSpans, span].slice(-LIMITS.disabledSpans);
  return { state: "disabled", disabledReason: "requested", disabledSpans };
}

function standingOf({ state, disabledReason, disabledSpans }: Standing): Standing {
  return { state, disabledSpans, ...(disabledReason === undefined ? {} : { disabledReason }) };
}

/** The new secret, and the newest of those before it until the overlap ends; the others end now. */
export function rotated(
  secrets: readonly SealedSecret[],
  made: SealedSecret,
  overlapMs: number,
  nowMs: number,
): readonly SealedSecret[] {
  const [newest] = liveSecrets({ secrets }, nowMs);
  if (newest === undefined || overlapMs === 0) return [made];
  return [
    made,
    { ...newest, expiresAtMs: Math.min(newest.expiresAtMs ?? Number.POSITIVE_INFINITY, nowMs + overlapMs) },
  ];
}

/** What is known of the endpoint says nothing of it as it will be: another URL, or one that a person has enabled again. */
export function startsAnew(current: Subscription, next: Pick<Subscription, "state" | "url">): boolean {
  return current.url !== next.url || (current.state === "disabled" && next.state === "enabled");
}
