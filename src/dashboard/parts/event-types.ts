/** The types of events by the names that addresses and lists to choose from have for them: of passes, and passbus's own. */
import { OperationalEventType } from "../../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { EVENT_TYPE, EVENT_TYPES, OPERATIONAL, OPERATIONAL_TYPES } from "../words.ts";

export interface EventTypes {
  readonly type: PassEventType;
  readonly operationalEventType: OperationalEventType;
}

/** Both kinds of types have names of their own; one that is none of them is UNSPECIFIED twice. */
export function typesOf(name: string): EventTypes {
  return {
    type: EVENT_TYPES.find((type) => EVENT_TYPE[type] === name) ?? PassEventType.UNSPECIFIED,
    operationalEventType:
      OPERATIONAL_TYPES.find((type) => OPERATIONAL[type] === name) ?? OperationalEventType.UNSPECIFIED,
  };
}

export const TYPE_OPTIONS: readonly (readonly [name: string, label: string])[] = [
  ["", "All"],
  ...EVENT_TYPES.map((type) => [EVENT_TYPE[type], EVENT_TYPE[type]] as const),
  ...OPERATIONAL_TYPES.map((type) => [OPERATIONAL[type], `passbus: ${OPERATIONAL[type]}`] as const),
];
