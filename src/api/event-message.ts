import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { decodeStored } from "../domain/decoded-event.ts";
import type { StoredEvent } from "../domain/event.ts";

/** A stored event as the API shows it. */
export function eventMessage(stored: StoredEvent) {
  return { event: decodeStored(stored).event, acceptedAt: timestampFromMs(stored.loggedAtMs) };
}
