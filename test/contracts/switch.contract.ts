/** SwitchStore, and claims that leave out what is stopped. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ACME,
  ACME_TEST,
  claim,
  claimedIds,
  GLOBEX,
  type MakeStore,
  put,
  type StoreUnderTest,
  T0,
  waiting,
} from "./rows.ts";

export function switchContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: what is stopped`, () => {
    const acme = { organisation: "acme", reason: "they asked", sinceMs: T0, by: "key_1" };
    const service = { reason: "", sinceMs: T0 + 1, by: "key_2" };

    test("is nothing at first, and then what was stopped, the service first, for every connection", async () => {
      const other = await store.connect();
      expect(await other.switches.stops()).toEqual([]);
      await store.switches.stop({ ...acme, organisation: "zeta" });
      await store.switches.stop(acme);
      await store.switches.stop(service);
      expect(await other.switches.stops()).toEqual([service, acme, { ...acme, organisation: "zeta" }]);
      expect(await (await store.reopen()).switches.stops()).toHaveLength(3);
    });

    test("stopped again, it keeps its time and gets the reason and the key", async () => {
      await store.switches.stop(acme);
      await store.switches.stop({ ...acme, reason: "other", sinceMs: T0 + 9, by: "key_9" });
      expect(await store.switches.stops()).toEqual([{ ...acme, reason: "other", by: "key_9" }]);
    });

    test("started, it is gone, and nothing else; a start of what goes on does nothing", async () => {
      await store.switches.stop(acme);
      await store.switches.stop(service);
      await store.switches.start(undefined);
      await store.switches.start("globex");
      expect(await store.switches.stops()).toEqual([acme]);
      await store.switches.start("acme");
      await store.switches.start("acme");
      expect(await store.switches.stops()).toEqual([]);
    });
  });

  describe(`${name}: claims while an organisation is stopped`, () => {
    test("leave it out in all its environments, and give the others theirs", async () => {
      await put(
        store,
        waiting("d1", T0, { subscriptionId: "sub_a" }),
        waiting("d2", T0, { subscriptionId: "sub_b" }),
        waiting("d3", T0, { tenant: ACME_TEST, subscriptionId: "sub_c" }),
        waiting("d4", T0, { tenant: GLOBEX, subscriptionId: "sub_d" }),
      );
      expect(claimedIds(await claim(store, { stopped: ["acme", "other"] }))).toEqual(["d4"]);
      expect(claimedIds(await claim(store, { stopped: ["acme"] }))).toEqual([]);
      expect([...claimedIds(await claim(store))].sort()).toEqual(["d1", "d2", "d3"]);
    });

    test("find the others' work behind any number of its own, and say when the others' is due", async () => {
      const many = Array.from({ length: 600 }, (_, at) =>
        waiting(`d_${at}`, T0 - 5_000 + at, { tenant: ACME, subscriptionId: `sub_${at % 3}` }),
      );
      await put(store, ...many, waiting("late", T0, { tenant: GLOBEX, subscriptionId: "sub_x" }));
      await put(store, waiting("later", T0 + 700, { tenant: GLOBEX, subscriptionId: "sub_x" }));
      const { claimed, nextDueAtMs } = await claim(store, { stopped: ["acme"] });
      expect(claimed.map(({ delivery }) => delivery.id)).toEqual(["late"]);
      expect(nextDueAtMs).toBe(T0 + 700);
    });

    test("its work is not what is due next", async () => {
      await put(store, waiting("d1", T0 - 1));
      expect(await claim(store, { stopped: ["acme"] })).toEqual({ claimed: [] });
    });
  });
}
