/**
 * From what a producer wrote to an event. A record says in its headers which form it has: a plain value (values.ts), or
 * a CloudEvent around one, in the structured or the binary mode (cloudevents.ts). The value is our PassEvent or PassKit's
 * payload, as protobuf or JSON, with Confluent's framing or without. docs/distributed.md has the table.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema } from "../../../gen/passbus/v1/pass_event_pb.js";
import { CANONICAL_CONTENT_TYPE, RECORD_HEADERS } from "../content-type.ts";
import type { LogRecord } from "../event-log.ts";
import { isBinaryMode, isStructuredMode, readBinaryMode, readStructuredMode } from "./cloudevents.ts";
import { mediaType } from "./media-type.ts";
import { readValue } from "./values.ts";

/**
 * The event as the record's value says it: what the other headers add isn't in it, and no rule of events is checked.
 * @throws CodedError `event.unreadable`, `event.invalid` or `tenant.forbidden`; whatever else is thrown says why the
 * value does not decode.
 */
export function readEvent(headers: LogRecord["headers"], value: Uint8Array): PassEvent {
  const contentType = headers[RECORD_HEADERS.contentType];
  // Our own records, nearly always: nothing but the event is in them.
  if (contentType === CANONICAL_CONTENT_TYPE) return fromBinary(PassEventSchema, value);
  const media = mediaType(contentType);
  const header = headers[RECORD_HEADERS.eventType];
  const hint = header === undefined || header === "" ? {} : { header };
  // Kafka Protocol Binding 1.0.2, §3: the content type alone tells the modes apart; a structured one may repeat `ce_`.
  if (isStructuredMode(media)) return readStructuredMode(media, value, hint);
  if (isBinaryMode(headers)) return readBinaryMode(headers, media, value, hint);
  return readValue({ kind: "bytes", bytes: value }, media, hint);
}
