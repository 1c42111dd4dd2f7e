import { describe, expect, test } from "vitest";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { ALL, ONCE, rowOf, sentTo, stage, told, types } from "../../test/support/operational.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import type { Delivery } from "../domain/delivery.ts";
import { DEFAULT_POLICY, type Subscription } from "../domain/subscription.ts";

describe("a delivery that has failed for good", () => {
  test("is told to those who ask, as a delivery like any other", async () => {
    const setup = stage({ url: "https://user:word@example.com:8443/secret?token=1#/sub_broken" });
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    const failed = rowOf(setup, "sub_broken");
    expect(failed.status).toBe("failed");
    expect(sentTo(setup, "sub_ops")).toEqual([
      {
        type: "delivery.failed",
        timestamp: expect.any(String),
        data: {
          id: told(setup)[0]?.stored.id,
          operationalEvent: {
            subscriptionId: "sub_broken",
            deliveryId: failed.id,
            eventId: "evt_1",
            endpointHost: "example.com:8443",
            reason: "http.status",
            message: "the delivery was given up after 1 attempt, the last of which was answered 500",
            since: new Date(failed.createdAtMs).toISOString().replace(".000Z", "Z"),
            statusCode: 500,
            attemptCount: 1,
          },
        },
      },
    ]);
    expect(rowOf(setup, "sub_ops")).toMatchObject({
      status: "delivered",
      eventType: 0,
      operationalType: Type.DELIVERY_FAILED,
      passId: "",
    });
  });

  test("is told after the last attempt of its schedule alone, and again for its next run", async () => {
    const setup = stage({ policy: { ...ONCE, retryScheduleMs: [100, 100] } });
    const event = sampleEvent("evt_1");
    await setup.take(event);
    await setup.pass(2_000);
    expect(rowOf(setup, "sub_broken")).toMatchObject({ status: "failed", attemptCount: 3 });
    expect(told(setup)).toMatchObject([{ type: Type.DELIVERY_FAILED, attemptCount: 3 }]);
    const again = { ...rowOf(setup, "sub_broken"), status: "waiting", run: 2, runAttempts: 2, dueAtMs: 0 } as const;
    setup.store.deliveries.set(again.id, again);
    setup.engine.wake();
    await setup.pass(2_000);
    expect(types(setup)).toEqual([Type.DELIVERY_FAILED, Type.DELIVERY_FAILED]);
  });

  test("where nobody asks, nothing is stored of it", async () => {
    const setup = stage();
    setup.store.remove(sampleSubscription({ id: "sub_ops" }));
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(rowOf(setup, "sub_broken").status).toBe("failed");
    expect(setup.store.events.size).toBe(1);
  });

  test("an endpoint that is gone is told of too, before it is disabled", async () => {
    const setup = stage();
    setup.sender.reply = ({ url }) => answer(url.endsWith("/sub_broken") ? 410 : 200);
    let written = 0;
    const flush = setup.store.flush.bind(setup.store);
    setup.store.flush = (batch) => {
      written += batch.events.filter(({ operationalType }) => operationalType !== undefined).length;
      return flush(batch);
    };
    await setup.take(sampleEvent("evt_1"), sampleEvent("evt_2"));
    await setup.pass(20);
    expect(setup.disabled).toEqual([]);
    await setup.pass(1_000);
    expect(setup.disabled).toContain("sub_broken");
    const sent = sentTo(setup, "sub_ops").map(({ type, data }) => [type, data.operationalEvent.reason]);
    expect(written).toBe(3);
    expect(sent.toSorted()).toEqual([
      ["delivery.failed", "http.gone"],
      ["delivery.failed", "http.gone"],
      ["subscription.disabled", "gone"],
    ]);
  });
});

