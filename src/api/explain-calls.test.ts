import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, it } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { MemorySubscriptions } from "../../test/support/memory-subscriptions.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import { deliveryId } from "../domain/delivery.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { LogRecord } from "../intake/event-log.ts";
import { LIMITS } from "../kernel/limits.ts";
import { nextTurn } from "../kernel/next-turn.ts";

const { stored } = sampleEvent("evt_12345678");

const opened: TestApi[] = [];
afterEach(() => Promise.all(opened.splice(0).map((api) => api.stop(0))));

const THREE = [
  sampleSubscription({ id: "sub_1" }),
  sampleSubscription({ id: "sub_2", entityId: "class-2" }),
  sampleSubscription({ id: "sub_3", format: "PASSENTRY" }),
];

async function setUp(
  deliveryLog: Partial<DeliveryLog> = {},
  subscriptions: readonly Subscription[] = THREE,
  subscriptionStore = new MemorySubscriptions(),
) {
  const asked: unknown[] = [];
  const api = await testApi({
    subscriptionStore,
    feed: {
      load: async (tenant) => {
        asked.push(tenant);
        return { version: 1, subscriptions };
      },
    },
    deliveryLog: {
      ...emptyDeliveryLog,
      getEvent: async ({ tenant, id }) => {
        asked.push(tenant);
        return id === stored.id ? stored : undefined;
      },
      ...deliveryLog,
    },
  });
  opened.push(api);
  const events = createClient(EventService, createGrpcTransport({ baseUrl: api.url }));
  const explain = async (eventId: string, subscriptionId = "", key = ADMIN_KEY) =>
    events.explainEvent({ eventId, subscriptionId }, { headers: { authorization: `Bearer ${key}` } });
  const reasons = async (eventId: string, subscriptionId?: string) =>
    (await explain(eventId, subscriptionId)).explanations.map(({ subscriptionId: of, reason }) => [of, reason]);
  return { api, explain, reasons, asked };
}

const delivery = (subscriptionId: string) =>
  waiting(deliveryId(stored, subscriptionId), 0, { subscriptionId, eventId: stored.id });

function record(over: Partial<LogRecord>): LogRecord {
  return {
    topic: "pass.events",
    partition: 0,
    offset: 1,
    appendedAtMs: 1,
    key: null,
    value: Buffer.from("{}"),
    headers: {},
    ...over,
  };
}

