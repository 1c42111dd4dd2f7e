/** BinStore: request bins, and what arrived in them. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Bin, KeptRequest } from "../../src/inspector/bin-store.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { ACME, ACME_TEST, GLOBEX, type MakeStore, type StoreUnderTest, T0 } from "./rows.ts";

const HOUR_MS = 3_600_000;
const KEEP = { requests: 100, characters: 1_000_000 };

function bin(id: string, tenant: Tenant = ACME, given: Partial<Bin> = {}): Bin {
  return { tenant, id, createdAtMs: T0, expiresAtMs: T0 + HOUR_MS, statusCode: 200, description: "mine", ...given };
}

function request(id: string, receivedAtMs: number, sealed = `sealed ${id}`): KeptRequest {
  return { id, receivedAtMs, sealed };
}

export function binStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());
  const insert = (each: Bin, limit = 100) => store.bins.insertBin(each, limit, T0);

  describe(`${name}: request bins`, () => {
    test("are found by their id alone, by every connection, and again when the store is opened again", async () => {
      const other = await store.connect();
      expect(await insert(bin("bin_1", ACME_TEST, { statusCode: 503 }))).toBe("inserted");
      expect(await other.bins.findBin("bin_1")).toEqual(bin("bin_1", ACME_TEST, { statusCode: 503 }));
      expect(await other.bins.findBin("bin_2")).toBeUndefined();
      expect(await (await store.reopen()).bins.findBin("bin_1")).toBeDefined();
    });

    test("are listed by tenant, newest first, in pages, without those that have expired", async () => {
      for (const at of [1, 2, 3]) await insert(bin(`bin_${at}`, ACME, { createdAtMs: T0 + at }));
      await insert(bin("bin_old", ACME, { expiresAtMs: T0 + 5 }));
      await insert(bin("bin_theirs", GLOBEX));
      await insert(bin("bin_test", ACME_TEST));
      const first = await store.bins.listBins(ACME, T0 + 5, { size: 2 });
      expect(first.items.map(({ id }) => id)).toEqual(["bin_3", "bin_2"]);
      const rest = await store.bins.listBins(ACME, T0 + 5, { size: 2, ...(first.next && { after: first.next }) });
      expect(rest).toEqual({ items: [bin("bin_1", ACME, { createdAtMs: T0 + 1 })] });
      expect((await store.bins.listBins(GLOBEX, T0, { size: 9 })).items.map(({ id }) => id)).toEqual(["bin_theirs"]);
    });

    test("are no more than the limit in an organisation's environments, those that have expired not counted", async () => {
      expect(await insert(bin("bin_old", ACME, { expiresAtMs: T0 }), 2)).toBe("inserted");
      expect(await insert(bin("bin_1"), 2)).toBe("inserted");
      expect(await insert(bin("bin_2", ACME_TEST), 2)).toBe("inserted");
      expect(await insert(bin("bin_3"), 2)).toBe("limitReached");
      expect(await store.bins.findBin("bin_3")).toBeUndefined();
      expect(await insert(bin("bin_4", GLOBEX), 2)).toBe("inserted");
    });

    test("are removed with their requests, by their own tenant alone", async () => {
      await insert(bin("bin_1"));
      await store.bins.putRequest(bin("bin_1"), request("brq_1", T0), KEEP);
      expect(await store.bins.removeBin(ACME_TEST, "bin_1")).toBe(false);
      expect(await store.bins.removeBin(ACME, "bin_1")).toBe(true);
      expect(await store.bins.removeBin(ACME, "bin_1")).toBe(false);
      expect(await store.bins.listRequests(ACME, "bin_1", { size: 9 })).toEqual({ items: [] });
      // One that comes in that very moment leaves nothing.
      await store.bins.putRequest(bin("bin_1"), request("brq_2", T0), KEEP);
      expect(await store.bins.listRequests(ACME, "bin_1", { size: 9 })).toEqual({ items: [] });
    });
  });

  describe(`${name}: what arrives in a bin`, () => {
    beforeEach(async () => {
      await insert(bin("bin_1"));
      await insert(bin("bin_2"));
      for (const at of [3, 1, 2]) await store.bins.putRequest(bin("bin_1"), request(`brq_${at}`, T0 + at), KEEP);
      await store.bins.putRequest(bin("bin_2"), request("brq_9", T0 + 9), KEEP);
    });

    test("is listed newest first, in pages, by its tenant and bin", async () => {
      const first = await store.bins.listRequests(ACME, "bin_1", { size: 2 });
      expect(first.items).toEqual([request("brq_3", T0 + 3), request("brq_2", T0 + 2)]);
      const rest = await store.bins.listRequests(ACME, "bin_1", { size: 2, ...(first.next && { after: first.next }) });
      expect(rest).toEqual({ items: [request("brq_1", T0 + 1)] });
      expect(await store.bins.listRequests(GLOBEX, "bin_1", { size: 9 })).toEqual({ items: [] });
    });

    test("is known by id from a time on, and read by id, the oldest first", async () => {
      expect(await store.bins.arrivals(ACME, "bin_1", T0 + 2)).toEqual(["brq_2", "brq_3"]);
      expect(await store.bins.arrivals(GLOBEX, "bin_1", 0)).toEqual([]);
      const read = (tenant: Tenant) => store.bins.readRequests(tenant, "bin_1", ["brq_3", "brq_1", "brq_9", "brq_0"]);
      expect(await read(ACME)).toEqual([request("brq_1", T0 + 1), request("brq_3", T0 + 3)]);
      expect(await read(ACME_TEST)).toEqual([]);
    });

    test("goes, the oldest first, beyond so many and beyond so much", async () => {
      const ids = async () => (await store.bins.listRequests(ACME, "bin_1", { size: 99 })).items.map(({ id }) => id);
      await store.bins.putRequest(bin("bin_1"), request("brq_4", T0 + 4), { ...KEEP, requests: 3 });
      expect(await ids()).toEqual(["brq_4", "brq_3", "brq_2"]);
      await store.bins.putRequest(bin("bin_1"), request("brq_5", T0 + 5, "x".repeat(90)), { ...KEEP, characters: 110 });
      expect(await ids()).toEqual(["brq_5", "brq_4"]);
      await store.bins.putRequest(bin("bin_1"), request("brq_6", T0 + 6, "x".repeat(200)), {
        ...KEEP,
        characters: 110,
      });
      expect(await ids()).toEqual(["brq_6"]);
      expect((await store.bins.listRequests(ACME, "bin_2", { size: 9 })).items).toHaveLength(1);
    });

    test("expires with its bin", async () => {
      await insert(bin("bin_3", ACME, { expiresAtMs: T0 + 2 * HOUR_MS }));
      expect((await store.retention.tenants()).map(({ tenant }) => tenant)).toContainEqual(ACME);
      for (const kind of ["binRequests", "bins"] as const) {
        const step = { tenant: ACME, kind, limit: 3, nowMs: T0 + HOUR_MS };
        expect((await store.retention.purge({ ...step, beforeMs: T0 + HOUR_MS - 1 })).purged).toBe(0);
        const first = await store.retention.purge({ ...step, beforeMs: T0 + HOUR_MS + 1 });
        const after = first.at === undefined ? {} : { after: first.at };
        const second = await store.retention.purge({ ...step, ...after, beforeMs: T0 + HOUR_MS + 1 });
        expect(first.purged + second.purged).toBe(kind === "bins" ? 2 : 4);
      }
      expect(await store.bins.findBin("bin_1")).toBeUndefined();
      expect(await store.bins.findBin("bin_3")).toBeDefined();
      expect(await store.bins.arrivals(ACME, "bin_1", 0)).toEqual([]);
    });
  });
}
