/** How many subscriptions a scope may have, and what is said to whoever wants one more. */
import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { type OrganisationLimits, OrganisationLimitsSchema } from "../../gen/passbus/v1/access_service_pb.js";
import type { ServiceRates } from "../domain/rates.ts";
import type { OrganisationRetention, ServiceRetention } from "../domain/retention.ts";
import type { Subscription } from "../domain/subscription.ts";
import { CodedError, type FieldViolation, invalidField, invalidFields } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { LimitField, SubscriptionLimits } from "./limit-store.ts";

/** PassKit's API keeps PassKit's own limit of a class. Both count all of the scope, whoever made them. */
export function scopeLimit({ origin, entityId }: Subscription, given: SubscriptionLimits): number {
  if (origin === "passkit") return LIMITS.passkitClassSubscriptions;
  return entityId === ""
    ? (given.organisation ?? LIMITS.organisationSubscriptions)
    : (given.entity ?? LIMITS.entitySubscriptions);
}

export function limitReached(subscription: Subscription, limit: number): CodedError {
  const { origin, entityId } = subscription;
  const what = `${scopeName(entityId)} has ${limit} subscriptions, its limit`;
  if (origin === "passkit") {
    return new CodedError("limit.subscriptions", `${what}: PassKit's own for a class, which nobody can raise`);
  }
  const name = entityId === "" ? "organisation_subscriptions" : "entity_subscriptions";
  const how = `an administrator or operator raises ${name} with passbus.v1.AccessService/SetLimits`;
  return new CodedError("limit.subscriptions", `${what}; ${how}`);
}

export function scopeName(entityId: string): string {
  return entityId === "" ? "the organisation" : `the entity ${JSON.stringify(entityId)}`;
}

/** 0 takes what was set away. @throws CodedError `request.invalid`. */
export function readLimits(message: OrganisationLimits | undefined): SubscriptionLimits {
  if (message === undefined) throw invalidField("limits", "is required");
  const wrong: FieldViolation[] = [];
  const read = (field: string, value: number): number | undefined => {
    if (value < 0 || value > LIMITS.subscriptionsSettable) {
      const description = `must be 1 to ${LIMITS.subscriptionsSettable}, or 0 for the default`;
      wrong.push({ field: `limits.${field}`, description });
    }
    return value === 0 ? undefined : value;
  };
  const organisation = read("organisation_subscriptions", message.organisationSubscriptions);
  const entity = read("entity_subscriptions", message.entitySubscriptions);
  const callsPerSecond = readRate("calls_per_second", message.callsPerSecond, wrong);
  const eventsPerSecond = readRate("events_per_second", message.eventsPerSecond, wrong);
  const retention = readRetention(message, wrong);
  if (wrong.length > 0) throw invalidFields(wrong);
  return {
    ...(organisation === undefined ? {} : { organisation }),
    ...(entity === undefined ? {} : { entity }),
    ...(callsPerSecond === undefined ? {} : { callsPerSecond }),
    ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }),
    ...retention,
  };
}

const FIELDS: ReadonlyMap<string, LimitField> = new Map([
  ["organisation_subscriptions", "organisation"],
  ["entity_subscriptions", "entity"],
  ["event_retention", "eventRetentionMs"],
  ["delivery_retention", "deliveryRetentionMs"],
  ["payload_retention", "payloadRetentionMs"],
  ["calls_per_second", "callsPerSecond"],
  ["events_per_second", "eventsPerSecond"],
]);

/** Those that keep an organisation from taking what all share: whoever operates passbus sets them, and nobody else. */
const OPERATORS_FIELDS: readonly LimitField[] = ["callsPerSecond", "eventsPerSecond"] satisfies (keyof ServiceRates)[];

/**
 * What a caller who doesn't operate the service may make of the limits: all but its rates.
 * @throws CodedError `role.insufficient` where it names one, or gives another than holds.
 */
export function refuseRates(
  before: SubscriptionLimits,
  given: SubscriptionLimits,
  paths: readonly string[],
  rates: ServiceRates,
): void {
  const held: SubscriptionLimits = { ...rates, ...before };
  const named = paths.map((path) => FIELDS.get(path));
  for (const field of OPERATORS_FIELDS) {
    if (named.includes(field) || (paths.length === 0 && (given[field] ?? held[field]) !== held[field])) {
      const message =
        "calls_per_second and events_per_second are set by an administrator of the bootstrap organisation alone";
      throw new CodedError("role.insufficient", message);
    }
  }
}

