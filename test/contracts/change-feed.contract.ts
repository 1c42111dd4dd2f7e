/** ChangeFeed: what watchers are told of what becomes durable. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ChangeFeed, ChangeReader, Changes } from "../../src/delivery/change-feed.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { eventually } from "../support/within.ts";
import {
  ACME,
  ACME_TEST,
  claim,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  outcome,
  put,
  type StorePorts,
  type StoreUnderTest,
  stored,
  T0,
  triedOnce,
  waiting,
} from "./rows.ts";

export interface WatchedPorts extends StorePorts {
  readonly changes: ChangeFeed;
}

/** A store that may be opened twice, as the API and a worker have it open. */
export interface WatchedStore extends Omit<StoreUnderTest, "connect"> {
  readonly changes: ChangeFeed;
  connect(): Promise<WatchedPorts>;
}

/** How long a store may take to tell what is durable. */
const TOLD_WITHIN_MS = 5_000;

export function changeFeedContract(name: string, make: () => Promise<WatchedStore>): void {
  let store: WatchedStore;
  let worker: WatchedPorts;
  const readers: ChangeReader<unknown>[] = [];
  beforeEach(async () => {
    store = await make();
    worker = await store.connect();
  });
  afterEach(async () => {
    for (const reader of readers.splice(0)) await reader.close();
    await store.close();
  });

  const watchEvents = async (tenant: Tenant = ACME) => {
    const reader = await store.changes.watchEvents(tenant);
    readers.push(reader);
    return reader;
  };
  const watchDeliveries = async (tenant: Tenant = ACME) => {
    const reader = await store.changes.watchDeliveries(tenant);
    readers.push(reader);
    return reader;
  };

  /** Reads until the item of this id has come; all items, in their order. */
  async function readTo<T extends { readonly id: string }>(reader: ChangeReader<T>, id: string, limit = 100) {
    const items: T[] = [];
    await eventually(TOLD_WITHIN_MS, `the change of ${id}`, async () => {
      const read: Changes<T> = await reader.read(limit);
      items.push(...read.items);
      return items.some((item) => item.id === id) && !read.more ? true : undefined;
    });
    return items;
  }
  const idsTo = async <T extends { readonly id: string }>(reader: ChangeReader<T>, id: string, limit?: number) =>
    (await readTo(reader, id, limit)).map((item) => item.id);
  const putEvents = (...ids: readonly string[]) =>
    worker.deliveries.flush({ events: ids.map((id) => event(id)), deliveries: [] });

  describe(`${name}: watched events`, () => {
    test("are told as they are stored, whole, and those before the watch are not", async () => {
      await putEvents("evt_before");
      const reader = await watchEvents();
      const odd = event("evt_1", { passId: "ß", entityId: "shop", content: "\0\u{1f4a9}", loggedAtMs: T0 + 7 });
      await worker.deliveries.flush({ events: [odd], deliveries: [] });
      expect(await readTo(reader, "evt_1")).toEqual([odd]);
    });

    test("are told in the order of their storing, however early their log time is", async () => {
      const reader = await watchEvents();
      await worker.deliveries.flush({ events: [event("evt_now", { loggedAtMs: T0 + 3_600_000 })], deliveries: [] });
      expect(await idsTo(reader, "evt_now")).toEqual(["evt_now"]);
      await worker.deliveries.flush({ events: [event("evt_late", { loggedAtMs: T0 })], deliveries: [] });
      expect(await idsTo(reader, "evt_late")).toEqual(["evt_late"]);
    });

    test("are told once, however often they are stored", async () => {
      const reader = await watchEvents();
      await putEvents("evt_1");
      expect(await idsTo(reader, "evt_1")).toEqual(["evt_1"]);
      await worker.deliveries.flush({ events: [event("evt_1", { loggedAtMs: T0 - 1 })], deliveries: [] });
      await worker.deliveries.flush({ events: [event("evt_1", { content: "another" })], deliveries: [] });
      await putEvents("evt_end");
      expect(await idsTo(reader, "evt_end")).toEqual(["evt_end"]);
    });

    test("are told in as many reads as their bytes need", async () => {
      const reader = await watchEvents();
      const ids = Array.from({ length: 100 }, (_, at) => `evt_${at}`);
      const content = "x".repeat(250_000);
      for (let from = 0; from < ids.length; from += 20) {
        const events = ids.slice(from, from + 20).map((id) => event(id, { content }));
        await worker.deliveries.flush({ events, deliveries: [] });
      }
      const bytes: number[] = [];
      const told: string[] = [];
      await eventually(TOLD_WITHIN_MS, "all of them", async () => {
        const { items } = await reader.read(500);
        told.push(...items.map(({ id }) => id));
        bytes.push(items.reduce((sum, { value }) => sum + value.length, 0));
        return told.length === ids.length ? true : undefined;
      });
      expect(told).toEqual(ids);
      expect(Math.max(...bytes)).toBeLessThan(12 * 1024 * 1024);
    });

    test("are told in as many reads as the limit needs", async () => {
      const reader = await watchEvents();
      const ids = Array.from({ length: 7 }, (_, at) => `evt_${at}`);
      await putEvents(...ids);
      expect(await idsTo(reader, "evt_6", 3)).toEqual(ids);
    });

    test("are told to each reader, and to none of another tenant", async () => {
      const [one, two] = [await watchEvents(), await watchEvents()];
      const [environment, organisation] = [await watchEvents(ACME_TEST), await watchEvents(GLOBEX)];
      await putEvents("evt_1");
      await worker.deliveries.flush({ events: [event("evt_test", { tenant: ACME_TEST })], deliveries: [] });
      await worker.deliveries.flush({ events: [event("evt_globex", { tenant: GLOBEX })], deliveries: [] });
      expect(await idsTo(environment, "evt_test")).toEqual(["evt_test"]);
      expect(await idsTo(organisation, "evt_globex")).toEqual(["evt_globex"]);
      expect([await idsTo(one, "evt_1"), await idsTo(two, "evt_1")]).toEqual([["evt_1"], ["evt_1"]]);
    });

    test("are told on, where another reader was closed", async () => {
      const [one, two] = [await store.changes.watchEvents(ACME), await watchEvents()];
      await one.close();
      await putEvents("evt_1");
      expect(await idsTo(two, "evt_1")).toEqual(["evt_1"]);
    });
  });

  describe(`${name}: watched deliveries`, () => {
    test("are told with each change of their state, as they are stored", async () => {
      const reader = await watchDeliveries();
      await put(worker, waiting("d1"));
      expect(await readTo(reader, "d1")).toEqual([await stored(store, "d1")]);

      const [claimed] = (await claim(worker)).claimed;
      if (claimed === undefined) throw new Error("nothing was claimed");
      expect((await readTo(reader, "d1")).at(-1)).toMatchObject({ status: "attempting", fence: 1 });

      const retried = { status: "waiting", dueAtMs: T0 + 5_000, workClass: "retry" } as const;
      await flush(worker, outcome(claimed.delivery, retried, "a1"));
      expect((await readTo(reader, "d1")).at(-1)).toEqual(await stored(store, "d1"));

      await worker.deliveries.retry(ACME, "d1", T0 + 9);
      expect((await readTo(reader, "d1")).at(-1)).toMatchObject({ status: "waiting", attemptCount: 1 });
    });

    test("are told when they are moved, and when an attempt is added to one that is done", async () => {
      await put(worker, waiting("d1"), finished("d2", "delivered", "a1"));
      const reader = await watchDeliveries();
      const move = {
        tenant: ACME,
        subscriptionId: "sub_1",
        from: "waiting",
        to: "held",
        nowMs: T0,
        limit: 10,
      } as const;
      expect(await worker.deliveries.moveOpen(move)).toBe(1);
      expect((await readTo(reader, "d1")).at(-1)).toMatchObject({ status: "held" });

      await flush(worker, first(triedOnce("d2", "a2")));
      expect((await readTo(reader, "d2")).at(-1)).toMatchObject({ status: "delivered", attemptCount: 2 });
    });

    test("are not told to another tenant", async () => {
      const reader = await watchDeliveries(ACME_TEST);
      await put(worker, waiting("d1"), waiting("d2", T0, { tenant: ACME_TEST }));
      expect(await idsTo(reader, "d2")).toEqual(["d2"]);
    });
  });
}
