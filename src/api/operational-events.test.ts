/** What the API shows of passbus's own events, over the real port. */
import { Code, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, test } from "vitest";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { MemoryChanges } from "../../test/support/memory-changes.ts";
import { bodyOf, httpServer } from "../../test/support/receiver.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { within } from "../../test/support/within.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import { operationalEvent } from "../delivery/operational-event.ts";
import { deliveryId } from "../domain/delivery.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const about = sampleSubscription({ id: "sub_about", tenant: TENANT, operationalEvents: [Type.DELIVERY_FAILED] });
const says = { deliveryId: "dlv_9", eventId: "evt_9", reason: "http.status", message: "given up" };
const { stored } = operationalEvent({ type: Type.DELIVERY_FAILED, about, occasion: ["x"], says }, 1_700_000_000_000);

const row = waiting(deliveryId(stored, "sub_ops"), 0, {
  eventId: stored.id,
  eventType: PassEventType.UNSPECIFIED,
  operationalType: Type.DELIVERY_FAILED,
  passId: "",
  subscriptionId: "sub_ops",
});

async function setUp(deliveryLog: Partial<DeliveryLog> = {}) {
  const changes = new MemoryChanges();
  const subscriptions = [
    about,
    sampleSubscription({ id: "sub_ops", operationalEvents: [Type.DELIVERY_FAILED] }),
    sampleSubscription({ id: "sub_passes" }),
    sampleSubscription({ id: "sub_same", urlKey: about.urlKey, operationalEvents: [Type.DELIVERY_FAILED] }),
  ];
  const api = await testApi({
    changes,
    feed: { load: async () => ({ version: 1, subscriptions }) },
    deliveryLog: {
      ...emptyDeliveryLog,
      getEvent: async ({ id }) => (id === stored.id ? stored : undefined),
      ...deliveryLog,
    },
  });
  const sessionManager = new Http2SessionManager(api.url);
  closing.push(
    () => sessionManager.abort(),
    () => api.stop(0),
  );
  const transport = grpcWithKey(api.url, ADMIN_KEY, sessionManager);
  return {
    changes,
    events: createClient(EventService, transport),
    deliveries: createClient(DeliveryService, transport),
    subscriptions: createClient(SubscriptionService, transport),
  };
}

const shownEvent = {
  id: stored.id,
  type: PassEventType.UNSPECIFIED,
  operationalEvent: {
    type: Type.DELIVERY_FAILED,
    subscriptionId: "sub_about",
    deliveryId: "dlv_9",
    endpointHost: "example.com",
  },
};

test("GetEvent and GetDelivery show what sort it is", async () => {
  const { events, deliveries } = await setUp({ getDelivery: async () => row });
  const { event } = await events.getEvent({ id: stored.id });
  expect(event?.event).toMatchObject(shownEvent);
  expect(event?.event?.pass).toBeUndefined();
  const { delivery } = await deliveries.getDelivery({ id: row.id });
  expect(delivery).toMatchObject({ eventType: 0, operationalEventType: Type.DELIVERY_FAILED, passId: "" });
});

test("ListEvents asks for one of their types, not together with a pass's", async () => {
  const asked: unknown[] = [];
  const { events } = await setUp({
    listEvents: async (_tenant, filter) => {
      asked.push(filter);
      return { items: [stored] };
    },
  });
  const page = await events.listEvents({ operationalEventType: Type.DELIVERY_FAILED });
  expect(page.events.map(({ event }) => event)).toMatchObject([shownEvent]);
  expect(asked).toEqual([{ operationalType: Type.DELIVERY_FAILED }]);
  const both = await failureOf(events.listEvents({ operationalEventType: 4, type: PassEventType.CREATED }));
  expect([both.code, both.rawMessage]).toEqual([
    Code.InvalidArgument,
    "operational_event_type: excludes type; leave one of the two unset",
  ]);
  const none = await failureOf(events.listEvents({ operationalEventType: 99 as Type }));
  expect(none.code).toBe(Code.InvalidArgument);
});

