/** SubscriptionStore and SubscriptionFeed: uniqueness, limits, versions, and reading one's own writes. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SubscriptionFilter } from "../../src/subscriptions/subscription-store.ts";
import { ACME, ACME_TEST, allPages, GLOBEX, type MakeStore, type StoreUnderTest, subscription, T0 } from "./rows.ts";

const LIMIT = 10;
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
const idsOf = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id);

export function subscriptionStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  const versionOf = async (tenant = ACME) => (await store.feed.versions([tenant]))[0];

  describe(`${name}: subscriptions`, () => {
    test("a subscription comes back as it was stored, after a restart too", async () => {
      const full = subscription("sub_1", {
        entityId: "shop",
        state: "disabled",
        disabledReason: "requested",
        disabledSpans: [{ fromMs: T0, toMs: T0 + 1 }, { fromMs: T0 + 2 }],
        description: "Läden „Nord“",
        labels: { team: "passes" },
        headers: { "x-key": "v" },
        format: "PASSKIT",
      });
      expect(await store.subscriptions.insert(full, LIMIT)).toBe("inserted");
      expect(await store.subscriptions.get(ACME, "sub_1")).toEqual(full);
      const again = await store.reopen();
      expect(await again.subscriptions.get(ACME, "sub_1")).toEqual(full);
      expect(await again.feed.load(ACME)).toEqual({ version: 1, subscriptions: [full] });
    });

    // "Within the same scope", and "separate webhook subscriptions for each environment" (seed 000).
    test("a URL is there once in a scope; other scopes and tenants have their own", async () => {
      const url = "https://a.example/";
      expect(await store.subscriptions.insert(subscription("sub_1", { url }), LIMIT)).toBe("inserted");
      expect(await store.subscriptions.insert(subscription("sub_2", { url }), LIMIT)).toBe("duplicateUrl");
      const elsewhere = [
        subscription("sub_3", { url, entityId: "shop" }),
        subscription("sub_4", { url, tenant: ACME_TEST }),
        subscription("sub_5", { url, tenant: GLOBEX }),
      ];
      for (const other of elsewhere) expect(await store.subscriptions.insert(other, LIMIT)).toBe("inserted");
    });

    test("a walk comes by every subscription of every tenant, once, also while others are made and deleted", async () => {
      const rows = [ACME, ACME_TEST, GLOBEX].flatMap((tenant) =>
        range(5).map((at) => subscription(`sub_${tenant.organisation}_${tenant.environment}_${at}`, { tenant })),
      );
      for (const row of rows) await store.subscriptions.insert(row, LIMIT);
      const found: string[] = [];
      let after: (typeof rows)[number] | undefined;
      for (;;) {
        const step = await store.subscriptions.every(after, 4);
        expect(step.length).toBeLessThanOrEqual(4);
        found.push(...idsOf(step));
        after = step.at(-1);
        if (after === undefined) break;
        // Where it stood there is nothing any more: it goes on from there all the same.
        await store.subscriptions.remove(after.tenant, after.id);
      }
      expect(found.toSorted()).toEqual(idsOf(rows).toSorted());
      expect(await store.subscriptions.every(undefined, 1)).toHaveLength(1);
    });

    test("of fifty that are made at once with one URL, one is made", async () => {
      const other = await store.connect();
      const results = await Promise.all(
        range(50).map((index) =>
          (index % 2 === 0 ? store : other).subscriptions.insert(
            subscription(`sub_${index}`, { url: "https://a.example/" }),
            100,
          ),
        ),
      );
      expect(results.filter((result) => result === "inserted")).toHaveLength(1);
      expect(results.filter((result) => result === "duplicateUrl")).toHaveLength(49);
      expect(await versionOf()).toBe(1);
    });

    test("of fifty that are made at once, as many are made as the scope may have", async () => {
      const other = await store.connect();
      const results = await Promise.all(
        range(50).map((index) =>
          (index % 2 === 0 ? store : other).subscriptions.insert(subscription(`sub_${index}`), LIMIT),
        ),
      );
      expect(results.filter((result) => result === "inserted")).toHaveLength(LIMIT);
      expect(results.filter((result) => result === "limitReached")).toHaveLength(50 - LIMIT);
      expect((await store.feed.load(ACME)).subscriptions).toHaveLength(LIMIT);
    });

    test("the limit counts the scope alone, and a removed one makes room", async () => {
      await store.subscriptions.insert(subscription("sub_1", { entityId: "shop" }), 1);
      expect(await store.subscriptions.insert(subscription("sub_2", { entityId: "shop" }), 1)).toBe("limitReached");
      expect(await store.subscriptions.insert(subscription("sub_3"), 1)).toBe("inserted");
      expect(await store.subscriptions.insert(subscription("sub_4", { entityId: "bar" }), 1)).toBe("inserted");
      await store.subscriptions.remove(ACME, "sub_1");
      expect(await store.subscriptions.insert(subscription("sub_2", { entityId: "shop" }), 1)).toBe("inserted");
    });

    test("a change is written where the version is the one that was read", async () => {
      const one = subscription("sub_1");
      await store.subscriptions.insert(one, LIMIT);
      const two = {
        ...one,
        version: 2,
        description: "second",
        url: "https://b.example/",
        urlKey: "https://b.example/",
      };
      expect(await store.subscriptions.replace(two)).toBe("replaced");
      expect(await store.subscriptions.get(ACME, "sub_1")).toEqual(two);
      expect(await store.subscriptions.replace({ ...two, description: "late" })).toBe("changed");
      expect(await store.subscriptions.replace({ ...two, version: 4 })).toBe("changed");
      expect(await store.subscriptions.get(ACME, "sub_1")).toEqual(two);
      expect(await store.subscriptions.replace(subscription("sub_9", { version: 2 }))).toBe("missing");
      expect(await store.subscriptions.replace({ ...two, tenant: GLOBEX, version: 3 })).toBe("missing");
    });

    test("of parallel changes of one version, one is written", async () => {
      const one = subscription("sub_1");
      await store.subscriptions.insert(one, LIMIT);
      const other = await store.connect();
      const results = await Promise.all(
        range(20).map((index) =>
          (index % 2 === 0 ? store : other).subscriptions.replace({ ...one, version: 2, description: `${index}` }),
        ),
      );
      expect(results.filter((result) => result === "replaced")).toHaveLength(1);
      expect(results.filter((result) => result === "changed")).toHaveLength(19);
    });

    test("a change may not take another's URL, and may keep its own", async () => {
      const [one, two] = [subscription("sub_1"), subscription("sub_2")];
      for (const each of [one, two]) await store.subscriptions.insert(each, LIMIT);
      const stealing = { ...two, version: 2, url: one.url, urlKey: one.urlKey };
      expect(await store.subscriptions.replace(stealing)).toBe("duplicateUrl");
      expect(await store.subscriptions.get(ACME, "sub_2")).toEqual(two);
      expect(await store.subscriptions.replace({ ...two, version: 2 })).toBe("replaced");
    });

    test("a URL that was given up is free again", async () => {
      const one = subscription("sub_1");
      await store.subscriptions.insert(one, LIMIT);
      const moved = { ...one, version: 2, url: "https://b.example/", urlKey: "https://b.example/" };
      await store.subscriptions.replace(moved);
      expect(await store.subscriptions.insert(subscription("sub_2", { url: one.url }), LIMIT)).toBe("inserted");
      expect(await store.subscriptions.insert(subscription("sub_3", { url: moved.url }), LIMIT)).toBe("duplicateUrl");
      await store.subscriptions.remove(ACME, "sub_1");
      expect(await store.subscriptions.insert(subscription("sub_3", { url: moved.url }), LIMIT)).toBe("inserted");
    });

    test("a subscription is removed once, and only by its tenant", async () => {
      await store.subscriptions.insert(subscription("sub_1"), LIMIT);
      expect(await store.subscriptions.remove(GLOBEX, "sub_1")).toBe(false);
      expect(await store.subscriptions.remove(ACME_TEST, "sub_1")).toBe(false);
      expect(await store.subscriptions.remove(ACME, "sub_1")).toBe(true);
      expect(await store.subscriptions.remove(ACME, "sub_1")).toBe(false);
      expect(await store.subscriptions.get(ACME, "sub_1")).toBeUndefined();
    });

    test("lists are filtered, newest first, page by page", async () => {
      const all = [
        subscription("sub_1", { createdAtMs: T0 + 1 }),
        subscription("sub_2", { createdAtMs: T0 + 2, entityId: "shop" }),
        subscription("sub_3", { createdAtMs: T0 + 2, state: "disabled" }),
        subscription("sub_4", { createdAtMs: T0 + 3, format: "PASSKIT" }),
        subscription("sub_5", { createdAtMs: T0 + 4, format: "PASSKIT", entityId: "shop", state: "disabled" }),
      ];
      for (const each of all) await store.subscriptions.insert(each, LIMIT);
      const filters: readonly (readonly [SubscriptionFilter, readonly string[]])[] = [
        [{}, ["sub_5", "sub_4", "sub_3", "sub_2", "sub_1"]],
        [{ entityId: "shop" }, ["sub_5", "sub_2"]],
        [{ entityId: "" }, ["sub_4", "sub_3", "sub_1"]],
        [{ state: "disabled" }, ["sub_5", "sub_3"]],
        [{ format: "PASSKIT" }, ["sub_5", "sub_4"]],
        [{ format: "PASSKIT", state: "disabled", entityId: "shop" }, ["sub_5"]],
        [{ format: "ETHPASS" }, []],
      ];
      for (const [filter, expected] of filters) {
        for (const size of [1, 2, 100]) {
          const pages = await allPages((page) => store.subscriptions.list(ACME, filter, page), size);
          expect(idsOf(pages.flat()), JSON.stringify(filter)).toEqual(expected);
        }
        expect((await store.subscriptions.list(GLOBEX, filter, { size: 10 })).items).toEqual([]);
      }
      const { items } = await store.subscriptions.list(ACME, {}, { size: 100 });
      expect(items).toEqual(all.toReversed());
    });

    test("the same id in two tenants is two subscriptions", async () => {
      const [ours, theirs] = [subscription("sub_1"), subscription("sub_1", { tenant: GLOBEX, description: "theirs" })];
      for (const each of [ours, theirs]) expect(await store.subscriptions.insert(each, LIMIT)).toBe("inserted");
      expect(await store.subscriptions.get(ACME, "sub_1")).toEqual(ours);
      expect(await store.subscriptions.get(GLOBEX, "sub_1")).toEqual(theirs);
      expect(await store.subscriptions.get(ACME_TEST, "sub_1")).toBeUndefined();
      await store.subscriptions.remove(ACME, "sub_1");
      expect(await store.feed.load(GLOBEX)).toEqual({ version: 1, subscriptions: [theirs] });
    });
  });

  describe(`${name}: the feed`, () => {
    test("the version counts every change of the tenant's subscriptions, and nothing else", async () => {
      expect(await versionOf()).toBe(0);
      const one = subscription("sub_1");
      await store.subscriptions.insert(one, LIMIT);
      expect(await versionOf()).toBe(1);
      await store.subscriptions.insert(subscription("sub_2", { url: one.url }), LIMIT);
      await store.subscriptions.insert(subscription("sub_2"), 1);
      await store.subscriptions.replace({ ...one, version: 7 });
      await store.subscriptions.remove(ACME, "sub_9");
      expect(await versionOf()).toBe(1);
      await store.subscriptions.replace({ ...one, version: 2 });
      expect(await versionOf()).toBe(2);
      await store.subscriptions.remove(ACME, "sub_1");
      expect(await versionOf()).toBe(3);
    });

    test("versions come in the order asked, 0 where there never was one", async () => {
      await store.subscriptions.insert(subscription("sub_1", { tenant: GLOBEX }), LIMIT);
      await store.subscriptions.insert(subscription("sub_1"), LIMIT);
      await store.subscriptions.insert(subscription("sub_2"), LIMIT);
      expect(await store.feed.versions([ACME_TEST, ACME, GLOBEX, ACME])).toEqual([0, 2, 1, 2]);
      expect(await store.feed.versions([])).toEqual([]);
      expect(await store.feed.load(ACME_TEST)).toEqual({ version: 0, subscriptions: [] });
    });

    test("a load has all of the tenant's subscriptions, in every scope and state, and nobody else's", async () => {
      const ours = [
        subscription("sub_1"),
        subscription("sub_2", { entityId: "shop" }),
        subscription("sub_3", { state: "disabled" }),
      ];
      for (const each of [...ours, subscription("sub_4", { tenant: GLOBEX })]) {
        await store.subscriptions.insert(each, LIMIT);
      }
      const { version, subscriptions } = await store.feed.load(ACME);
      expect(version).toBe(3);
      expect(subscriptions.toSorted((left, right) => left.id.localeCompare(right.id))).toEqual(ours);
    });

    test("what was answered is seen by every reader that asks afterwards", async () => {
      const other = await store.connect();
      for (const index of range(30)) {
        const [writer, reader] = index % 2 === 0 ? [store, other] : [other, store];
        await writer.subscriptions.insert(subscription(`sub_${index}`), 100);
        expect(await reader.feed.versions([ACME])).toEqual([index + 1]);
        expect((await reader.feed.load(ACME)).subscriptions).toHaveLength(index + 1);
      }
    });

    test("a load under parallel changes has the subscriptions of its version", async () => {
      const other = await store.connect();
      const writes = range(40).map((index) => other.subscriptions.insert(subscription(`sub_${index}`), 100));
      const loads = await Promise.all(range(40).map(() => store.feed.load(ACME)));
      await Promise.all(writes);
      for (const { version, subscriptions } of loads) expect(subscriptions).toHaveLength(version);
    });
  });
}
