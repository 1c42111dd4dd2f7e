/**
 * The `content-type` header of the records that passbus appends itself: a `passbus.v1.PassEvent` in canonical protobuf
 * (see canonical.ts), so that intake need not write it again to compare it.
 */
export const CANONICAL_CONTENT_TYPE = "application/x-protobuf;canonical=1";

/** Names of record headers that intake reads. */
export const RECORD_HEADERS = {
  contentType: "content-type",
  organisation: "organisation-id",
  environment: "environment",
  entity: "entity-id",
  event: "event-id",
  /** What PassKit's payload is about, where its own name for it leaves that open. */
  eventType: "event-type",
} as const;