describe("who is told", () => {
  test.each<[string, Partial<Subscription>, boolean]>([
    ["the organisation's", {}, true],
    ["its entity's", { entityId: "class-1" }, true],
    ["another entity's", { entityId: "class-2" }, false],
    ["another environment's", { tenant: { ...TENANT, environment: "test" } }, false],
    ["one that asks for another type", { operationalEvents: [Type.ENDPOINT_FAILING] }, false],
    ["one that asks for none", { operationalEvents: [] }, false],
    ["one for passes of one protocol", { protocol: 100 }, true],
    ["one whose filter asks for another reason", { filter: 'event.operational_event.reason == "http.gone"' }, false],
    ["one whose filter fits", { filter: 'event.operational_event.type == "DELIVERY_FAILED"' }, true],
    ["one whose filter fails", { filter: "event.pass.recordData.a == event.id" }, true],
    ["one with the same URL", { urlKey: "https://example.com/sub_broken" }, false],
    ["PassKit's with the same URL", { urlKey: "https://example.com/sub_broken#sub_other" }, false],
  ])("%s: %j", async (_who, over, isTold) => {
    const setup = stage({ entityId: "class-1" });
    setup.store.remove(sampleSubscription({ id: "sub_ops" }));
    setup.store.put(
      sampleSubscription({ id: "sub_other", operationalEvents: [Type.DELIVERY_FAILED, Type.FILTER_FAILED], ...over }),
    );
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    const said = sentTo(setup, "sub_other").filter(({ type }) => type === "delivery.failed");
    expect(said).toHaveLength(isTold ? 1 : 0);
    expect(types(setup)).toEqual(isTold ? [Type.DELIVERY_FAILED] : []);
  });

  test("never the endpoint that it is about", async () => {
    const setup = stage({ eventTypes: [2], operationalEvents: ALL });
    setup.store.remove(sampleSubscription({ id: "sub_ops" }));
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(rowOf(setup, "sub_broken").status).toBe("failed");
    expect(types(setup)).toEqual([]);
  });

  test.each<[string, Partial<Subscription>]>([
    ["one", {}],
    ["one with its passes in order", { policy: { ...DEFAULT_POLICY, ordering: "perPass", conflate: true } }],
  ])("%s that passbus disabled gets it when it is enabled again", async (_which, over) => {
    const setup = stage();
    const ops = sampleSubscription({
      id: "sub_ops",
      operationalEvents: ALL,
      state: "disabled",
      disabledReason: "gone",
      ...over,
    });
    setup.store.put(ops);
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(rowOf(setup, "sub_ops")).toMatchObject({ status: "held", fence: 0 });
    setup.store.put({ ...ops, state: "enabled" });
    await setup.pass(2_500);
    expect(sentTo(setup, "sub_ops")).toHaveLength(1);
  });
});

describe("its own delivery", () => {
  test.each([500, 410])("waits and fails like any other, and that gives rise to nothing: %i", async (status) => {
    const setup = stage();
    setup.store.put(sampleSubscription({ id: "sub_ops", operationalEvents: ALL, policy: ONCE }));
    setup.store.put(sampleSubscription({ id: "sub_ops_2", operationalEvents: ALL }));
    setup.sender.reply = ({ url }) => answer(url.endsWith("/sub_ops_2") ? 200 : url.endsWith("_ops") ? status : 500);
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(3_000);
    expect(rowOf(setup, "sub_ops").status).toBe("failed");
    expect(setup.disabled).toEqual(status === 410 ? ["sub_ops"] : []);
    expect(types(setup)).toEqual([Type.DELIVERY_FAILED]);
  });

  test("is tried again by its subscription's schedule", async () => {
    const setup = stage();
    let asked = 0;
    setup.sender.reply = ({ url }) => answer(url.endsWith("_ops") && ++asked > 1 ? 200 : 500);
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(7_500);
    expect(rowOf(setup, "sub_ops")).toMatchObject({ status: "delivered", attemptCount: 2 });
  });
});

