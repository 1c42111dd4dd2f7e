/** What any store of endpoints does: how they are doing, their breakers, and the rates that workers share. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RateRequest } from "../../src/delivery/rate.ts";
import type { EndpointKey, EndpointRecord } from "../../src/domain/endpoint.ts";
import { ACME, ACME_TEST, GLOBEX, type MakeStore, type StoreUnderTest, subscription, T0 } from "./rows.ts";

const key = (subscriptionId: string, tenant = ACME): EndpointKey => ({ tenant, subscriptionId });

function record(subscriptionId: string, over: Partial<EndpointRecord> = {}): EndpointRecord {
  return {
    ...key(subscriptionId),
    version: 1,
    breaker: "closed",
    openings: 0,
    consecutiveFailures: 0,
    lastSuccessAtMs: T0,
    ...over,
  };
}

const FAILING: Partial<EndpointRecord> = {
  version: 2,
  breaker: "open",
  probeAtMs: T0 + 5_000,
  openedAtMs: T0,
  openings: 1,
  failingSinceMs: T0 - 1_000,
  failingForMs: 1_000,
  consecutiveFailures: 10,
  lastFailureAtMs: T0,
  lastError: "http.status",
  alarmedSinceMs: T0 - 1_000,
};

function rateOf(subscriptionId: string, over: Partial<RateRequest> = {}): RateRequest {
  return { ...key(subscriptionId), perSecond: 10, burst: 1, count: 100, nowMs: T0, ...over };
}

export function endpointStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  const subscribe = (id: string, tenant = ACME) =>
    store.subscriptions.insert(subscription(id, { tenant, urlKey: `https://a.example/${id}` }), 100);
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: endpoints`, () => {
    test("what was written is read back, in the order asked; of others there is nothing", async () => {
      for (const id of ["sub_1", "sub_2"]) await subscribe(id);
      await subscribe("sub_1", ACME_TEST);
      const records = [
        record("sub_1"),
        record("sub_2", { lastSuccessAtMs: T0 + 1 }),
        record("sub_1", key("sub_1", ACME_TEST)),
      ];
      expect(await store.endpoints.write(records)).toEqual([true, true, true]);
      expect(await store.endpoints.write([record("sub_1", FAILING)])).toEqual([true]);
      const keys = [key("sub_2"), key("sub_3"), key("sub_1"), key("sub_1", ACME_TEST), key("sub_1", GLOBEX)];
      const found = [records[1], undefined, record("sub_1", FAILING), records[2], undefined];
      expect(await store.endpoints.read(keys)).toEqual(found);
      const again = await store.reopen();
      expect(await again.endpoints.read(keys)).toEqual(found);
    });

    test("a write goes over the version before it alone, and makes a row where its subscription is there", async () => {
      await subscribe("sub_1");
      expect(await store.endpoints.write([record("sub_gone"), record("sub_1", { version: 2 })])).toEqual([
        false,
        false,
      ]);
      expect(await store.endpoints.write([record("sub_1"), record("sub_1", key("sub_1", GLOBEX))])).toEqual([
        true,
        false,
      ]);
      expect(await store.endpoints.write([record("sub_1", FAILING)])).toEqual([true]);
      for (const version of [1, 2, 4]) {
        expect(await store.endpoints.write([record("sub_1", { version })])).toEqual([false]);
      }
      expect(await store.endpoints.read([key("sub_1")])).toEqual([record("sub_1", FAILING)]);
    });

    test("of many that take the probe of one breaker, one gets it", async () => {
      await subscribe("sub_1");
      await store.endpoints.write([record("sub_1")]);
      await store.endpoints.write([record("sub_1", FAILING)]);
      const connections = [store, await store.connect(), await store.connect()];
      const writes = Array.from({ length: 12 }, (_, at) => {
        const probe = record("sub_1", { ...FAILING, version: 3, breaker: "halfOpen", probeAtMs: T0 + 60_000 + at });
        return connections[at % 3]?.endpoints.write([probe]);
      });
      const won = (await Promise.all(writes)).flatMap((written, at) => (written?.[0] === true ? [at] : []));
      expect(won).toHaveLength(1);
      const [stored] = await store.endpoints.read([key("sub_1")]);
      expect(stored).toMatchObject({ breaker: "halfOpen", version: 3, probeAtMs: T0 + 60_000 + (won[0] ?? -1) });
    });

    test("open are those whose breaker isn't closed, of every tenant, and so many at most", async () => {
      for (const id of ["sub_1", "sub_2", "sub_3"]) await subscribe(id);
      await subscribe("sub_4", GLOBEX);
      const opened = { ...FAILING, version: 1 };
      const open = [
        record("sub_2", opened),
        record("sub_4", { ...opened, ...key("sub_4", GLOBEX), breaker: "halfOpen" }),
      ];
      await store.endpoints.write([record("sub_1"), record("sub_3"), ...open]);
      const found = await store.endpoints.open(10);
      expect(found.toSorted((left, right) => (left.subscriptionId < right.subscriptionId ? -1 : 1))).toEqual(open);
      expect(await store.endpoints.open(1)).toHaveLength(1);
      await store.endpoints.write([record("sub_2", { version: 2 })]);
      expect(await store.endpoints.open(10)).toEqual([open[1]]);
    });

    test("of more open ones than are asked for, those that were opened last", async () => {
      const opened = Array.from({ length: 6 }, (_, at) =>
        record(`sub_${at}`, { ...FAILING, version: 1, openedAtMs: T0 + ((at * 5) % 6) }),
      );
      for (const { subscriptionId } of opened) await subscribe(subscriptionId);
      await store.endpoints.write(opened);
      const ids = async (limit: number) => (await store.endpoints.open(limit)).map((one) => one.subscriptionId);
      expect(await ids(3)).toEqual(["sub_1", "sub_2", "sub_3"]);
      await store.endpoints.write([record("sub_0", { ...FAILING, version: 2, openedAtMs: T0 + 10 })]);
      expect(await ids(2)).toEqual(["sub_0", "sub_1"]);
    });

    test("what is removed starts anew, as what was of a deleted subscription is gone", async () => {
      for (const id of ["sub_1", "sub_2"]) await subscribe(id);
      const opened = { ...FAILING, version: 1 };
      await store.endpoints.write([record("sub_1", opened), record("sub_2", opened)]);
      await store.endpoints.remove([key("sub_1"), key("sub_3"), key("sub_2", GLOBEX)]);
      expect(await store.endpoints.read([key("sub_1"), key("sub_2")])).toEqual([undefined, record("sub_2", opened)]);
      expect(await store.endpoints.write([record("sub_1", { version: 2 }), record("sub_1")].slice(0, 1))).toEqual([
        false,
      ]);
      expect(await store.endpoints.write([record("sub_1")])).toEqual([true]);
      await store.subscriptions.remove(ACME, "sub_2");
      expect(await store.endpoints.open(10)).toEqual([]);
      expect(await store.endpoints.write([record("sub_2")])).toEqual([false]);
    });
  });

  describe(`${name}: rates`, () => {
    test("a reservation begins where the last one ended, and others have no part in it", async () => {
      const grants = await store.endpoints.reserve([rateOf("sub_1", { count: 2 }), rateOf("sub_2", { count: 1 })]);
      expect(grants).toEqual([
        { granted: 2, firstAtMs: T0, intervalMs: 100, nextAtMs: T0 + 200 },
        { granted: 1, firstAtMs: T0, intervalMs: 100, nextAtMs: T0 + 100 },
      ]);
      const [next] = await store.endpoints.reserve([rateOf("sub_1")]);
      expect(next).toEqual({ granted: 1, firstAtMs: T0 + 200, intervalMs: 100, nextAtMs: T0 + 300 });
      const [none, other] = await store.endpoints.reserve([rateOf("sub_1"), rateOf("sub_1", key("sub_1", GLOBEX))]);
      expect(none).toMatchObject({ granted: 0, nextAtMs: T0 + 300 });
      expect(other).toMatchObject({ granted: 3, firstAtMs: T0 });
      const again = await store.reopen();
      expect(await again.endpoints.reserve([rateOf("sub_1")])).toEqual([none]);
    });

    test("however many workers ask, together they get no more than the rate", async () => {
      const connections = [store, await store.connect(), await store.connect()];
      const turns: number[] = [];
      for (let nowMs = T0; nowMs < T0 + 2_000; nowMs += 200) {
        const asked = connections.map(({ endpoints }) =>
          endpoints.reserve([rateOf("sub_1", { perSecond: 50, burst: 5, count: 4, nowMs })]),
        );
        for (const [grant] of await Promise.all(asked)) {
          if (grant === undefined) throw new Error("no answer");
          for (let at = 0; at < grant.granted; at++)
            turns.push(Math.max(nowMs, grant.firstAtMs + at * grant.intervalMs));
        }
      }
      // No window of a second has more than the burst and what the rate brings in it.
      for (const from of turns) {
        expect(turns.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(55);
      }
      expect(turns.length).toBeGreaterThan(90);
    });
  });
}
