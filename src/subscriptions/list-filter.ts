import { Format, FormatSchema, State, StateSchema } from "../../gen/passbus/v1/subscription_pb.js";
import type { ListSubscriptionsRequest } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { formatName } from "./message.ts";
import type { SubscriptionFilter } from "./subscription-store.ts";
import { isKnown } from "./violations.ts";

/** What a list is narrowed to; a field that is unset narrows nothing. Throws a `request.invalid`. */
export function readFilter({ entityId, state, format }: ListSubscriptionsRequest): SubscriptionFilter {
  const wrong: FieldViolation[] = [];
  if (!isKnown(StateSchema, state)) {
    wrong.push({ field: "state", description: `${state} is not a number of ${StateSchema.typeName}` });
  }
  const name = formatName(format);
  if (name === undefined && format !== Format.UNSPECIFIED) {
    wrong.push({ field: "format", description: `${format} is not a number of ${FormatSchema.typeName}` });
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  return {
    ...(entityId === "" ? {} : { entityId }),
    ...(state === State.UNSPECIFIED ? {} : { state: state === State.ENABLED ? "enabled" : "disabled" }),
    ...(name === undefined ? {} : { format: name }),
  };
}
