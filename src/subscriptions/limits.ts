/** How many subscriptions a scope may have, and what is said to whoever wants one more. */
import { create } from "@bufbuild/protobuf";
import { type OrganisationLimits, OrganisationLimitsSchema } from "../../gen/passbus/v1/access_service_pb.js";
import type { Subscription } from "../domain/subscription.ts";
import { CodedError, type FieldViolation, invalidField, invalidFields } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { SubscriptionLimits } from "./limit-store.ts";

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
  if (wrong.length > 0) throw invalidFields(wrong);
  return { ...(organisation === undefined ? {} : { organisation }), ...(entity === undefined ? {} : { entity }) };
}

/** As they hold, with the defaults filled in. */
export function limitsMessage(given: SubscriptionLimits): OrganisationLimits {
  return create(OrganisationLimitsSchema, {
    organisationSubscriptions: given.organisation ?? LIMITS.organisationSubscriptions,
    entitySubscriptions: given.entity ?? LIMITS.entitySubscriptions,
  });
}
