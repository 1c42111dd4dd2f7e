/** The producer, in a process of its own: a Connect client that speaks gRPC with binary messages over one connection. */
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  EventService,
  type PublishEventsRequest,
  PublishEventsRequestSchema,
} from "../gen/passbus/v1/event_service_pb.js";
import { benchEvent, type EventBatchPlan, encodedBatches } from "./events.ts";
import { serveBench, sharedNowMs } from "./process-call.ts";

export interface Published {
  readonly accepted: number;
  /** When the first call started and when the last was answered, on the shared clock. */
  readonly startMs: number;
  readonly answeredMs: number;
}

/** Calls of `batchSize` events at a steady pace. */
export interface PacePlan {
  readonly entityId: string;
  readonly idPrefix: string;
  /** Calls. */
  readonly count: number;
  /** Calls a second. */
  readonly perSecond: number;
  readonly batchSize: number;
}

/** One call of a steady pace: its first event, when it started, and when it was answered, on the shared clock. */
export type PacedCall = readonly [eventId: string, startMs: number, answeredMs: number];

export interface PublisherCalls {
  connect(target: { readonly url: string; readonly key: string }): void;
  /** Makes and encodes the events of the next `publish`, so that it measures no more than publishing. */
  prepare(plan: EventBatchPlan): void;
  publish(settings: { readonly callsInFlight: number }): Promise<Published>;
  pace(plan: PacePlan): Promise<readonly PacedCall[]>;
}

let client: Client<typeof EventService> | undefined;
let prepared: PublishEventsRequest[] = [];

function connected(): Client<typeof EventService> {
  if (client === undefined) throw new Error("connect comes first");
  return client;
}

/** Each call at its time, whether those before were answered or not: a slow answer must not slow the load. */
async function pace(plan: PacePlan): Promise<readonly PacedCall[]> {
  const publisher = connected();
  const calls: Promise<PacedCall>[] = [];
  const call = async (firstEvent: number): Promise<PacedCall> => {
    const ids = Array.from({ length: plan.batchSize }, (_, at) => `${plan.idPrefix}${firstEvent + at}`);
    const request = create(PublishEventsRequestSchema, { events: ids.map((id) => benchEvent(plan.entityId, id)) });
    const startMs = sharedNowMs();
    await publisher.publishEvents(request);
    return [ids[0] ?? "", startMs, sharedNowMs()];
  };
  const all = Promise.withResolvers<void>();
  const beganMs = performance.now();
  const next = () => {
    if (calls.length === plan.count) return all.resolve();
    calls.push(call(calls.length * plan.batchSize));
    const dueMs = beganMs + (calls.length * 1_000) / plan.perSecond;
    setTimeout(next, Math.max(0, dueMs - performance.now()));
  };
  next();
  await all.promise;
  return Promise.all(calls);
}

serveBench<PublisherCalls>(
  {
    connect({ url, key }) {
      const transport = createGrpcTransport({
        baseUrl: url,
        defaultTimeoutMs: 30_000,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${key}`);
            return next(request);
          },
        ],
      });
      client = createClient(EventService, transport);
    },
    prepare(plan) {
      prepared = encodedBatches(plan);
    },
    async publish({ callsInFlight }) {
      const publisher = connected();
      const batches = prepared;
      let next = 0;
      let accepted = 0;
      const lane = async () => {
        for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
          const { results } = await publisher.publishEvents(batch);
          accepted += results.length;
        }
      };
      const startMs = sharedNowMs();
      await Promise.all(Array.from({ length: callsInFlight }, lane));
      return { accepted, startMs, answeredMs: sharedNowMs() };
    },
    pace,
  },
  () => {},
);
