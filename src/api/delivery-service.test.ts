import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, type ListDeliveriesRequestSchema } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { grpcWithKey } from "../../test/support/grpc.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { Delivery } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import type { PageRequest } from "../kernel/page.ts";

/** Enums are open on the wire: any number arrives. */
const NO_ENUM: number = 99;
const T = 1_700_000_000_000;

const delivery: Delivery = {
  id: "dlv_1",
  tenant: TENANT,
  eventId: "evt_1",
  eventType: PassEventType.INSTALLED,
  passId: "p1",
  subscriptionId: "sub_1",
  status: "waiting",
  workClass: "retry",
  run: 2,
  fence: 3,
  runAttempts: 1,
  attemptCount: 5,
  attempts: [
    {
      id: "att_1",
      startedAtMs: T,
      durationMs: 1_250,
      statusCode: 503,
      errorCode: "http.status",
      errorMessage: "answered 503",
      request: {
        method: "POST",
        url: "https://a.b/",
        headers: { "webhook-id": "dlv_1" },
        bodySha256: "ab",
        bodyBytes: 12,
      },
      responseHeaders: { "retry-after": "5" },
      responseExcerpt: "busy",
    },
    { id: "att_2", startedAtMs: T + 1, durationMs: 0, errorCode: "format.failed" },
  ],
  dueAtMs: T + 5_000,
  createdAtMs: T,
};

const stored: StoredEvent = {
  tenant: TENANT,
  id: "evt_1",
  type: PassEventType.INSTALLED,
  passId: "p1",
  entityId: "c1",
  loggedAtMs: T,
  value: toBinary(PassEventSchema, create(PassEventSchema, { id: "evt_1", type: PassEventType.INSTALLED })),
  contentHash: "",
};

const opened: TestApi[] = [];
afterEach(() => Promise.all(opened.splice(0).map((api) => api.stop(0))));

async function clients(deliveryLog: Partial<DeliveryLog>) {
  const api = await testApi({ deliveryLog: { ...emptyDeliveryLog, ...deliveryLog } });
  opened.push(api);
  const transport = grpcWithKey(api.url, ADMIN_KEY);
  return {
    stage: api.stage,
    deliveries: createClient(DeliveryService, transport),
    events: createClient(EventService, transport),
  };
}

