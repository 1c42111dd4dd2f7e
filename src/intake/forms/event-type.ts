/** What happened, as it is said beside the value: by a CloudEvent's type, or by the header `event-type`. */
import { PassEventType, PassEventTypeSchema } from "../../../gen/passbus/v1/pass_event_pb.js";
import { RECORD_HEADERS } from "../content-type.ts";
import { invalid } from "./refusals.ts";

/** What was said beside the value. */
export interface TypeHint {
  /** The text of the header `event-type`. */
  readonly header?: string;
  /** A CloudEvent's. */
  readonly cloudEvent?: PassEventType;
}

const KNOWN = PassEventTypeSchema.values.filter(({ number }) => number !== PassEventType.UNSPECIFIED);

/** By both names: `pass.installed`, as our webhooks have it, and `PASS_EVENT_TYPE_INSTALLED`. */
const TYPES: ReadonlyMap<string, PassEventType> = new Map(
  KNOWN.flatMap(({ name, localName, number }) => [
    [dotted(localName), number],
    [name, number],
  ]),
);

function dotted(localName: string): string {
  return `pass.${localName.toLowerCase()}`;
}

const CHOICE = KNOWN.map(({ localName }) => dotted(localName)).join(", ");

/**
 * A CloudEvent's `type`. It should begin with a reverse-DNS name (CloudEvents 1.0.2, "type"): whose is no matter.
 * @throws CodedError `event.invalid`
 */
export function cloudEventType(text: string): PassEventType {
  const type = TYPES.get(text) ?? TYPES.get(/\.(pass\.[a-z]+)$/.exec(text)?.[1] ?? "");
  if (type === undefined) throw invalid(`type: is not one of ${CHOICE}, alone or behind a prefix`);
  return type;
}

/**
 * The type that was said beside the value, if any was.
 * @throws CodedError `event.invalid` where it is none of ours, or header and CloudEvent say different ones.
 */
export function hintedType({ header, cloudEvent }: TypeHint): PassEventType | undefined {
  if (header === undefined) return cloudEvent;
  const type = TYPES.get(header);
  if (type === undefined) throw invalid(`${RECORD_HEADERS.eventType}: is not one of ${CHOICE}`);
  if (cloudEvent !== undefined && cloudEvent !== type) {
    throw invalid(`type: the header says ${typeName(type)}, the CloudEvent ${typeName(cloudEvent)}`);
  }
  return type;
}

/**
 * The one that is set, or that both are.
 * @throws CodedError `event.invalid`
 */
export function agreedType(said: PassEventType, beside: PassEventType): PassEventType {
  if (said === PassEventType.UNSPECIFIED || said === beside) return beside;
  throw invalid(`type: the value says ${typeName(said)}, what stands beside it ${typeName(beside)}`);
}

export function typeName(type: PassEventType): string {
  return PassEventTypeSchema.value[type]?.name ?? String(type);
}
