import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { BreakerState } from "../../gen/passbus/v1/subscription_pb.js";
import { subscription, waiting } from "../../test/contracts/rows.ts";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import type { CountRow } from "../delivery/stats-store.ts";
import { systemClock } from "../kernel/clock.ts";

const MINUTE = 60_000;
/** In the middle of a minute. */
const NOW = 1_700_000_000_000 - (1_700_000_000_000 % MINUTE) + 30_000;
const THIS_MINUTE = NOW - 30_000;

const store = embeddedStore();
let api: TestApi;
beforeAll(async () => {
  const clock = { ...systemClock, now: () => NOW };
  const { stats, endpoints, feed } = store;
  api = await testApi({ clock, stats, endpoints, feed, deliveryLog: store.deliveries });
  await store.stats.addCounts([
    row({ atMs: THIS_MINUTE }),
    row({ atMs: THIS_MINUTE - MINUTE, attempts: 100, delivered: 90, events: 45 }),
    row({ atMs: THIS_MINUTE - 30 * MINUTE }),
    row({ atMs: THIS_MINUTE, subscriptionId: "sub_1", events: 0, durations: new Map([[5, 1]]) }),
  ]);
});
afterAll(() => api.stop(0));

function row(over: Partial<CountRow>): CountRow {
  const counts = { delivered: 5, failed: 1, attempts: 8, failedAttempts: 3, events: 9 };
  return { tenant: TENANT, subscriptionId: "", atMs: 0, ...counts, durations: new Map(), delays: new Map(), ...over };
}

const deliveries = (tenant = TENANT) =>
  createClient(DeliveryService, grpcWithKey(api.url, api.stage.key("viewer", tenant)));

describe("GetDeliveryStats", () => {
  test("is a point a minute of the last hour, those without anything too, and all of them together", async () => {
    const { points, step, total } = await deliveries().getDeliveryStats({});
    expect([points.length, step?.seconds]).toEqual([61, 60n]);
    expect(points.at(-1)).toMatchObject({ time: timestampFromMs(THIS_MINUTE), attempts: 8n, events: 9n });
    expect(points.at(-2)).toMatchObject({ attempts: 100n, delivered: 90n });
    expect(points.at(-3)).toMatchObject({ attempts: 0n });
    expect(points.at(-3)?.p50).toBeUndefined();
    expect(total).toMatchObject({ attempts: 116n, delivered: 100n, failed: 3n, failedAttempts: 9n, events: 63n });
  });

  test("of one subscription has its attempts, and everybody's events", async () => {
    const { points } = await deliveries().getDeliveryStats({ subscriptionId: "sub_1" });
    expect(points.at(-1)).toMatchObject({ attempts: 8n, events: 9n, p50: { seconds: 0n, nanos: 2_000_000 } });
    expect(points.at(-2)).toMatchObject({ attempts: 0n, events: 45n });
  });

  test("by the hour has what was counted by the minute", async () => {
    const [startTime, step] = [timestampFromMs(NOW - 3_600_000), { seconds: 3_600n }];
    const { points } = await deliveries().getDeliveryStats({ startTime, step });
    expect(points.reduce((sum, { attempts }) => sum + attempts, 0n)).toBe(116n);
    expect(points.length).toBeLessThanOrEqual(2);
  });

  test("is another organisation's own, and refuses steps that are none", async () => {
    const globex = { ...TENANT, organisation: "globex" };
    expect((await deliveries(globex).getDeliveryStats({ subscriptionId: "sub_1" })).total).toMatchObject({
      attempts: 0n,
    });
    for (const seconds of [30n, 0n, -60n]) {
      expect((await failureOf(deliveries().getDeliveryStats({ step: { seconds } }))).code).toBe(Code.InvalidArgument);
    }
  });
});

describe("GetOverview", () => {
  test("says how it stands: rates, backlog, what fails and what is open; of the service to its operators", async () => {
    const of = (id: string, state: "enabled" | "disabled" = "enabled") =>
      store.subscriptions.insert(subscription(id, { tenant: TENANT, state, description: id }), 100);
    await Promise.all([of("sub_1"), of("sub_2"), of("sub_3", "disabled")]);
    const failing = { tenant: TENANT, version: 1, openings: 1, consecutiveFailures: 7, failingSinceMs: NOW - 9_000 };
    await store.endpoints.write([{ ...failing, subscriptionId: "sub_2", breaker: "open", lastError: "dns.failed" }]);
    const late = waiting("dlv_1", NOW - 5_000, { tenant: TENANT });
    await store.deliveries.flush({ events: [], deliveries: [{ kind: "first", delivery: late }] });
    const report = { worker: "wrk_1", startedAtMs: NOW, inFlight: 3, queued: 4, unflushed: 5, openRecords: 6 };
    const times = { reportedAtMs: NOW, eventLoopDelayP99Ms: 7.4, stalled: false, lagRecords: 8 };
    await store.stats.report({ ...report, ...times });

    const overview = await deliveries().getOverview({});
    expect(overview.eventsPerSecond).toBeCloseTo(54 / 90);
    expect(overview.deliveriesPerSecond).toBeCloseTo(95 / 90);
    expect(overview.lastHour).toMatchObject({ attempts: 116n });
    expect(overview.backlog).toMatchObject({ waiting: 1n, due: 1n, oldestDueAge: { seconds: 5n } });
    expect(overview).toMatchObject({ subscriptionsEnabled: 2, subscriptionsDisabled: 1, failingCount: 1 });
    expect(overview.breakers).toMatchObject({ closed: 1, open: 1, halfOpen: 0 });
    expect(overview.failing).toMatchObject([
      {
        subscriptionId: "sub_2",
        url: "https://sub_2.example/hook",
        health: { breaker: BreakerState.OPEN, consecutiveFailures: 7, lastError: "dns.failed" },
      },
    ]);
    expect(overview.service?.lagRecords).toBe(8n);
    expect(overview.service?.workers).toMatchObject([
      {
        id: "wrk_1",
        inFlight: 3n,
        queued: 4n,
        unflushed: 5n,
        openRecords: 6n,
        eventLoopDelayP99: { nanos: 7_000_000 },
      },
    ]);

    const globex = await deliveries({ ...TENANT, organisation: "globex" }).getOverview({});
    expect(globex.service).toBeUndefined();
    expect(globex.backlog).toMatchObject({ waiting: 0n });
    expect((await deliveries({ ...TENANT, environment: "staging" }).getOverview({})).service).toBeUndefined();
  });
});