/** What is written of the limits: the named fields, or all where none is named. Rates only for who operates passbus. */
export function writtenFields(paths: readonly string[], operates: boolean): readonly LimitField[] {
  const named = [...FIELDS].filter(([path]) => paths.length === 0 || paths.includes(path)).map(([, field]) => field);
  return operates ? named : named.filter((field) => !OPERATORS_FIELDS.includes(field));
}

function readRate(field: string, value: number, wrong: FieldViolation[]): number | undefined {
  if (value < 0 || value > LIMITS.ratesSettable) {
    const description = `must be 1 to ${LIMITS.ratesSettable}, or 0 for the service's`;
    wrong.push({ field: `limits.${field}`, description });
  }
  return value === 0 ? undefined : value;
}

/**
 * What was given before, with the named fields as they are given now; all of them, where none is named.
 * @throws CodedError `request.invalid`.
 */
export function changedLimits(
  before: SubscriptionLimits,
  given: SubscriptionLimits,
  paths: readonly string[],
): SubscriptionLimits {
  if (paths.length === 0) return given;
  const next: { -readonly [Field in keyof SubscriptionLimits]: number } = { ...before };
  for (const path of paths) {
    const field = FIELDS.get(path);
    if (field === undefined) throw invalidField("update_mask", `${JSON.stringify(path)} is none of the limits`);
    const value = given[field];
    if (value === undefined) delete next[field];
    else next[field] = value;
  }
  const { eventRetentionMs: event, payloadRetentionMs: payload } = next;
  if (event !== undefined && payload !== undefined && payload > event) {
    throw invalidField("limits.payload_retention", PAYLOAD_TOO_LONG);
  }
  return next;
}

const PAYLOAD_TOO_LONG = "must not be longer than event_retention: a payload goes with its event";

function readRetention(message: OrganisationLimits, wrong: FieldViolation[]): OrganisationRetention {
  const read = (field: string, duration: Duration | undefined): number | undefined => {
    if (duration === undefined || (duration.seconds === 0n && duration.nanos === 0)) return undefined;
    const ms = Number(duration.seconds) * 1_000;
    if (duration.nanos !== 0 || ms < LIMITS.retentionMinMs || ms > LIMITS.retentionMaxMs) {
      const description = "must be whole seconds from 1 hour to 3,650 days, or 0 for the service's";
      wrong.push({ field: `limits.${field}`, description });
    }
    return ms;
  };
  const eventRetentionMs = read("event_retention", message.eventRetention);
  const deliveryRetentionMs = read("delivery_retention", message.deliveryRetention);
  const payloadRetentionMs = read("payload_retention", message.payloadRetention);
  if (eventRetentionMs !== undefined && payloadRetentionMs !== undefined && payloadRetentionMs > eventRetentionMs) {
    wrong.push({ field: "limits.payload_retention", description: PAYLOAD_TOO_LONG });
  }
  return {
    ...(eventRetentionMs === undefined ? {} : { eventRetentionMs }),
    ...(deliveryRetentionMs === undefined ? {} : { deliveryRetentionMs }),
    ...(payloadRetentionMs === undefined ? {} : { payloadRetentionMs }),
  };
}

/** As they hold, with the defaults filled in. */
export function limitsMessage(
  given: SubscriptionLimits,
  service: ServiceRetention,
  rates: ServiceRates,
): OrganisationLimits {
  const { eventRetentionMs, deliveryRetentionMs, payloadRetentionMs } = { ...service, ...given };
  return create(OrganisationLimitsSchema, {
    organisationSubscriptions: given.organisation ?? LIMITS.organisationSubscriptions,
    entitySubscriptions: given.entity ?? LIMITS.entitySubscriptions,
    callsPerSecond: given.callsPerSecond ?? rates.callsPerSecond,
    eventsPerSecond: given.eventsPerSecond ?? rates.eventsPerSecond,
    eventRetention: durationFromMs(eventRetentionMs),
    deliveryRetention: durationFromMs(deliveryRetentionMs),
    ...(payloadRetentionMs === undefined ? {} : { payloadRetention: durationFromMs(payloadRetentionMs) }),
  });
}
