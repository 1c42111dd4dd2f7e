/** The events of the benchmark: one pass each, 1.2 KB as JSON, which is what its webhook carries. */
import { create, protoInt64, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { DeviceAttributes, LifecycleEvents, PassProtocol, Status } from "../gen/io/pass_pb.js";
import { type PublishEventsRequest, PublishEventsRequestSchema } from "../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../gen/passbus/v1/pass_event_pb.js";

/** The entity decides which subscriptions match: passbus is the same process for one endpoint and for ten. */
export interface EventBatchPlan {
  readonly entityId: string;
  readonly idPrefix: string;
  readonly count: number;
  readonly batchSize: number;
}

export function benchEvent(entityId: string, id: string): PassEvent {
  const at = { seconds: protoInt64.parse(1_767_225_600), nanos: 123_000_000 };
  return create(PassEventSchema, {
    id,
    type: PassEventType.INSTALLED,
    occurredAt: at,
    pass: {
      id: `pass-${id}`,
      classId: entityId,
      protocol: PassProtocol.MEMBERSHIP,
      externalId: `member-${id}`,
      personDetails: {
        surname: "Ødegård",
        forename: "Maja",
        displayName: "Maja Ødegård",
        emailAddress: "maja.odegard@example.com",
        mobileNumber: "+4791234567",
        dateOfBirth: { year: 1987, month: 4, day: 23 },
      },
      metadata: {
        status: Status.PASS_INSTALLED,
        lifecycleEvents: [
          LifecycleEvents.RENDERED,
          LifecycleEvents.APPLE_PASS_CREATED,
          LifecycleEvents.INSTALLED_APPLE,
        ],
        utm: { source: "newsletter", medium: "email", name: "spring-campaign" },
        issueIpAddress: "203.0.113.17",
        renderLocation: { country: "NO", city: "Bergen", state: "Vestland", latitude: 60.39, longitude: 5.32 },
        installUserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
        installDeviceAttributes: [DeviceAttributes.Ios, DeviceAttributes.SupportWallet, DeviceAttributes.Mobile],
        issueAt: at,
        firstInstalledAt: at,
        lastInstalledAt: at,
      },
      recordData: {
        "members.member.points": "12750",
        "members.member.secondaryPoints": "315",
        "members.tier.name": "Gold",
        "members.program.name": "Nordic Coffee Club",
      },
    },
  });
}

/**
 * Requests whose events are encoded already: encoding is the producer's cost, which on a producer's machine would not
 * slow passbus down. What goes over the wire is the same, since a message's unknown fields are written as they are.
 */
export function encodedBatches(plan: EventBatchPlan): PublishEventsRequest[] {
  const field = PublishEventsRequestSchema.field.events.number;
  const batches: PublishEventsRequest[] = [];
  for (let first = 0; first < plan.count; first += plan.batchSize) {
    const request = create(PublishEventsRequestSchema);
    request.$unknown = [];
    for (let number = first; number < Math.min(first + plan.batchSize, plan.count); number += 1) {
      const event = toBinary(PassEventSchema, benchEvent(plan.entityId, `${plan.idPrefix}${number}`));
      const data = new BinaryWriter().bytes(event).finish();
      request.$unknown.push({ no: field, wireType: WireType.LengthDelimited, data });
    }
    batches.push(request);
  }
  return batches;
}