describe("what others notice", () => {
  const change = { tenant: TENANT, subscriptionId: "sub_broken", sinceMs: 1_600_000_000_000, reason: "dns.failed" };

  test.each([
    ["failing", "endpoint.failing", "dns.failed"],
    ["recovered", "endpoint.recovered", "dns.failed"],
    ["disabled", "subscription.disabled", "failing"],
  ] as const)("an endpoint that is %s: %s, once however often it is told", async (kind, type, reason) => {
    const setup = stage();
    for (const _ of [1, 2]) {
      let isDurable = false;
      const telling = setup.engine.operational.endpointChanged({ ...change, kind }).then(() => {
        isDurable = true;
      });
      await setup.pass(30);
      expect(isDurable).toBe(false);
      await setup.pass(100);
      await telling;
    }
    await setup.pass(1_000);
    expect(sentTo(setup, "sub_ops")).toMatchObject([
      { type, data: { operationalEvent: { subscriptionId: "sub_broken", reason, since: "2020-09-13T12:26:40Z" } } },
    ]);
  });

  test("an endpoint whose subscription was deleted is not told of", async () => {
    const setup = stage();
    await setup.engine.operational.endpointChanged({ ...change, kind: "failing", subscriptionId: "sub_gone" });
    expect(types(setup)).toEqual([]);
  });

  test("held deliveries that are to be dropped, but none of passbus's own events", async () => {
    const setup = stage();
    const held: Delivery = {
      id: "dlv_1",
      tenant: TENANT,
      eventId: "evt_1",
      eventType: 1,
      passId: "pass-1",
      subscriptionId: "sub_broken",
      status: "held",
      workClass: "live",
      run: 1,
      fence: 0,
      runAttempts: 0,
      attemptCount: 0,
      attempts: [],
      createdAtMs: 1_600_000_000_000,
    };
    const own: Delivery = { ...held, id: "dlv_3", eventType: 0, operationalType: Type.DELIVERY_FAILED };
    const telling = setup.engine.operational.expired([held, { ...held, id: "dlv_2" }, own]);
    await setup.pass(1_000);
    await telling;
    expect(told(setup)).toMatchObject([
      { type: Type.DELIVERY_EXPIRED, deliveryId: "dlv_1", eventId: "evt_1" },
      { type: Type.DELIVERY_EXPIRED, deliveryId: "dlv_2", eventId: "evt_1" },
    ]);
    expect(sentTo(setup, "sub_ops")).toHaveLength(2);
  });

  test("a store that doesn't say who asks is asked until it does", async () => {
    const setup = engineSetup();
    setup.store.put(sampleSubscription({ id: "sub_broken" }));
    setup.store.put(sampleSubscription({ id: "sub_ops", operationalEvents: ALL }));
    const load = setup.store.load.bind(setup.store);
    setup.store.load = async () => {
      throw new Error("down");
    };
    const telling = setup.engine.operational.endpointChanged({ ...change, kind: "failing" });
    await setup.pass(1_500);
    setup.store.load = load;
    await setup.pass(1_500);
    await telling;
    expect(types(setup)).toEqual([Type.ENDPOINT_FAILING]);
  });
});

describe("a filter that fails", () => {
  const filter = "event.pass.recordData.a == event.id";

  test("is told once an hour of the clock, over all workers, without what CEL says of the event", async () => {
    const setup = stage({ filter });
    setup.sender.reply = () => answer(200);
    const other = stage({ filter }, { clock: setup.clock, store: setup.store });
    other.sender.reply = () => answer(200);
    await setup.take(sampleEvent("evt_1"), sampleEvent("evt_2"));
    await setup.pass(1_000);
    await other.take(sampleEvent("evt_3"));
    await setup.pass(1_000);
    expect(told(setup)).toMatchObject([
      {
        type: Type.FILTER_FAILED,
        subscriptionId: "sub_broken",
        eventId: "evt_1",
        reason: "filter.failed",
        message: expect.stringMatching(
          /^the filter fails at line 1, column \d+; the event was delivered all the same$/,
        ),
      },
    ]);
    setup.clock.advance(3_600_000);
    await setup.take(sampleEvent("evt_4"), sampleEvent("evt_5"));
    await setup.pass(1_000);
    expect(types(setup)).toEqual([Type.FILTER_FAILED, Type.FILTER_FAILED]);
  });

  test("on one of passbus's own events is not told", async () => {
    const setup = stage({ eventTypes: [2] });
    setup.store.put(sampleSubscription({ id: "sub_other", operationalEvents: ALL, filter }));
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(types(setup)).toEqual([Type.DELIVERY_FAILED]);
    expect(sentTo(setup, "sub_other")).toHaveLength(1);
  });

  test("is told before the record of its event is done with", async () => {
    const setup = stage({ filter });
    setup.sender.reply = () => answer(200);
    const doneWith: number[] = [];
    const flush = setup.store.flush.bind(setup.store);
    setup.store.flush = async (batch) => {
      if (batch.events.some(({ operationalType }) => operationalType !== undefined)) doneWith.push(setup.done.length);
      return flush(batch);
    };
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(doneWith).toEqual([0]);
    expect(setup.done).toEqual(["evt_1"]);
  });
});
