/** The calls of passbus.v1.EventService that stream: events in one by one, and events as they are stored. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService, PublishEventStreamRequest } from "../../gen/passbus/v1/event_service_pb.js";
import type { Rates } from "../access/rates.ts";
import type { Watches } from "../delivery/watch.ts";
import { isOfKind, kindNumber, type StoredEvent } from "../domain/event.ts";
import type { PublishStream, StreamOutcome } from "../intake/publish-stream.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { messageOf } from "./errors.ts";
import { eventMessage } from "./event-message.ts";
import { askedKind, given } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface EventStreamsDeps {
  readonly publishStream: PublishStream;
  readonly watches: Pick<Watches, "events">;
  readonly streams: Streams;
  readonly rates: Pick<Rates, "eventWaitMs">;
  readonly clock: Clock;
}

type Served = "publishEventStream" | "tailEvents";

export function eventStreams(deps: EventStreamsDeps): Pick<ServiceImpl<typeof EventService>, Served> {
  const { publishStream, watches, streams, rates, clock } = deps;
  /** An organisation that publishes too fast is read more slowly, which is how its stream learns that it must wait. */
  async function* paced<T>(organisation: string, events: AsyncIterable<T>, signal: AbortSignal) {
    for await (const event of events) {
      for (;;) {
        const waitMs = rates.eventWaitMs(organisation);
        if (waitMs === 0) break;
        await sleep(clock, waitMs, signal);
        if (signal.aborted) return;
      }
      yield event;
    }
  }
  return {
    async *publishEventStream(requests, context) {
      const { tenant } = principalOf(context);
      const publish = (signal: AbortSignal) =>
        publishStream({ tenant, events: paced(tenant.organisation, eventsOf(requests), signal), signal });
      for await (const outcome of streams.run(context, publish)) {
        yield answerOf(outcome);
      }
    },

    async *tailEvents(request, context) {
      const { tenant, entityId } = principalOf(context);
      const passId = given(request.passId);
      const kind = askedKind(request);
      const accepts = (event: StoredEvent) =>
        (entityId === undefined || event.entityId === entityId) &&
        (passId === undefined || event.passId === passId) &&
        (!isOfKind(kind) || kindNumber(event) === kindNumber(kind));
      const watch = { tenant, accepts, ofEntity: entityId !== undefined };
      for await (const told of streams.run(context, (signal) => watches.events({ ...watch, signal }))) {
        yield {
          ...(told.item !== undefined && { event: eventMessage(told.item) }),
          skipped: BigInt(told.skipped),
        };
      }
    },
  };
}

async function* eventsOf(requests: AsyncIterable<PublishEventStreamRequest>) {
  for await (const { event } of requests) yield event;
}

function answerOf({ eventId, error }: StreamOutcome) {
  const result = { eventId };
  return error === undefined ? { result } : { result, error: { code: error.code, message: messageOf(error) } };
}