test("TailEvents tells all, or those of one of their types", async () => {
  const { events, changes } = await setUp();
  const first = async (request: Parameters<typeof events.tailEvents>[0]) => {
    const tail = events.tailEvents(request)[Symbol.asyncIterator]();
    await within(5_000, "the first answer", tail.next());
    return async () => {
      const { value } = await within(5_000, "an event", tail.next());
      await tail.return?.();
      return value?.event?.event?.id;
    };
  };
  const all = await first({});
  const failed = await first({ operationalEventType: Type.DELIVERY_FAILED });
  // Its number is that of the other's type.
  const uninstalled = await first({ type: PassEventType.UNINSTALLED });
  changes.store(stored);
  const passes = sampleEvent("evt_pass", { tenant: TENANT, type: PassEventType.UNINSTALLED });
  changes.store(passes.stored);
  expect(await Promise.all([all(), failed(), uninstalled()])).toEqual([stored.id, stored.id, "evt_pass"]);
});

test("ExplainEvent says who gets it, and why others don't", async () => {
  const { events } = await setUp({ listDeliveries: async () => ({ items: [row] }) });
  const { explanations } = await events.explainEvent({ eventId: stored.id });
  expect(explanations.map(({ subscriptionId, reason }) => [subscriptionId, reason])).toEqual([
    ["sub_ops", "delivery.waiting"],
    ["sub_about", "match.own_endpoint"],
    ["sub_passes", "match.type"],
    ["sub_same", "match.own_endpoint"],
  ]);
  const one = await events.explainEvent({ eventId: stored.id, subscriptionId: "sub_same" });
  expect(one.explanations.map(({ reason }) => reason)).toEqual(["match.own_endpoint"]);
});

test("TestSubscription sends a sample of one, PreviewPayload shows one", async () => {
  const bodies: { readonly headers: Record<string, string>; readonly body: Buffer }[] = [];
  const server = await httpServer(async (request, response) => {
    bodies.push({ headers: request.headers as Record<string, string>, body: await bodyOf(request) });
    response.end();
  });
  closing.push(() => server[Symbol.asyncDispose]());
  const { subscriptions } = await setUp();
  const url = `http://127.0.0.1:${server.port}/ops`;
  const operationalEvents = [Type.SUBSCRIPTION_DISABLED];
  const { subscription, secret } = await subscriptions.createSubscription({ subscription: { url, operationalEvents } });
  const id = subscription?.id ?? "";
  await subscriptions.testSubscription({ id });
  await subscriptions.testSubscription({ id, operationalEventType: Type.FILTER_FAILED });
  const types = bodies.map(({ headers, body }) => {
    new Webhook(secret).verify(body, headers);
    return JSON.parse(body.toString()).type;
  });
  expect(types).toEqual(["subscription.disabled", "filter.failed"]);
  const both = await failureOf(subscriptions.testSubscription({ id, eventType: 1, operationalEventType: 1 }));
  expect(both.rawMessage).toMatch(/^operational_event_type: stands in place of event_type/);

  const preview = await subscriptions.previewPayload({
    subscription: { id, format: Format.CLOUDEVENTS },
    source: { case: "operationalSample", value: Type.DELIVERY_EXPIRED },
  });
  expect(JSON.parse(Buffer.from(preview.body).toString())).toMatchObject({
    type: "delivery.expired",
    subject: "sub_sample",
  });
  const drafted = { format: Format.PASSKIT };
  const source = { case: "operationalSample", value: Type.DELIVERY_EXPIRED } as const;
  const refused = await failureOf(subscriptions.previewPayload({ subscription: drafted, source }));
  expect(refused.rawMessage).toMatch(/^operational_sample: FORMAT_PASSKIT can't say passbus's own events/);
});

test("nobody publishes one: it is refused by name", async () => {
  const { events } = await setUp();
  const forged = { type: PassEventType.CREATED, pass: { id: "p" }, operationalEvent: { type: Type.DELIVERY_FAILED } };
  const refused = await failureOf(events.publishEvents({ events: [forged] }));
  expect([refused.code, refused.rawMessage]).toEqual([
    Code.InvalidArgument,
    "events[0].operational_event: is set by passbus alone; leave it out",
  ]);
});
