/** passbus.v1.EventService: events in, and the log of them. */
import type { ServiceImpl } from "@connectrpc/connect";
import { type EventService, PublishFailureSchema } from "../../gen/passbus/v1/event_service_pb.js";
import type { Rates } from "../access/rates.ts";
import type { DeliveryLog, EventFilter } from "../delivery/delivery-store.ts";
import type { Publisher } from "../intake/publish.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { pageRequest, tokenFromCursor } from "../kernel/page.ts";
import { type DeadLetterCallsDeps, deadLetterCalls } from "./dead-letter-calls.ts";
import { type ErasureCallsDeps, erasePassCall } from "./erasure-calls.ts";
import { connectError } from "./errors.ts";
import { eventMessage } from "./event-message.ts";
import { type EventStreamsDeps, eventStreams } from "./event-streams.ts";
import { type ExplainCallsDeps, explainCalls } from "./explain-calls.ts";
import { askedKind, given, notFound, requiredId, timeRange } from "./fields.ts";
import { principalOf } from "./gate.ts";

export interface EventServiceDeps extends DeadLetterCallsDeps, EventStreamsDeps, ExplainCallsDeps, ErasureCallsDeps {
  readonly publisher: Publisher;
  readonly rates: Pick<Rates, "events" | "eventWaitMs">;
  readonly deliveryLog: Pick<DeliveryLog, "getEvent" | "listEvents" | "getDelivery" | "listDeliveries">;
  readonly log: Log;
}

type Served =
  | "publishEvents"
  | "publishEventStream"
  | "getEvent"
  | "listEvents"
  | "tailEvents"
  | "explainEvent"
  | "listDeadLetters"
  | "redriveDeadLetters"
  | "erasePass";

export function eventService(deps: EventServiceDeps): Pick<ServiceImpl<typeof EventService>, Served> {
  return {
    ...deadLetterCalls(deps),
    ...eventStreams(deps),
    ...explainCalls(deps),
    ...erasePassCall(deps),

    async publishEvents({ events }, context) {
      const { tenant } = principalOf(context);
      deps.rates.events(tenant.organisation, Math.min(events.length, LIMITS.publishBatch));
      const { kind, outcomes, reason } = await deps.publisher.publish(tenant, events);
      if (kind === "published") return { results: outcomes.map(({ eventId }) => ({ eventId })) };
      deps.log.warn("api.publish_partial", { events: events.length, reason });
      const failure = { desc: PublishFailureSchema, value: { outcomes: [...outcomes] } };
      throw connectError(new CodedError("log.unavailable", reason), [failure]);
    },

    async getEvent({ id }, context) {
      const { tenant } = principalOf(context);
      const event = await deps.deliveryLog.getEvent({ tenant, id: requiredId(id) });
      if (event === undefined) throw notFound("event", id);
      return { event: eventMessage(event) };
    },

    async listEvents(request, context) {
      const { tenant, entityId } = principalOf(context);
      const passId = given(request.passId);
      const filter: EventFilter = {
        ...(passId !== undefined && { passId }),
        ...(entityId !== undefined && { entityId }),
        ...askedKind(request),
        ...timeRange(request),
      };
      const page = await deps.deliveryLog.listEvents(tenant, filter, pageRequest(request.pageSize, request.pageToken));
      return { events: page.items.map(eventMessage), nextPageToken: tokenFromCursor(page.next) };
    },
  };
}
