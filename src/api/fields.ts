/** What several services read from requests alike. */
import { type Duration, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { EventKind } from "../domain/event.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/** An id that a request must name. */
export function requiredId(id: string, field = "id"): string {
  if (id === "") throw invalidField(field, "is required");
  return id;
}

/** Another tenant's id and an unknown one are answered alike (design, section 8). `field` is where the id stood. */
export function notFound(what: string, id: string, field = "id"): CodedError {
  const shown = id.length <= LIMITS.idCharacters ? id : `${id.slice(0, LIMITS.idCharacters)}…`;
  return new CodedError("resource.not_found", `${field}: there is no ${what} "${shown}"`);
}

/** A number that no value of the enum has: open enums let any through, in JSON and in binary. */
export function knownEnum<T extends number>(values: Readonly<Record<number, unknown>>, value: T, field: string): T {
  if (values[value] === undefined) throw invalidField(field, `${value} is not one of its values`);
  return value;
}

/** The kind of event whose deliveries a list is narrowed to. @throws CodedError `request.invalid` where both are set. */
export function askedEventKind(request: {
  readonly eventType: PassEventType;
  readonly operationalEventType: OperationalEventType;
}): Partial<EventKind> {
  const { eventType, operationalEventType } = request;
  return askedKind({ type: eventType, operationalEventType }, "event_type");
}

/** The kind of event that a list is narrowed to; `typeField` is what the request calls its type. @throws CodedError `request.invalid` where both are set. */
export function askedKind(
  request: { readonly type: PassEventType; readonly operationalEventType: OperationalEventType },
  typeField = "type",
): Partial<EventKind> {
  const type = knownEnum(PassEventType, request.type, typeField);
  const field = "operational_event_type";
  const operationalType = knownEnum(OperationalEventType, request.operationalEventType, field);
  if (type !== 0 && operationalType !== 0)
    throw invalidField(field, `excludes ${typeField}; leave one of the two unset`);
  return { ...(type !== 0 && { type }), ...(operationalType !== 0 && { operationalType }) };
}

/** undefined where it is unset; the empty string likewise. */
export function given(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** The span that `start_time` and `end_time` ask for; `path` is what stands before their names. */
export function timeRange(
  request: { readonly startTime?: Timestamp | undefined; readonly endTime?: Timestamp | undefined },
  path = "",
) {
  const fromMs = boundary(request.startTime, `${path}start_time`);
  const toMs = boundary(request.endTime, `${path}end_time`);
  if (fromMs !== undefined && toMs !== undefined && toMs < fromMs) {
    throw invalidField(`${path}end_time`, "must not be before start_time");
  }
  return { ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs }) };
}

/** A span of time, of which a part of a millisecond doesn't count: what stores keep is whole. */
export function wholeMs({ seconds, nanos }: Duration): number {
  return Math.trunc(Number(seconds) * 1_000 + nanos / 1_000_000);
}

/** The years 1 to 9999, as google.protobuf.Timestamp has them. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

function boundary(timestamp: Timestamp | undefined, field: string): number | undefined {
  if (timestamp === undefined) return undefined;
  const { seconds, nanos } = timestamp;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos > 999_999_999) {
    throw invalidField(field, "must lie in the years 1 to 9999");
  }
  return timestampMs(timestamp);
}
