/** passbus.v1.DeliveryService: what was sent, what came back, and sending again. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type DeliverySchema, DeliveryStatus as WireStatus } from "../../gen/passbus/v1/delivery_pb.js";
import type { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import type { DeliveryFilter, DeliveryLog } from "../delivery/delivery-store.ts";
import type { Watches } from "../delivery/watch.ts";
import type { Attempt, Delivery, DeliveryStatus } from "../domain/delivery.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import { given, knownEnum, notFound, requiredId, timeRange } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface DeliveryServiceDeps {
  readonly deliveryLog: Pick<DeliveryLog, "getDelivery" | "listDeliveries" | "retry">;
  readonly watches: Pick<Watches, "deliveries">;
  readonly streams: Streams;
  readonly clock: Clock;
  /** Tells the workers that something is due now. */
  readonly wakeWorkers: () => void;
}

type Served = "getDelivery" | "listDeliveries" | "retryDelivery" | "watchDeliveries";

export function deliveryService(deps: DeliveryServiceDeps): Pick<ServiceImpl<typeof DeliveryService>, Served> {
  const { deliveryLog, watches, streams, clock, wakeWorkers } = deps;
  return {
    async getDelivery({ id }, context) {
      const { tenant } = principalOf(context);
      const delivery = await deliveryLog.getDelivery(tenant, requiredId(id));
      if (delivery === undefined) throw notFound("delivery", id);
      return { delivery: deliveryMessage(delivery) };
    },

    async listDeliveries(request, context) {
      const { tenant } = principalOf(context);
      const subscriptionId = given(request.subscriptionId);
      const eventId = given(request.eventId);
      const passId = given(request.passId);
      const status = STATUS_NAMES[knownEnum(WireStatus, request.status, "status")];
      const filter: DeliveryFilter = {
        ...(subscriptionId !== undefined && { subscriptionId }),
        ...(eventId !== undefined && { eventId }),
        ...(passId !== undefined && { passId }),
        ...(status !== undefined && { status }),
        ...timeRange(request),
      };
      const page = await deliveryLog.listDeliveries(tenant, filter, pageRequest(request.pageSize, request.pageToken));
      return { deliveries: page.items.map(deliveryMessage), nextPageToken: tokenFromCursor(page.next) };
    },

    async retryDelivery({ id }, context) {
      const { tenant } = principalOf(context);
      const retried = await deliveryLog.retry(tenant, requiredId(id), clock.now());
      if (retried === undefined) throw notFound("delivery", id);
      if (retried === "attempting") {
        throw new CodedError(
          "delivery.attempting",
          `id: delivery "${id}" is being attempted right now; wait for its end`,
        );
      }
      wakeWorkers();
      return { delivery: deliveryMessage(retried) };
    },

    async *watchDeliveries(request, context) {
      const { tenant } = principalOf(context);
      const subscriptionId = given(request.subscriptionId);
      const status = STATUS_NAMES[knownEnum(WireStatus, request.status, "status")];
      const accepts = (delivery: Delivery) =>
        (subscriptionId === undefined || delivery.subscriptionId === subscriptionId) &&
        (status === undefined || delivery.status === status);
      for await (const told of streams.run(context, (signal) => watches.deliveries({ tenant, accepts, signal }))) {
        yield {
          ...(told.item !== undefined && { delivery: deliveryMessage(told.item) }),
          skipped: BigInt(told.skipped),
        };
      }
    },
  };
}

const WIRE_STATUS: Readonly<Record<DeliveryStatus, WireStatus>> = {
  waiting: WireStatus.WAITING,
  attempting: WireStatus.ATTEMPTING,
  held: WireStatus.HELD,
  delivered: WireStatus.DELIVERED,
  failed: WireStatus.FAILED,
  cancelled: WireStatus.CANCELLED,
};

/** The same table, read the other way; nothing stands for UNSPECIFIED. */
const STATUS_NAMES: Readonly<Partial<Record<WireStatus, DeliveryStatus>>> = Object.fromEntries(
  Object.entries(WIRE_STATUS).map(([name, wire]) => [wire, name]),
);

function deliveryMessage(delivery: Delivery): MessageInitShape<typeof DeliverySchema> {
  return {
    id: delivery.id,
    eventId: delivery.eventId,
    subscriptionId: delivery.subscriptionId,
    passId: delivery.passId,
    eventType: delivery.eventType,
    status: WIRE_STATUS[delivery.status],
    attempts: delivery.attempts.map(attemptMessage),
    ...(delivery.dueAtMs !== undefined && { nextAttemptAt: timestampFromMs(delivery.dueAtMs) }),
    createdAt: timestampFromMs(delivery.createdAtMs),
    ...(delivery.finishedAtMs !== undefined && { finishedAt: timestampFromMs(delivery.finishedAtMs) }),
    attemptCount: delivery.attemptCount,
    run: delivery.run,
    foldedInto: delivery.foldedInto ?? "",
    replayId: delivery.replayId ?? "",
  };
}

type AttemptInit = NonNullable<MessageInitShape<typeof DeliverySchema>["attempts"]>[number];

/** An attempt as the API shows it. */
export function attemptMessage(attempt: Attempt): AttemptInit {
  const { request } = attempt;
  return {
    id: attempt.id,
    startedAt: timestampFromMs(attempt.startedAtMs),
    duration: durationFromMs(attempt.durationMs),
    statusCode: attempt.statusCode ?? 0,
    errorCode: attempt.errorCode ?? "",
    errorMessage: attempt.errorMessage ?? "",
    ...(request !== undefined && { request: { ...request, headers: { ...request.headers } } }),
    responseHeaders: { ...attempt.responseHeaders },
    responseExcerpt: attempt.responseExcerpt ?? "",
  };
}
