import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { decodeStored } from "../domain/decoded-event.ts";
import type { StoredEvent } from "../domain/event.ts";

/** A stored event as the API shows it. */
export function eventMessage(stored: StoredEvent) {
  const { loggedAtMs, payloadDroppedAtMs } = stored;
  return {
    event: decodeStored(stored).event,
    acceptedAt: timestampFromMs(loggedAtMs),
    ...(payloadDroppedAtMs !== undefined && { payloadDroppedAt: timestampFromMs(payloadDroppedAtMs) }),
  };
}
