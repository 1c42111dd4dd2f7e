/** Which of passbus's own events a subscription asks for. */
import { type OperationalEventType, OperationalEventTypeSchema } from "../../gen/passbus/v1/operational_event_pb.js";
import type { Subscription as SubscriptionMessage } from "../../gen/passbus/v1/subscription_pb.js";
import type { FormatName, Subscription } from "../domain/subscription.ts";
import { FORMATS, formatOf } from "../formats/registry.ts";
import type { Violations } from "./violations.ts";

/** A list that is empty is absent, as in what was stored before there were any. */
export function readOperationalEvents(
  { operationalEvents: types }: SubscriptionMessage,
  format: FormatName,
  wrong: Violations,
): Pick<Subscription, "operationalEvents"> {
  for (const [at, type] of types.entries()) {
    const field = `operational_events[${at}]`;
    if (!isOperationalType(type)) {
      const choice = OperationalEventTypeSchema.values.filter(({ number }) => isOperationalType(number));
      const given = OperationalEventTypeSchema.value[type]?.name ?? type;
      wrong.add(field, `${given} is not an operational event; use ${choice.map(({ name }) => name).join(", ")}`);
    } else if (types.indexOf(type) < at) {
      wrong.add(field, `${operationalName(type)} stands in the list already`);
    }
  }
  if (types.length === 0) return {};
  if (formatOf(format).saysOperationalEvents !== true) {
    wrong.add("operational_events", cannotSayOperational(format));
  }
  return { operationalEvents: [...types] };
}

export function isOperationalType(type: OperationalEventType): boolean {
  return type !== 0 && OperationalEventTypeSchema.value[type] !== undefined;
}

export function operationalName(type: OperationalEventType): string {
  return OperationalEventTypeSchema.value[type]?.name ?? String(type);
}

export function cannotSayOperational(format: FormatName): string {
  const able = FORMATS.filter((one) => one.saysOperationalEvents === true).map(({ name }) => `FORMAT_${name}`);
  return `FORMAT_${format} can't say passbus's own events; use ${able.join(" or ")}`;
}
