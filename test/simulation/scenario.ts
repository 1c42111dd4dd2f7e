/** What happens in a history besides passbus's own work: what is published, who comes and goes, what breaks. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { DEFAULT_POLICY, type DeliveryPolicy, type Subscription } from "../../src/domain/subscription.ts";
import { canonicalBytes, completeEvent } from "../../src/intake/canonical.ts";
import { CANONICAL_CONTENT_TYPE, RECORD_HEADERS } from "../../src/intake/content-type.ts";
import { subscription } from "../contracts/rows.ts";
import { MODES, type Mode } from "./receivers.ts";
import type { World } from "./world.ts";

/** The sorts of trouble. Each history has some of them: one that has all rarely gets anywhere. */
export const TROUBLES = [
  "kill",
  "stop",
  "longStop",
  "leave",
  "rebalance",
  "cutOff",
  "storeDown",
  "storeCut",
  "storeFlaky",
  "partialFlushes",
  "slowStore",
  "endpoints",
  "switch",
  "remove",
  "create",
  "retry",
  "cancel",
  "replay",
  "repeat",
  "elsewhere",
  "conflict",
  "killSwitch",
] as const;
export type Trouble = (typeof TROUBLES)[number];

/** Troubles that meet in rules which are hard to get at by chance alone: each was missing in some planted mistake. */
const THEMES: readonly (readonly Trouble[])[] = [
  ["longStop", "endpoints"],
  ["storeCut", "endpoints", "kill"],
  ["elsewhere", "endpoints", "rebalance"],
  ["retry", "switch", "endpoints"],
  ["replay", "kill", "switch"],
  ["kill", "stop", "rebalance", "storeFlaky", "partialFlushes"],
];

/** What a history is made of. */
export interface Plan {
  readonly workers: number;
  readonly partitions: number;
  readonly organisations: number;
  readonly subscriptions: number;
  readonly events: number;
  readonly passes: number;
  readonly activeMs: number;
  readonly troubles: readonly Trouble[];
  /** How many things happen to it. */
  readonly incidents: number;
  /** Repeated writes are told as MongoDB tells them. */
  readonly knowsOwnWrites: boolean;
}

export function planOf(world: World): Plan {
  const share = world.pick([0, 0.15, 0.4, 0.7]);
  return {
    workers: world.between(1, 3),
    partitions: world.between(1, 2),
    organisations: world.between(1, 2),
    subscriptions: world.between(1, 3),
    events: world.between(2, 14),
    passes: world.between(1, 3),
    activeMs: world.pick([500, 2_000, 6_000, 12_000]),
    troubles: world.chance(0.5) ? world.pick(THEMES) : TROUBLES.filter(() => world.chance(share)),
    incidents: world.between(1, 8),
    knowsOwnWrites: world.chance(0.5),
  };
}

export const organisationName = (number: number): string => `o${number}`;

export function policyOf(world: World): DeliveryPolicy {
  const steps = world.between(0, 4);
  return {
    ...DEFAULT_POLICY,
    retryScheduleMs: Array.from({ length: steps }, () => world.pick([100, 300, 1_000, 3_000])),
    attemptTimeoutMs: world.pick([1_000, 2_000, 5_000]),
    maxInFlight: world.pick([1, 2, 8]),
    whileDisabled: world.pick(["drop", "hold"]),
    ordering: world.chance(0.4) ? "perPass" : "none",
    conflate: world.chance(0.3),
    ...(world.chance(0.2) ? { rate: { perSecond: world.pick([0.5, 2, 20]), burst: world.between(1, 3) } } : {}),
  };
}

export function subscriptionOf(world: World, id: string, organisation: string): Subscription {
  const nowMs = world.clock.now();
  return subscription(id, {
    tenant: { organisation, environment: "production" },
    url: `https://${id}.example/`,
    eventTypes: [],
    policy: policyOf(world),
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  });
}

/** One that hears of failures alone, and is left in peace itself. */
export function operationsOf(world: World, id: string, organisation: string): Subscription {
  const plain = subscriptionOf(world, id, organisation);
  const operationalEvents = [OperationalEventType.DELIVERY_FAILED, OperationalEventType.SUBSCRIPTION_DISABLED];
  return { ...plain, operationalEvents, policy: { ...plain.policy, whileDisabled: "hold" } };
}

export function modeOf(world: World): Mode {
  return world.chance(0.4) ? "accept" : world.pick(MODES);
}

/** A record as passbus's own API would have appended it. */
export function recordOf(organisation: string, id: string, passId: string, type: PassEventType) {
  const init: MessageInitShape<typeof PassEventSchema> = { id, type, pass: { id: passId } };
  const event = create(PassEventSchema, init);
  completeEvent(event, { organisation, environment: "production" }, id);
  return {
    key: Buffer.from(passId),
    value: canonicalBytes(event),
    headers: { [RECORD_HEADERS.contentType]: CANONICAL_CONTENT_TYPE, [RECORD_HEADERS.organisation]: organisation },
  };
}

/** What changes a pass comes most. */
export const EVENT_TYPES = [
  PassEventType.UPDATED,
  PassEventType.UPDATED,
  PassEventType.CREATED,
  PassEventType.SCANNED,
] as const;
