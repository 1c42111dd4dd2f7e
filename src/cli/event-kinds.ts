/** What the command line calls the kinds of events: `created`, and passbus's own as webhooks have them: `delivery.failed`. */
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { OPERATIONAL_NAMES } from "../formats/event-data.ts";
import { numberOf, wordOf, wordsOf } from "./table.ts";

export const OPERATIONAL_WORDS: readonly string[] = [...OPERATIONAL_NAMES.values()];

export const KIND_WORDS: readonly string[] = [...wordsOf(PassEventType), ...OPERATIONAL_WORDS];

/** The type of a word that is among the choices; UNSPECIFIED where it is none of these. */
export function operationalOf(word: string | undefined): OperationalEventType {
  for (const [type, name] of OPERATIONAL_NAMES) if (name === word) return type;
  return OperationalEventType.UNSPECIFIED;
}

export function operationalWord(type: OperationalEventType): string {
  return OPERATIONAL_NAMES.get(type) ?? String(type);
}

/** As requests ask for a kind. */
export function kindOf(word: string | undefined) {
  return { type: numberOf(PassEventType, word), operationalEventType: operationalOf(word) };
}

export function kindWord(type: PassEventType, operationalType: OperationalEventType): string {
  return operationalType === OperationalEventType.UNSPECIFIED
    ? wordOf(PassEventType, type)
    : operationalWord(operationalType);
}