describe("ExplainEvent", () => {
  it("explains every subscription, those with a delivery first, all pages of them", async () => {
    const pages = [["sub_3"], ["sub_gone"]];
    const { explain, asked } = await setUp({
      listDeliveries: async (_tenant, filter, page) => {
        expect(filter).toEqual({ eventId: stored.id });
        const at = page.after === undefined ? 0 : 1;
        const items = (pages[at] ?? []).map(delivery);
        return at === 0 ? { items, next: { timeMs: 1, id: "d" } } : { items };
      },
    });
    const { explanations, event } = await explain(stored.id);
    expect(explanations.map((each) => [each.subscriptionId, each.deliveryId, each.reason])).toEqual([
      ["sub_3", deliveryId(stored, "sub_3"), "delivery.waiting"],
      ["sub_gone", deliveryId(stored, "sub_gone"), "delivery.waiting"],
      ["sub_1", "", "match.pending"],
      ["sub_2", "", "match.scope"],
    ]);
    expect(event?.event?.id).toBe(stored.id);
    expect(asked).toEqual([TENANT, TENANT]);
  });

  it("explains one subscription, by its delivery, or its rules, or that it is not there", async () => {
    const { reasons } = await setUp({
      getDelivery: async (_tenant, id) => (id === deliveryId(stored, "sub_1") ? delivery("sub_1") : undefined),
    });
    expect(await reasons(stored.id, "sub_1")).toEqual([["sub_1", "delivery.waiting"]]);
    expect(await reasons(stored.id, "sub_2")).toEqual([["sub_2", "match.scope"]]);
    expect(await reasons(stored.id, "sub_4")).toEqual([["sub_4", "match.unknown_subscription"]]);
  });

  it("finds the dead letters of an event, by their header or their value", async () => {
    const { api, explain, reasons } = await setUp();
    const put = (offset: number, over: Partial<LogRecord>) =>
      api.stage.deadLetters.put([
        { tenant: TENANT, reason: "event.conflict", message: "another", record: record({ offset, ...over }) },
      ]);
    await put(1, { headers: { "event-id": "evt_dead" } });
    await put(2, { value: Buffer.from('{"id":"evt_in_the_value"}') });
    await put(3, { headers: { "event-id": stored.id } });
    await put(4, { value: Buffer.from('{"id":"short"}') });
    expect((await explain("evt_dead")).event).toBeUndefined();
    expect((await explain("evt_dead")).explanations).toMatchObject([
      {
        subscriptionId: "",
        reason: "event.conflict",
        message: expect.stringMatching(/^the dead letter dead_.*: another$/),
      },
    ]);
    expect(await reasons("evt_in_the_value")).toEqual([["", "event.conflict"]]);
    expect((await reasons(stored.id, "sub_2")).map(([, reason]) => reason)).toEqual(["event.conflict", "match.scope"]);
    await expect(reasons("short")).rejects.toThrow("there is no event");
  });

  it("tells a portal session of no dead letter, nor that there are many", async () => {
    const subscriptionStore = new MemorySubscriptions();
    await subscriptionStore.insert(sampleSubscription({ id: "sub_1", entityId: stored.entityId, tenant: TENANT }), 10);
    const { api, explain } = await setUp({}, THREE, subscriptionStore);
    await api.stage.deadLetters.put(
      Array.from({ length: 25 }, (_, offset) => ({
        ...{ tenant: TENANT, reason: "event.conflict" as const, message: "another" },
        record: record({ offset, headers: { "event-id": stored.id } }),
      })),
    );
    const ofKey = await explain(stored.id, "sub_1");
    expect([ofKey.explanations.length, ofKey.truncated]).toEqual([21, true]);
    const told = await explain(stored.id, "sub_1", api.stage.session(stored.entityId));
    expect([told.explanations.map(({ subscriptionId }) => subscriptionId), told.truncated]).toEqual([["sub_1"], false]);
  });

  it("looks through the newest 500 dead letters", async () => {
    const { api, reasons } = await setUp();
    const letter = (offset: number, id: string) => ({
      tenant: TENANT,
      reason: "event.invalid" as const,
      message: "",
      record: record({ offset, appendedAtMs: offset, headers: { "event-id": id } }),
    });
    await api.stage.deadLetters.put([letter(1, "evt_old"), letter(2, "evt_500th")]);
    await api.stage.deadLetters.put(Array.from({ length: 499 }, (_, at) => letter(at + 3, "evt_other")));
    expect(await reasons("evt_500th")).toEqual([["", "event.invalid"]]);
    await expect(reasons("evt_old")).rejects.toThrow("there is no event");
    expect(await reasons("evt_other")).toHaveLength(499);
  });

  it("answers NOT_FOUND for an unknown event, and INVALID_ARGUMENT without one", async () => {
    const { explain } = await setUp();
    const error = async (id: string) => ConnectError.from(await explain(id).catch((reason: unknown) => reason));
    expect(await error("evt_none")).toMatchObject({
      code: Code.NotFound,
      rawMessage: 'event_id: there is no event "evt_none"',
    });
    expect((await error("")).code).toBe(Code.InvalidArgument);
  });

  it(`has ${LIMITS.pageSize} explanations at most`, async () => {
    const deliveries = Array.from({ length: LIMITS.pageSize + 1 }, (_, at) => delivery(`sub_${at}`));
    let pages = 0;
    const { explain } = await setUp({
      listDeliveries: async () => {
        pages += 1;
        return { items: deliveries, next: { timeMs: 1, id: "d" } };
      },
    });
    const { explanations, truncated } = await explain(stored.id);
    expect([explanations.length, truncated, pages]).toEqual([LIMITS.pageSize, true, 1]);
  });

  it.each([0, 1])("says whether there are more: %d above the limit", async (above) => {
    const subscriptions = Array.from({ length: LIMITS.pageSize + above }, (_, at) =>
      sampleSubscription({ id: `sub_${at}` }),
    );
    const { explain } = await setUp({}, subscriptions);
    const { explanations, truncated } = await explain(stored.id);
    expect([explanations.length, truncated]).toEqual([LIMITS.pageSize, above === 1]);
  });

  it("shows 20 dead letters beside a stored event's explanations, and the one that is asked for", async () => {
    const { api, explain } = await setUp();
    const letters = Array.from({ length: 21 }, (_, offset) => ({
      tenant: TENANT,
      reason: "event.conflict" as const,
      message: "",
      record: record({ offset, headers: { "event-id": stored.id } }),
    }));
    await api.stage.deadLetters.put(letters);
    const all = await explain(stored.id);
    expect([all.explanations.length, all.truncated]).toEqual([20 + THREE.length, true]);
    const { explanations } = await explain(stored.id, "sub_2");
    expect(explanations.at(-1)).toMatchObject({ subscriptionId: "sub_2", reason: "match.scope" });
  });

  it("lets other calls in while it judges filters that cost", async () => {
    const filter = (at: number) =>
      `event.pass.id == "${at}" || [${"1,".repeat(400)}1].all(x, [1,2,3,4,5,6,7,8].all(y, y + x > 0))`;
    const subscriptions = Array.from({ length: 40 }, (_, at) =>
      sampleSubscription({ id: `sub_${at}`, filter: filter(at) }),
    );
    const { explain } = await setUp({}, subscriptions);
    let isDone = false;
    const explained = explain(stored.id).finally(() => {
      isDone = true;
    });
    let turns = 0;
    while (!isDone) {
      await nextTurn();
      turns += 1;
    }
    expect((await explained).explanations).toHaveLength(subscriptions.length);
    expect(turns).toBeGreaterThan(subscriptions.length);
  });
});
