/** How fast an endpoint gets its webhooks, and when it gets none: a real process, a real receiver, seen through the API. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import {
  BreakerState,
  DisabledReason,
  EndpointCondition,
  type EndpointHealth,
  State,
} from "../../gen/passbus/v1/subscription_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { type Embedded, startEmbedded } from "../support/embedded.ts";
import { subscribe } from "../support/endpoints.ts";
import { numberedEvent } from "../support/paced-publisher.ts";
import type { Clients } from "../support/passbus.ts";
import type { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const SOON_MS = 20_000;
const range = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe("rates, breakers and health of endpoints", () => {
  let embedded: Embedded;
  let sink: Sink;
  let api: Clients;
  beforeAll(async () => {
    embedded = await startEmbedded({ PASSBUS_DISABLE_AFTER: "5s" });
    sink = embedded.sink;
    api = embedded.passbus.api;
  }, 30_000);
  afterAll(() => embedded[Symbol.asyncDispose]());

  const publish = (entity: string, ...numbers: readonly number[]) =>
    api.events.publishEvents({ events: numbers.map((number) => numberedEvent(number, entity)) });

  const subscriptionOf = async (id: string) => {
    const { subscription } = await api.subscriptions.getSubscription({ id });
    if (subscription === undefined) throw new Error("no subscription");
    return subscription;
  };

  const healthUntil = (id: string, what: string, isSo: (health: EndpointHealth) => boolean) =>
    eventually(SOON_MS, what, async () => {
      const { health } = await subscriptionOf(id);
      return health !== undefined && isSo(health) ? health : undefined;
    });

  test("20 a second are 20 a second, whatever waits, and the other endpoint has none of it", async () => {
    const policy = { ratePerSecond: 20, burst: 1 };
    await subscribe(api, sink, "/rated", { entityId: "rated", policy });
    await subscribe(api, sink, "/free", { entityId: "free" });
    await publish("rated", ...range(150));
    await publish("free", ...range(150));
    await sink.reach(["/free"], 150, 5_000);
    await sink.reach(["/rated"], 120, SOON_MS);
    const times = (await sink.receiptsAt("/rated")).map(({ atMs }) => atMs);
    // From the second second on: the first is the start.
    const counted = times.filter((atMs) => atMs >= (times[0] ?? 0) + 1_000 && atMs < (times[0] ?? 0) + 5_000);
    expect(counted.length).toBeGreaterThanOrEqual(72);
    expect(counted.length).toBeLessThanOrEqual(88);
  }, 60_000);

  test("an endpoint that fails gets nothing for a while, and all of it when it is well again", async () => {
    const policy = { retrySchedule: [durationFromMs(60_000)] };
    const { id } = await subscribe(api, sink, "/failing", { entityId: "failing", policy });
    expect((await subscriptionOf(id)).health).toMatchObject({
      condition: EndpointCondition.HEALTHY,
      breaker: BreakerState.CLOSED,
    });
    await sink.answer("/failing", { status: 503 });
    await publish("failing", ...range(10));
    const open = await healthUntil(id, "an open breaker", ({ breaker }) => breaker === BreakerState.OPEN);
    expect(open).toMatchObject({
      condition: EndpointCondition.OPEN,
      consecutiveFailures: 10,
      lastError: "http.status",
    });
    expect(open.failingSince).toBeDefined();
    expect(open.nextProbeAt).toBeDefined();
    const listed = await api.subscriptions.listSubscriptions({ health: EndpointCondition.OPEN });
    expect(listed.subscriptions.map((one) => [one.id, one.health?.breaker])).toEqual([[id, BreakerState.OPEN]]);

    await publish("failing", ...range(60).slice(10));
    const untried = await eventually(SOON_MS, "deliveries that wait", async () => {
      const all = await deliveriesOf(api, id);
      return all.length === 60 ? all.filter(({ attemptCount }) => attemptCount === 0) : undefined;
    });
    expect(untried).toHaveLength(50);
    expect(new Set(untried.map(({ status }) => status))).toEqual(new Set([DeliveryStatus.WAITING]));
    expect(await sink.receiptsAt("/failing")).toHaveLength(10);

    await sink.answer("/failing", { status: 200 });
    const closed = await healthUntil(id, "a closed breaker", ({ breaker }) => breaker === BreakerState.CLOSED);
    expect(closed).toMatchObject({ condition: EndpointCondition.HEALTHY, consecutiveFailures: 0 });
    expect(closed.failingSince).toBeUndefined();
    await sink.reach(["/failing"], 60, SOON_MS);
    // The probe and each of those that waited, once; the ten of before have a minute to go, or were the probe.
    const receipts = await sink.receiptsAt("/failing");
    expect(receipts.length).toBeLessThanOrEqual(61);
  }, 60_000);

  test("one that has failed for too long is disabled, and starts anew when somebody enables it", async () => {
    const policy = { retrySchedule: Array.from({ length: 30 }, () => durationFromMs(1_000)) };
    const { id } = await subscribe(api, sink, "/hopeless", { entityId: "hopeless", policy });
    await sink.answer("/hopeless", { status: 400 });
    await publish("hopeless", 1, 2, 3);
    const disabled = await eventually(60_000, "the subscription's end", async () => {
      const subscription = await subscriptionOf(id);
      return subscription.state === State.DISABLED ? subscription : undefined;
    });
    expect(disabled.disabledReason).toBe(DisabledReason.FAILING);
    await publish("hopeless", 4);
    const held = await eventually(SOON_MS, "held deliveries", async () => {
      const all = await deliveriesOf(api, id);
      return all.length === 4 && all.every(({ status }) => status === DeliveryStatus.HELD) ? all : undefined;
    });
    expect(held).toHaveLength(4);
    await sink.answer("/hopeless", { status: 200 });
    const updateMask = create(FieldMaskSchema, { paths: ["state"] });
    const update = { subscription: { id, state: State.ENABLED }, updateMask };
    const { subscription } = await api.subscriptions.updateSubscription(update);
    expect(subscription?.health).toMatchObject({ condition: EndpointCondition.HEALTHY, consecutiveFailures: 0 });
    await eventually(SOON_MS, "everything delivered", async () =>
      (await deliveriesOf(api, id)).every(({ status }) => status === DeliveryStatus.DELIVERED) ? true : undefined,
    );
  }, 120_000);
});
