import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent, StoredEvent } from "./event.ts";

/**
 * Joins a stored event with its message (read from its value where the caller hasn't read it). What the producer left
 * open is filled in from what the log knows, so that every rendering of the event, now or in a replay, says the same.
 */
export function decodeStored(stored: StoredEvent, event = messageOf(stored)): DecodedEvent {
  fill(event, stored);
  return { stored, event };
}

/** Without its payload, an event is what its row says. */
function messageOf({ value, payloadDroppedAtMs, type, passId }: StoredEvent): PassEvent {
  if (payloadDroppedAtMs === undefined) return fromBinary(PassEventSchema, value);
  return create(PassEventSchema, { type, ...(passId !== "" && { pass: { id: passId } }) });
}

function fill(event: PassEvent, stored: StoredEvent): void {
  event.id = stored.id;
  event.organisationId = stored.tenant.organisation;
  event.environment = stored.tenant.environment;
  event.entityId = stored.entityId;
  if (stored.payloadDroppedAtMs === undefined) event.occurredAt ??= timestampFromMs(stored.loggedAtMs);
}
