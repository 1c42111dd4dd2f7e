/** DeliveryLog: lists, look-ups and retries, as people use them; and what deduplication asks. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { DeliveryFilter, EventFilter } from "../../src/delivery/delivery-store.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import {
  ACME,
  ACME_TEST,
  allPages,
  claim,
  delivery,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  type MakeStore,
  outcome,
  put,
  type StoreUnderTest,
  stored,
  T0,
  triedOnce,
  waiting,
} from "./rows.ts";

const idsOf = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id);

export function deliveryLogContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  const deliveriesOf = async (filter: DeliveryFilter, tenant: Tenant = ACME) =>
    idsOf((await store.deliveries.listDeliveries(tenant, filter, { size: 100 })).items);
  const eventsOf = async (filter: EventFilter, tenant: Tenant = ACME) =>
    idsOf((await store.deliveries.listEvents(tenant, filter, { size: 100 })).items);

  describe(`${name}: lists of deliveries`, () => {
    const rows: readonly Delivery[] = [
      waiting("d1", T0, { createdAtMs: T0 + 1, eventId: "evt_1", passId: "p1", subscriptionId: "sub_a" }),
      triedOnce("d2", "a2", T0, {
        ...{ createdAtMs: T0 + 2, eventId: "evt_1", passId: "p1", subscriptionId: "sub_b" },
        eventType: PassEventType.SCANNED,
      }),
      finished("d3", "delivered", "a3", {
        createdAtMs: T0 + 3,
        eventId: "evt_2",
        passId: "p2",
        subscriptionId: "sub_a",
      }),
      finished("d4", "failed", "a4", {
        ...{ createdAtMs: T0 + 4, eventId: "evt_2", passId: "p2", subscriptionId: "sub_b" },
        eventType: PassEventType.SCANNED,
      }),
      delivery("d5", {
        ...{ status: "held", createdAtMs: T0 + 5, eventId: "evt_3", passId: "p1", subscriptionId: "sub_a" },
        eventType: PassEventType.UNSPECIFIED,
        operationalType: OperationalEventType.DELIVERY_FAILED,
      }),
      finished("d6", "failed", "a6", { createdAtMs: T0 + 6, eventId: "evt_3", passId: "p1", subscriptionId: "sub_b" }),
    ];

    const filters: readonly (readonly [string, DeliveryFilter, (of: Delivery) => boolean])[] = [
      ["nothing", {}, () => true],
      ["subscription", { subscriptionId: "sub_a" }, (of) => of.subscriptionId === "sub_a"],
      ["event", { eventId: "evt_2" }, (of) => of.eventId === "evt_2"],
      ["pass", { passId: "p1" }, (of) => of.passId === "p1"],
      ["delivered", { status: "delivered" }, (of) => of.status === "delivered"],
      ["failed", { status: "failed" }, (of) => of.status === "failed"],
      ["waiting", { status: "waiting" }, (of) => of.status === "waiting"],
      ["attempting", { status: "attempting" }, () => false],
      ["type", { type: PassEventType.SCANNED }, (of) => of.eventType === PassEventType.SCANNED],
      [
        "type of passbus's own",
        { operationalType: OperationalEventType.DELIVERY_FAILED },
        (of) => of.operationalType === OperationalEventType.DELIVERY_FAILED,
      ],
      // The same number as the one of passbus's own.
      ["type of a pass's", { type: PassEventType.UNINSTALLED }, () => false],
      [
        "type and subscription",
        { type: PassEventType.CREATED, subscriptionId: "sub_a" },
        (of) => of.id < "d4" && of.subscriptionId === "sub_a",
      ],
      ["type and delivered", { type: PassEventType.SCANNED, status: "delivered" }, () => false],
      ["type and failed", { type: PassEventType.SCANNED, status: "failed" }, (of) => of.id === "d4"],
      [
        "type, failed and subscription",
        { type: PassEventType.SCANNED, status: "failed", subscriptionId: "sub_b" },
        (of) => of.id === "d4",
      ],
      ["type and pass", { type: PassEventType.SCANNED, passId: "p1" }, (of) => of.id === "d2"],
      ["type and event", { type: PassEventType.SCANNED, eventId: "evt_2" }, (of) => of.id === "d4"],
      ["time", { fromMs: T0 + 2, toMs: T0 + 5 }, (of) => of.createdAtMs >= T0 + 2 && of.createdAtMs < T0 + 5],
      [
        "subscription and status",
        { subscriptionId: "sub_b", status: "failed" },
        (of) => of.subscriptionId === "sub_b" && of.status === "failed",
      ],
      [
        "subscription and delivered",
        { subscriptionId: "sub_a", status: "delivered" },
        (of) => of.subscriptionId === "sub_a" && of.status === "delivered",
      ],
      [
        "event and subscription",
        { eventId: "evt_3", subscriptionId: "sub_b" },
        (of) => of.eventId === "evt_3" && of.subscriptionId === "sub_b",
      ],
      [
        "everything",
        { subscriptionId: "sub_b", eventId: "evt_3", passId: "p1", status: "failed", fromMs: T0 + 6, toMs: T0 + 7 },
        (of) => of.id === "d6",
      ],
      ["what is not there", { eventId: "evt_none" }, () => false],
    ];

    test("each filter and their combinations give what fits, newest first, in pages of any size", async () => {
      await put(store, ...rows);
      for (const [filterName, filter, fits] of filters) {
        const expected = idsOf(rows.filter(fits)).toReversed();
        expect(await deliveriesOf(filter), filterName).toEqual(expected);
        const pages = await allPages((page) => store.deliveries.listDeliveries(ACME, filter, page), 1);
        expect(idsOf(pages.flat()), filterName).toEqual(expected);
      }
    });

    test("a listed delivery is the whole one", async () => {
      await put(store, ...rows);
      const { items } = await store.deliveries.listDeliveries(ACME, { eventId: "evt_2" }, { size: 10 });
      expect(items).toEqual([rows[3], rows[2]]);
    });

    test("pages come to each once, by time and then by id, also where many were made at one moment", async () => {
      const many = Array.from({ length: 57 }, (_, index) =>
        finished(`d${(index * 7919) % 997}`, "delivered", `a${index}`, { createdAtMs: T0 + Math.floor(index / 20) }),
      );
      await put(store, ...many);
      const expected = many
        .toSorted((left, right) => right.createdAtMs - left.createdAtMs || (left.id < right.id ? 1 : -1))
        .map(({ id }) => id);
      for (const filter of [{}, { subscriptionId: "sub_1" }, { passId: "pass-1" }, { eventId: "evt_1" }]) {
        const pages = await allPages((page) => store.deliveries.listDeliveries(ACME, filter, page), 10);
        expect(pages.map((page) => page.length)).toEqual([10, 10, 10, 10, 10, 7]);
        expect(idsOf(pages.flat())).toEqual(expected);
      }
    });

    test("a full last page has no next one", async () => {
      await put(store, ...rows);
      const page = await store.deliveries.listDeliveries(ACME, {}, { size: 6 });
      expect([page.items.length, page.next]).toEqual([6, undefined]);
    });

    test("what is newly made does not disturb the reading of pages", async () => {
      await put(store, ...rows);
      const one = await store.deliveries.listDeliveries(ACME, {}, { size: 3 });
      await put(store, waiting("d9", T0, { createdAtMs: T0 + 9 }));
      if (one.next === undefined) throw new Error("there is more");
      const two = await store.deliveries.listDeliveries(ACME, {}, { size: 3, after: one.next });
      expect([...idsOf(one.items), ...idsOf(two.items)]).toEqual(["d6", "d5", "d4", "d3", "d2", "d1"]);
    });

    test("a state that changes is found under its new status", async () => {
      await put(store, waiting("d1"));
      expect(await deliveriesOf({ status: "waiting" })).toEqual(["d1"]);
      const [mine] = (await claim(store)).claimed;
      expect(await deliveriesOf({ status: "waiting" })).toEqual([]);
      expect(await deliveriesOf({ status: "attempting" })).toEqual(["d1"]);
      if (mine === undefined) throw new Error("nothing was claimed");
      await flush(store, outcome(mine.delivery, { status: "delivered", finishedAtMs: T0 }, "a1"));
      expect(await deliveriesOf({ status: "attempting" })).toEqual([]);
      expect(await deliveriesOf({ status: "delivered", subscriptionId: "sub_1" })).toEqual(["d1"]);
    });

    test("another tenant's deliveries are in no list", async () => {
      await put(store, ...rows, ...rows.map((row) => ({ ...row, tenant: GLOBEX, id: `theirs_${row.id}` })));
      for (const [filterName, filter, fits] of filters) {
        const expected = idsOf(rows.filter(fits)).toReversed();
        expect(await deliveriesOf(filter), filterName).toEqual(expected);
        const theirs = expected.map((id) => `theirs_${id}`);
        expect(await deliveriesOf(filter, GLOBEX), filterName).toEqual(theirs);
        expect(await deliveriesOf(filter, ACME_TEST), filterName).toEqual([]);
      }
    });
  });

  describe(`${name}: lists of events`, () => {
    const events = [
      event("evt_1", { loggedAtMs: T0 + 1, passId: "p1", entityId: "shop" }),
      event("evt_2", { loggedAtMs: T0 + 2, passId: "p2", entityId: "shop", type: PassEventType.SCANNED }),
      event("evt_3", { loggedAtMs: T0 + 3, passId: "p1", entityId: "cafe", type: PassEventType.SCANNED }),
      event("evt_4", { loggedAtMs: T0 + 3, passId: "p1" }),
    ];

    const filters: readonly (readonly [string, EventFilter, readonly string[]])[] = [
      ["nothing", {}, ["evt_4", "evt_3", "evt_2", "evt_1"]],
      ["pass", { passId: "p1" }, ["evt_4", "evt_3", "evt_1"]],
      ["type", { type: PassEventType.SCANNED }, ["evt_3", "evt_2"]],
      ["pass and type", { passId: "p1", type: PassEventType.SCANNED }, ["evt_3"]],
      ["time", { fromMs: T0 + 2, toMs: T0 + 3 }, ["evt_2"]],
      ["entity", { entityId: "shop" }, ["evt_2", "evt_1"]],
      ["no entity", { entityId: "" }, ["evt_4"]],
      ["entity and pass", { entityId: "shop", passId: "p1" }, ["evt_1"]],
      ["entity, pass and type", { entityId: "shop", passId: "p1", type: PassEventType.SCANNED }, []],
      ["entity, pass and time", { entityId: "cafe", passId: "p1", fromMs: T0 + 2 }, ["evt_3"]],
      ["what is not there", { passId: "p9" }, []],
    ];

    test("each filter gives what fits, newest first, in pages of any size, of one tenant", async () => {
      await store.deliveries.flush({ events, deliveries: [] });
      for (const [filterName, filter, expected] of filters) {
        expect(await eventsOf(filter), filterName).toEqual(expected);
        const pages = await allPages((page) => store.deliveries.listEvents(ACME, filter, page), 1);
        expect(idsOf(pages.flat()), filterName).toEqual(expected);
        expect(await eventsOf(filter, ACME_TEST), filterName).toEqual([]);
      }
    });

    test("passbus's own events are listed by their own type, and by no other", async () => {
      const operational = { type: PassEventType.UNSPECIFIED, passId: "" };
      const failed = { ...operational, operationalType: OperationalEventType.DELIVERY_FAILED };
      const ours = [
        event("evt_5", { ...failed, loggedAtMs: T0 + 5 }),
        event("evt_6", { ...operational, operationalType: OperationalEventType.FILTER_FAILED, loggedAtMs: T0 + 6 }),
      ];
      await store.deliveries.flush({ events: [...events, ...ours], deliveries: [] });
      expect(await eventsOf({ operationalType: OperationalEventType.DELIVERY_FAILED })).toEqual(["evt_5"]);
      expect(await eventsOf({ operationalType: OperationalEventType.DELIVERY_FAILED, toMs: T0 + 5 })).toEqual([]);
      // The number that stands for a pass's event stands for another of ours.
      expect(await eventsOf({ type: OperationalEventType.DELIVERY_FAILED as number })).toEqual([]);
      expect(await eventsOf({})).toEqual(["evt_6", "evt_5", ...(filters[0]?.[2] ?? [])]);
      const [of] = ours;
      if (of === undefined) throw new Error("no event");
      expect(await store.deliveries.getEvent(of)).toEqual(of);
    });

    test("the delivery of one of them says of what type it is, when it is claimed too", async () => {
      const failed = { operationalType: OperationalEventType.DELIVERY_FAILED, passId: "" };
      const own = waiting("d1", T0, { ...failed, eventType: PassEventType.UNSPECIFIED, eventId: "evt_5" });
      const its = event("evt_5", { ...failed, type: PassEventType.UNSPECIFIED });
      await store.deliveries.flush({ events: [its], deliveries: [first(own)] });
      expect(await stored(store, "d1")).toEqual(own);
      expect((await store.deliveries.listDeliveries(ACME, {}, { size: 5 })).items).toEqual([own]);
      expect((await claim(store)).claimed).toMatchObject([
        { delivery: { id: "d1", eventType: PassEventType.UNSPECIFIED, ...failed }, event: its },
      ]);
    });

    test("a listed event is the whole one, each with its own value", async () => {
      await store.deliveries.flush({ events, deliveries: [] });
      const { items } = await store.deliveries.listEvents(ACME, {}, { size: 10 });
      expect(items).toEqual(events.toReversed());
    });

    test("large events make short pages, and none is left out", async () => {
      const large = Array.from({ length: 60 }, (_, index) =>
        event(`evt_${index}`, { content: `${index}`.padEnd(256 * 1024, "x"), loggedAtMs: T0 + index }),
      );
      await store.deliveries.flush({ events: large, deliveries: [] });
      const pages = await allPages((page) => store.deliveries.listEvents(ACME, {}, page), 500);
      expect(idsOf(pages.flat())).toEqual(idsOf(large).toReversed());
    });

    test("an event is another tenant's only under its own name", async () => {
      const theirs = event("evt_1", { tenant: GLOBEX, content: "theirs" });
      await store.deliveries.flush({ events: [event("evt_1"), theirs], deliveries: [] });
      expect(await store.deliveries.getEvent(event("evt_1"))).toEqual(event("evt_1"));
      expect(await store.deliveries.getEvent(theirs)).toEqual(theirs);
      expect(await store.deliveries.getEvent(event("evt_1", { tenant: ACME_TEST }))).toBeUndefined();
      expect(await store.deliveries.getEvent(event("evt_9"))).toBeUndefined();
      expect(await eventsOf({}, GLOBEX)).toEqual(["evt_1"]);
    });
  });

  describe(`${name}: retries`, () => {
    test.each(["failed", "delivered", "cancelled"] as const)(
      "a %s delivery starts its next run, due now",
      async (status) => {
        await put(store, finished("d1", status, "a1"));
        const again = await store.deliveries.retry(ACME, "d1", T0 + 500);
        const { finishedAtMs: _finished, ...row } = finished("d1", status, "a1");
        expect(again).toEqual({ ...row, status: "waiting", dueAtMs: T0 + 500, run: 2, fence: 1, runAttempts: 0 });
        expect(await stored(store, "d1")).toEqual(again);
        expect((await claim(store, { nowMs: T0 + 500 })).claimed[0]?.delivery).toMatchObject({ run: 2, fence: 2 });
      },
    );

    test("a waiting one is due now, as live work, in its own run", async () => {
      await put(store, triedOnce("d1", "a1", T0 + 1e6));
      const again = await store.deliveries.retry(ACME, "d1", T0);
      expect(again).toEqual({ ...triedOnce("d1", "a1", T0 + 1e6), workClass: "live", dueAtMs: T0 });
      expect((await claim(store)).claimed).toHaveLength(1);
    });

    test("a held one stays held", async () => {
      const held = delivery("d1", { status: "held" });
      await put(store, held);
      expect(await store.deliveries.retry(ACME, "d1", T0)).toEqual(held);
      expect(await stored(store, "d1")).toEqual(held);
    });

    test("one that a worker has is left to it", async () => {
      await put(store, waiting("d1"));
      await claim(store);
      const before = await stored(store, "d1");
      expect(await store.deliveries.retry(ACME, "d1", T0)).toBe("attempting");
      expect(await stored(store, "d1")).toEqual(before);
    });

    test("one of another tenant, or none at all, is not there", async () => {
      await put(store, finished("d1", "failed", "a1"));
      expect(await store.deliveries.retry(GLOBEX, "d1", T0)).toBeUndefined();
      expect(await store.deliveries.retry(ACME, "d9", T0)).toBeUndefined();
      expect((await stored(store, "d1")).status).toBe("failed");
    });

    test("of parallel retries of a failed one a single run is started", async () => {
      await put(store, finished("d1", "failed", "a1"));
      const other = await store.connect();
      await Promise.all([store, other, store, other].map((connection) => connection.deliveries.retry(ACME, "d1", T0)));
      expect((await stored(store, "d1")).run).toBe(2);
    });
  });

  describe(`${name}: deduplication and tenants`, () => {
    test("known events are told in the order asked, by tenant", async () => {
      await store.deliveries.flush({
        events: [
          event("evt_1"),
          event("evt_2", { loggedAtMs: T0 + 2 }),
          event("evt_1", { tenant: GLOBEX, content: "theirs", loggedAtMs: T0 + 3 }),
        ],
        deliveries: [],
      });
      const known = await store.deliveries.knownEvents([
        { tenant: ACME, id: "evt_2" },
        { tenant: ACME_TEST, id: "evt_2" },
        { tenant: GLOBEX, id: "evt_1" },
        { tenant: ACME, id: "evt_none" },
        { tenant: ACME, id: "evt_1" },
      ]);
      expect(known).toEqual([
        { contentHash: event("evt_2").contentHash, loggedAtMs: T0 + 2 },
        undefined,
        { contentHash: event("evt_1", { content: "theirs" }).contentHash, loggedAtMs: T0 + 3 },
        undefined,
        { contentHash: event("evt_1").contentHash, loggedAtMs: T0 },
      ]);
      expect(await store.deliveries.knownEvents([])).toEqual([]);
    });

    test("the same ids in two tenants are two deliveries", async () => {
      await put(store, waiting("d1"), finished("d1", "failed", "a1", { tenant: GLOBEX }));
      expect(await flush(store, first(finished("d1", "delivered", "a2", { tenant: GLOBEX })))).toEqual([false]);
      expect((await stored(store, "d1")).status).toBe("waiting");
      expect((await stored(store, "d1", GLOBEX)).status).toBe("failed");
      expect(await store.deliveries.getDelivery(ACME_TEST, "d1")).toBeUndefined();
      expect(await store.deliveries.knownDeliveries(ACME_TEST, ["d1"])).toEqual(new Set());
      expect(await store.deliveries.knownDeliveries(GLOBEX, ["d1"])).toEqual(new Set(["d1"]));
    });

    test("an outcome in another tenant's name touches nothing", async () => {
      await put(store, waiting("d1"));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      const forged = outcome({ ...mine.delivery, tenant: GLOBEX }, { status: "cancelled", finishedAtMs: T0 }, "a1");
      expect(await flush(store, forged)).toEqual([false]);
      expect(await stored(store, "d1")).toMatchObject({ status: "attempting", attemptCount: 0 });
    });
  });
}
