/**
 * Endpoints that misbehave, and people who change them while work waits. One passbus in a process of its own; each test
 * has an entity of its own, so that its events are nobody else's.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Delivery, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DisabledReason, State } from "../../gen/passbus/v1/subscription_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { type Embedded, startEmbedded } from "../support/embedded.ts";
import { DEAD_URL, type Endpoint, subscribe, subscribeElsewhere } from "../support/endpoints.ts";
import { numberedEvent } from "../support/paced-publisher.ts";
import type { Clients } from "../support/passbus.ts";
import type { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const HOUR_MS = 3_600_000;
/** Nothing is tried again by itself while a test runs. */
const RARELY = { retrySchedule: [HOUR_MS, HOUR_MS, HOUR_MS].map(durationFromMs) };
const SOON_MS = 10_000;

describe("endpoints that misbehave", () => {
  let embedded: Embedded;
  let sink: Sink;
  let api: Clients;
  beforeAll(async () => {
    embedded = await startEmbedded();
    sink = embedded.sink;
    api = embedded.passbus.api;
  }, 30_000);
  afterAll(() => embedded[Symbol.asyncDispose]());

  const publish = (entity: string, ...numbers: readonly number[]) =>
    api.events.publishEvents({ events: numbers.map((number) => numberedEvent(number, entity)) });

  /** The endpoint's deliveries, once there are `count` and all are as wanted. */
  const deliveries = ({ id }: Endpoint, count: number, isAsWanted: (delivery: Delivery) => boolean) =>
    eventually(SOON_MS, `${count} deliveries as wanted`, async () => {
      const all = await deliveriesOf(api, id);
      return all.length === count && all.every(isAsWanted) ? all : undefined;
    });

  const stateOf = async ({ id }: Endpoint) => {
    const { subscription } = await api.subscriptions.getSubscription({ id });
    return { state: subscription?.state, reason: subscription?.disabledReason };
  };

  test("one that answers 410 is disabled, gets nothing more, and gets what was held when it is enabled again", async () => {
    const endpoint = await subscribe(api, sink, "/gone", { entityId: "gone" });
    await sink.answer("/gone", { status: 410 });
    await publish("gone", 1);
    await deliveries(endpoint, 1, ({ status }) => status === DeliveryStatus.FAILED);
    await eventually(SOON_MS, "the subscription's end", async () =>
      (await stateOf(endpoint)).state === State.DISABLED ? true : undefined,
    );
    expect(await stateOf(endpoint)).toEqual({ state: State.DISABLED, reason: DisabledReason.GONE });

    await sink.answer("/gone", { status: 200 });
    await publish("gone", 2, 3);
    const held = ({ status }: Delivery) => status === DeliveryStatus.HELD || status === DeliveryStatus.FAILED;
    const statuses = (await deliveries(endpoint, 3, held)).map(({ status }) => status).sort();
    expect(statuses).toEqual([DeliveryStatus.HELD, DeliveryStatus.HELD, DeliveryStatus.FAILED]);
    expect(await sink.receiptsAt("/gone")).toHaveLength(1);

    const update = { subscription: { id: endpoint.id, state: State.ENABLED }, updateMask: mask("state") };
    await api.subscriptions.updateSubscription(update);
    const receipts = await sink.requests("/gone", 3, SOON_MS);
    expect(receipts.map(({ passId }) => passId).sort()).toEqual([1, 2, 3].map((at) => passId(at, "gone")));
  });

  test("one that answers 503 with Retry-After is not tried earlier than it asked", async () => {
    const policy = { retrySchedule: [durationFromMs(100)] };
    await subscribe(api, sink, "/busy", { entityId: "busy", policy });
    await sink.answer("/busy", { status: 503, headers: { "retry-after": "2" } });
    await publish("busy", 1);
    await sink.requests("/busy", 1, SOON_MS);
    await sink.answer("/busy", { status: 200 });
    const [first, second] = await sink.requests("/busy", 2, SOON_MS);
    const waitedMs = (second?.atMs ?? 0) - (first?.atMs ?? 0);
    expect(waitedMs).toBeGreaterThanOrEqual(2_000);
    expect(second?.webhookId).toBe(first?.webhookId);
  });

  test("one that takes one request at a time gets the next as soon as it has answered, and not before", async () => {
    const answerMs = 250;
    const numbers = Array.from({ length: 12 }, (_, at) => at);
    await subscribe(api, sink, "/single", { entityId: "single", policy: { maxInFlight: 1 } });
    await sink.answer("/single", { status: 200, afterMs: answerMs });
    await publish("single", ...numbers);
    const receipts = await sink.requests("/single", numbers.length, 2 * SOON_MS);
    const times = receipts.map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, at) => atMs - (times[at] ?? 0));
    // Timers may fire a millisecond early.
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(answerMs - 2);
    // Most of them were spilled; whoever only looks at the store once a second sends one a second.
    expect(gaps.reduce((sum, gap) => sum + gap, 0)).toBeLessThan(2 * answerMs * gaps.length);
  });

  test("one that redirects is not followed", async () => {
    const endpoint = await subscribe(api, sink, "/moved", { entityId: "moved", policy: RARELY });
    await sink.answer("/moved", { status: 302, headers: { location: sink.url("/elsewhere") } });
    await publish("moved", 1);
    const [delivery] = await deliveries(endpoint, 1, ({ attempts }) => attempts.length > 0);
    expect(delivery?.status).toBe(DeliveryStatus.WAITING);
    expect(delivery?.attempts[0]).toMatchObject({ statusCode: 302, errorCode: "http.redirect" });
    expect(await sink.receiptsAt("/moved")).toHaveLength(1);
    expect(await sink.receiptsAt("/elsewhere")).toEqual([]);
  });

  // "If you believe your secret key was compromised, rotate it" (seed 000).
  test("a rotated secret reaches work that waits: both sign in the overlap, the new one alone without", async () => {
    const endpoint = await subscribe(api, sink, "/rotated", { entityId: "rotated", policy: RARELY });
    const { id, secret: first } = endpoint;
    await sink.answer("/rotated", { status: 500 });
    await publish("rotated", 1);
    const [delivery] = await deliveries(endpoint, 1, ({ status, attempts }) => waitsAfter(1)(status, attempts.length));
    const again = () => api.deliveries.retryDelivery({ id: delivery?.id ?? "" });

    const rotated = await api.subscriptions.rotateSecret({ id, overlap: durationFromMs(HOUR_MS) });
    await sink.expectSecrets("/rotated", first, rotated.secret);
    await again();
    await deliveries(endpoint, 1, ({ status, attempts }) => waitsAfter(2)(status, attempts.length));

    const atOnce = await api.subscriptions.rotateSecret({ id, overlap: durationFromMs(0) });
    await sink.expectSecrets("/rotated", first, rotated.secret, atOnce.secret);
    await again();
    const receipts = await sink.requests("/rotated", 3, SOON_MS);
    expect(receipts.map(({ signatures, verifiedBy }) => ({ signatures, verifiedBy }))).toEqual([
      { signatures: 1, verifiedBy: [0] },
      { signatures: 2, verifiedBy: [0, 1] },
      { signatures: 1, verifiedBy: [2] },
    ]);
  });

  test("a corrected URL reaches work that waits", async () => {
    const endpoint = await subscribeElsewhere(api, DEAD_URL, { entityId: "corrected", policy: RARELY });
    await publish("corrected", 1);
    const [delivery] = await deliveries(endpoint, 1, ({ status, attempts }) => waitsAfter(1)(status, attempts.length));
    expect(delivery?.attempts[0]?.errorCode).toBe("connect.refused");
    const update = { subscription: { id: endpoint.id, url: sink.url("/corrected") }, updateMask: mask("url") };
    await api.subscriptions.updateSubscription(update);
    await api.deliveries.retryDelivery({ id: delivery?.id ?? "" });
    const [receipt] = await sink.requests("/corrected", 1, SOON_MS);
    expect(receipt?.webhookId).toBe(delivery?.id);
  });

  test("deleting a subscription cancels what waits for it", async () => {
    const endpoint = await subscribe(api, sink, "/deleted", { entityId: "deleted", policy: RARELY });
    await sink.answer("/deleted", { status: 500 });
    await publish("deleted", 1, 2, 3);
    await deliveries(endpoint, 3, ({ status, attempts }) => waitsAfter(1)(status, attempts.length));
    await api.subscriptions.deleteSubscription({ id: endpoint.id });
    const cancelled = await deliveries(endpoint, 3, ({ status }) => status === DeliveryStatus.CANCELLED);
    expect(cancelled.map(({ finishedAt }) => finishedAt === undefined)).toEqual([false, false, false]);
    expect(await sink.receiptsAt("/deleted")).toHaveLength(3);
  });
});

/** The attempt is recorded, and nothing has it in hand. */
function waitsAfter(attempts: number): (status: DeliveryStatus, made: number) => boolean {
  return (status, made) => status === DeliveryStatus.WAITING && made === attempts;
}

function mask(...paths: readonly string[]) {
  return create(FieldMaskSchema, { paths: [...paths] });
}

function passId(number: number, entity: string): string {
  return numberedEvent(number, entity).pass?.id ?? "";
}