describe("deliveries over the API", () => {
  it("show all that is known, and what is not as unset", async () => {
    const { deliveries } = await clients({ getDelivery: async () => delivery });
    const { delivery: shown } = await deliveries.getDelivery({ id: "dlv_1" });
    expect(shown).toMatchObject({
      id: "dlv_1",
      eventId: "evt_1",
      subscriptionId: "sub_1",
      passId: "p1",
      eventType: PassEventType.INSTALLED,
      status: DeliveryStatus.WAITING,
      attemptCount: 5,
      run: 2,
      nextAttemptAt: timestampFromMs(T + 5_000),
      createdAt: timestampFromMs(T),
    });
    expect(shown?.finishedAt).toBeUndefined();
    expect(shown?.attempts).toMatchObject([
      {
        id: "att_1",
        startedAt: timestampFromMs(T),
        duration: durationFromMs(1_250),
        statusCode: 503,
        errorCode: "http.status",
        errorMessage: "answered 503",
        request: {
          method: "POST",
          url: "https://a.b/",
          headers: { "webhook-id": "dlv_1" },
          bodySha256: "ab",
          bodyBytes: 12,
        },
        responseHeaders: { "retry-after": "5" },
        responseExcerpt: "busy",
      },
      { id: "att_2", statusCode: 0, errorCode: "format.failed", errorMessage: "", responseExcerpt: "" },
    ]);
    expect(shown?.attempts[1]?.request).toBeUndefined();
  });

  it.each([
    ["waiting", DeliveryStatus.WAITING],
    ["attempting", DeliveryStatus.ATTEMPTING],
    ["held", DeliveryStatus.HELD],
    ["delivered", DeliveryStatus.DELIVERED],
    ["failed", DeliveryStatus.FAILED],
    ["cancelled", DeliveryStatus.CANCELLED],
  ] as const)("say %s, and can be asked for by it", async (status, wire) => {
    const asked: unknown[] = [];
    const { deliveries } = await clients({
      listDeliveries: async (tenant, filter) => {
        asked.push(tenant, filter);
        return { items: [{ ...delivery, status }] };
      },
    });
    const page = await deliveries.listDeliveries({ status: wire });
    expect(page.deliveries.map((shown) => shown.status)).toEqual([wire]);
    expect(asked).toEqual([TENANT, { status }]);
  });

  it("are listed by every filter, and by pages", async () => {
    const asked: unknown[] = [];
    const next = { timeMs: T, id: "dlv_1" };
    const { deliveries } = await clients({
      listDeliveries: async (_, filter, page: PageRequest) => {
        asked.push(filter, page);
        return page.after === undefined ? { items: [delivery], next } : { items: [] };
      },
    });
    const request = {
      subscriptionId: "sub_1",
      eventId: "evt_1",
      passId: "p1",
      eventType: PassEventType.INSTALLED,
      startTime: timestampFromMs(T),
      endTime: timestampFromMs(T + 1),
      pageSize: 1,
    };
    const first = await deliveries.listDeliveries(request);
    const last = await deliveries.listDeliveries({ ...request, pageToken: first.nextPageToken });
    expect(last).toMatchObject({ deliveries: [], nextPageToken: "" });
    const ids = { subscriptionId: "sub_1", eventId: "evt_1", passId: "p1" };
    const filter = { ...ids, type: PassEventType.INSTALLED, fromMs: T, toMs: T + 1 };
    expect(asked).toEqual([filter, { size: 1 }, filter, { size: 1, after: next }]);
    await deliveries.listDeliveries({ operationalEventType: OperationalEventType.DELIVERY_FAILED });
    expect(asked.at(-2)).toEqual({ operationalType: OperationalEventType.DELIVERY_FAILED });
  });

  it.each<[name: string, field: string, MessageInitShape<typeof ListDeliveriesRequestSchema>]>([
    ["a page that is too large", "page_size", { pageSize: 501 }],
    ["a token of nobody's", "page_token", { pageToken: "made up" }],
    ["a status that is none", "status", { status: NO_ENUM }],
    ["a type that is none", "event_type", { eventType: NO_ENUM }],
    ["both kinds of types", "operational_event_type", { eventType: 1, operationalEventType: 1 }],
    ["a time that runs backwards", "end_time", { startTime: timestampFromMs(T), endTime: timestampFromMs(T - 1) }],
    ["the year 10000", "start_time", { startTime: { seconds: 253_402_300_800n, nanos: 0 } }],
    ["less than no nanoseconds", "end_time", { endTime: { seconds: 0n, nanos: -1 } }],
  ])("are not listed by %s", async (_, field, request) => {
    const { deliveries } = await clients({});
    await expect(deliveries.listDeliveries(request)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining(`${field}: `),
    });
  });

  it("are retried, and the workers are woken", async () => {
    const asked: unknown[] = [];
    const { deliveries, stage } = await clients({
      retry: async (tenant, id) => {
        asked.push(tenant, id);
        return { ...delivery, run: 3 };
      },
    });
    expect((await deliveries.retryDelivery({ id: "dlv_1" })).delivery?.run).toBe(3);
    expect(asked).toEqual([TENANT, "dlv_1"]);
    expect(stage.wakes).toBe(1);
  });

  it("are not retried while they are attempted, or where there is none", async () => {
    const { deliveries, stage } = await clients({ retry: async () => "attempting" });
    await expect(deliveries.retryDelivery({ id: "dlv_1" })).rejects.toMatchObject({ code: Code.FailedPrecondition });
    const { deliveries: empty } = await clients({});
    await expect(empty.retryDelivery({ id: "dlv_1" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(empty.getDelivery({ id: "dlv_1" })).rejects.toMatchObject({ code: Code.NotFound });
    expect(stage.wakes).toBe(0);
  });
});

describe("events over the API", () => {
  it("show the event with what the log knows of it", async () => {
    const asked: unknown[] = [];
    const { events } = await clients({
      getEvent: async (key) => {
        asked.push(key);
        return stored;
      },
    });
    const { event } = await events.getEvent({ id: "evt_1" });
    expect(event).toMatchObject({
      acceptedAt: timestampFromMs(T),
      event: { id: "evt_1", organisationId: TENANT.organisation, environment: "production", entityId: "c1" },
    });
    expect(event?.event?.occurredAt).toEqual(timestampFromMs(T));
    expect(asked).toEqual([{ tenant: TENANT, id: "evt_1" }]);
  });

  it("are listed by every filter", async () => {
    const asked: unknown[] = [];
    const { events } = await clients({
      listEvents: async (tenant, filter, page) => {
        asked.push(tenant, filter, page);
        return { items: [stored], next: { timeMs: T, id: "evt_1" } };
      },
    });
    const page = await events.listEvents({
      passId: "p1",
      type: PassEventType.INSTALLED,
      startTime: timestampFromMs(T),
      endTime: timestampFromMs(T),
    });
    expect(page.events.map(({ event }) => event?.id)).toEqual(["evt_1"]);
    await events.listEvents({ pageToken: page.nextPageToken });
    const filter = { passId: "p1", type: PassEventType.INSTALLED, fromMs: T, toMs: T };
    const after = { timeMs: T, id: "evt_1" };
    expect(asked).toEqual([TENANT, filter, { size: 50 }, TENANT, {}, { size: 50, after }]);
  });

  it("are refused by a type that is none", async () => {
    const { events } = await clients({});
    await expect(events.listEvents({ type: NO_ENUM })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });
});
