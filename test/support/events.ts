import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DecodedEvent } from "../../src/domain/event.ts";
import type { FormatOptions } from "../../src/domain/subscription.ts";

/** As a subscription has them when it says nothing. */
export const plainOptions: FormatOptions = { passkitUninstalledName: "documented", passkitMethod: 0 };

/** An event as the engine hands it to a format: what the store fills in is filled in. */
export function decodedEvent(init: MessageInitShape<typeof PassEventSchema>): DecodedEvent {
  const event: PassEvent = create(PassEventSchema, {
    id: "evt_1",
    organisationId: "acme",
    environment: "production",
    occurredAt: create(TimestampSchema, { seconds: 1_608_644_518n, nanos: 743_534_000 }),
    ...init,
  });
  event.entityId ||= event.pass?.classId ?? "";
  const tenant = { organisation: event.organisationId, environment: event.environment };
  const { id, type, entityId } = event;
  const stored = {
    ...{ tenant, id, type, entityId, passId: event.pass?.id ?? "", loggedAtMs: 1_608_644_518_744 },
    ...{ value: toBinary(PassEventSchema, event), contentHash: "" },
  };
  return { stored, event };
}
