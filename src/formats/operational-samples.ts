import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type OperationalEventSchema, OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";

type Saying = Omit<MessageInitShape<typeof OperationalEventSchema>, "$typeName" | "$unknown">;

const DELIVERY = { deliveryId: "dlv_sample", eventId: "evt_sample_1" };
const SINCE = timestampFromMs(Date.UTC(2026, 0, 1, 12));

/** One a type, in the words of src/delivery/operational-events.ts. */
const SAYINGS: ReadonlyMap<OperationalEventType, Saying> = new Map<OperationalEventType, Saying>([
  [
    OperationalEventType.SUBSCRIPTION_DISABLED,
    { reason: "gone", message: "the endpoint answered 410: its events are held until it is enabled again" },
  ],
  [
    OperationalEventType.ENDPOINT_FAILING,
    { reason: "connect.refused", message: "the endpoint has begun to fail", since: SINCE },
  ],
  [
    OperationalEventType.ENDPOINT_RECOVERED,
    { reason: "connect.refused", message: "the endpoint answers again", since: SINCE },
  ],
  [
    OperationalEventType.DELIVERY_FAILED,
    {
      ...DELIVERY,
      reason: "http.status",
      message: "the delivery was given up after 11 attempts, the last of which was answered 500",
      since: SINCE,
      statusCode: 500,
      attemptCount: 11,
    },
  ],
  [
    OperationalEventType.DELIVERY_EXPIRED,
    { ...DELIVERY, message: "the delivery was held for longer than held ones are kept", since: SINCE },
  ],
  [
    OperationalEventType.FILTER_FAILED,
    {
      eventId: "evt_sample_1",
      reason: "filter.failed",
      message: "the filter fails at line 1, column 7; the event was delivered all the same",
    },
  ],
]);

/**
 * A built-in event of passbus itself, for previews and test sends; undefined for a type that this version does not
 * know. Whose it is, and its id, are the caller's to fill in.
 */
export function operationalSample(type: OperationalEventType): PassEvent | undefined {
  const saying = SAYINGS.get(type);
  if (saying === undefined) return undefined;
  return create(PassEventSchema, {
    occurredAt: timestampFromMs(Date.UTC(2026, 0, 4, 15)),
    operationalEvent: { ...saying, type, subscriptionId: "sub_sample", endpointHost: "hooks.example.com" },
  });
}
