import { hash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodeStored } from "../../src/domain/decoded-event.ts";
import type { DecodedEvent, StoredEvent } from "../../src/domain/event.ts";
import { DEFAULT_POLICY, type Subscription } from "../../src/domain/subscription.ts";
import type { DeadLetter } from "../../src/intake/dead-letters.ts";
import type { LogRecord } from "../../src/intake/event-log.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";

export const TENANT: Tenant = { organisation: "acme", environment: "production" };

/** An enabled subscription for everything of the organisation, with what the test cares about laid over it. */
export function sampleSubscription(over: Partial<Subscription> = {}): Subscription {
  const id = over.id ?? "sub_1";
  const url = over.url ?? `https://example.com/${id}`;
  return {
    id,
    tenant: TENANT,
    entityId: "",
    url,
    urlKey: url,
    eventTypes: [],
    format: "STANDARD",
    formatOptions: { passkitUninstalledName: "documented", passkitMethod: ActionMethod.METHOD_NONE },
    state: "enabled",
    disabledSpans: [],
    description: "",
    labels: {},
    headers: {},
    policy: DEFAULT_POLICY,
    protocol: 0,
    secrets: [],
    createdAtMs: 0,
    updatedAtMs: 0,
    version: 1,
    ...over,
  };
}

/** A stored event and its message. Equal arguments give equal content. */
export function sampleEvent(id: string, over: Partial<StoredEvent> = {}): DecodedEvent {
  const type = over.type ?? PassEventType.INSTALLED;
  const passId = over.passId ?? "pass-1";
  const entityId = over.entityId ?? "class-1";
  const message = create(PassEventSchema, { id, type, pass: { id: passId, classId: entityId } });
  const value = toBinary(PassEventSchema, message);
  return decodeStored({
    tenant: TENANT,
    id,
    type,
    passId,
    entityId,
    loggedAtMs: 1_700_000_000_000,
    value,
    contentHash: hash("sha256", value, "base64url"),
    ...over,
  });
}

/** A record that died at `offset`, with what the test cares about laid over the record and over the letter. */
export function sampleLetter(
  offset: number,
  record: Partial<LogRecord> = {},
  over: Partial<DeadLetter> = {},
): DeadLetter {
  return {
    tenant: TENANT,
    reason: "event.conflict",
    message: "another was first",
    record: {
      topic: "pass.events",
      partition: 0,
      offset,
      appendedAtMs: 1_700_000_000_000 + offset,
      key: Buffer.from(`key ${offset}`),
      value: Buffer.from(`value ${offset}`),
      headers: { "content-type": "application/json" },
      ...record,
    },
    ...over,
  };
}
