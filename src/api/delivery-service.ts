/** passbus.v1.DeliveryService: what was sent, what came back, and sending again. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ConnectionPhasesSchema, DeliverySchema } from "../../gen/passbus/v1/delivery_pb.js";
import type { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import type { ChainStore } from "../delivery/chains-store.ts";
import type { DeliveryFilter, DeliveryLog } from "../delivery/delivery-store.ts";
import type { Watches } from "../delivery/watch.ts";
import type { Attempt, ConnectionPhases, Delivery } from "../domain/delivery.ts";
import { isOfKind, kindNumber } from "../domain/event.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import { type ChangeCallsDeps, changeCalls } from "./change-calls.ts";
import { statusOf, WIRE_STATUS } from "./delivery-status.ts";
import { askedEventKind, given, notFound, requiredId, timeRange } from "./fields.ts";
import { principalOf } from "./gate.ts";
import { type ReplayCallsDeps, replayCalls } from "./replay-calls.ts";
import { type StatsCallsDeps, statsCalls } from "./stats-calls.ts";
import type { Streams } from "./streams.ts";

export interface DeliveryServiceDeps extends ReplayCallsDeps, StatsCallsDeps, ChangeCallsDeps {
  readonly deliveryLog: Pick<DeliveryLog, "getDelivery" | "listDeliveries" | "retry" | "cancel"> &
    Pick<ChainStore, "promote">;
  readonly feed: Pick<SubscriptionFeed, "load">;
  readonly watches: Pick<Watches, "deliveries">;
  readonly streams: Streams;
  readonly clock: Clock;
  /** Tells the workers that something is due now. */
  readonly wakeWorkers: () => void;
}

type Served = ServiceImpl<typeof DeliveryService>;

export function deliveryService(deps: DeliveryServiceDeps): Served {
  const { deliveryLog, watches, streams } = deps;
  return {
    ...replayCalls(deps),
    ...statsCalls(deps),
    ...changeCalls(deps),
    ...changes(deps),

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
      const status = statusOf(request.status, "status");
      const filter: DeliveryFilter = {
        ...(subscriptionId !== undefined && { subscriptionId }),
        ...(eventId !== undefined && { eventId }),
        ...(passId !== undefined && { passId }),
        ...(status !== undefined && { status }),
        ...askedEventKind(request),
        ...timeRange(request),
      };
      const page = await deliveryLog.listDeliveries(tenant, filter, pageRequest(request.pageSize, request.pageToken));
      return { deliveries: page.items.map(deliveryMessage), nextPageToken: tokenFromCursor(page.next) };
    },

    async *watchDeliveries(request, context) {
      const { tenant, entityId } = principalOf(context);
      const subscriptionId = given(request.subscriptionId);
      const status = statusOf(request.status, "status");
      const kind = askedEventKind(request);
      const accepts = (delivery: Delivery) =>
        (subscriptionId === undefined || delivery.subscriptionId === subscriptionId) &&
        (!isOfKind(kind) || kindNumber({ ...delivery, type: delivery.eventType }) === kindNumber(kind)) &&
        (status === undefined || delivery.status === status);
      const watch = { tenant, accepts, ofEntity: entityId !== undefined };
      for await (const told of streams.run(context, (signal) => watches.deliveries({ ...watch, signal }))) {
        yield {
          ...(told.item !== undefined && { delivery: deliveryMessage(told.item) }),
          skipped: BigInt(told.skipped),
        };
      }
    },
  };
}

/** Sending one again, and not sending it. */
function changes({
  deliveryLog,
  feed,
  clock,
  wakeWorkers,
}: DeliveryServiceDeps): Pick<Served, "retryDelivery" | "cancelDelivery"> {
  /** Those that waited behind one that was cancelled go at once: without this, when the sweep comes by. */
  const promoteNext = async ({ tenant, subscriptionId, passId, sequence, run }: Delivery) => {
    if (sequence === undefined || run !== 1) return;
    const { subscriptions } = await feed.load(tenant);
    const subscription = subscriptions.find(({ id }) => id === subscriptionId);
    if (subscription?.state !== "enabled" || subscription.policy.ordering !== "perPass") return;
    await deliveryLog.promote([{ tenant, subscriptionId, passId }], clock.now());
  };
  return {
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
      if (retried === "payloadDropped") {
        const message = `id: the payload of the event of delivery "${id}" is kept no longer`;
        throw new CodedError("event.payload_dropped", message);
      }
      wakeWorkers();
      return { delivery: deliveryMessage(retried) };
    },

    async cancelDelivery({ id }, context) {
      const { tenant } = principalOf(context);
      const answer = await deliveryLog.cancel(tenant, requiredId(id), clock.now());
      if (answer === undefined) throw notFound("delivery", id);
      const { cancelled, delivery } = answer;
      if (!cancelled && delivery.status === "attempting") {
        throw new CodedError("delivery.attempting", `id: delivery "${id}" is being attempted right now`);
      }
      if (!cancelled) throw new CodedError("delivery.finished", `id: delivery "${id}" is ${delivery.status} already`);
      // It is cancelled, whatever this comes to.
      await promoteNext(delivery).catch(() => {});
      wakeWorkers();
      return { delivery: deliveryMessage(delivery) };
    },
  };
}

function deliveryMessage(delivery: Delivery): MessageInitShape<typeof DeliverySchema> {
  return {
    id: delivery.id,
    eventId: delivery.eventId,
    subscriptionId: delivery.subscriptionId,
    passId: delivery.passId,
    eventType: delivery.eventType,
    operationalEventType: delivery.operationalType ?? OperationalEventType.UNSPECIFIED,
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
    ...(attempt.sentAfterMs === undefined ? {} : { sentAfter: durationFromMs(attempt.sentAfterMs) }),
    ...(attempt.firstByteAfterMs === undefined ? {} : { firstByteAfter: durationFromMs(attempt.firstByteAfterMs) }),
    ...(attempt.connection === undefined ? {} : { connection: connectionMessage(attempt.connection) }),
    statusCode: attempt.statusCode ?? 0,
    errorCode: attempt.errorCode ?? "",
    errorMessage: attempt.errorMessage ?? "",
    ...(request !== undefined && { request: { ...request, headers: { ...request.headers } } }),
    responseHeaders: { ...attempt.responseHeaders },
    responseExcerpt: attempt.responseExcerpt ?? "",
  };
}

function connectionMessage({
  dnsMs,
  connectMs,
  tlsMs,
}: ConnectionPhases): MessageInitShape<typeof ConnectionPhasesSchema> {
  return {
    ...(dnsMs === undefined ? {} : { dns: durationFromMs(dnsMs) }),
    ...(connectMs === undefined ? {} : { connect: durationFromMs(connectMs) }),
    ...(tlsMs === undefined ? {} : { tls: durationFromMs(tlsMs) }),
  };
}
