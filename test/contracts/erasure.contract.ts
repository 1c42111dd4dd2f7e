/** ErasureStore: what goes of a pass, a deleted subscription and an organisation, what stays, and the list of erasures. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ErasedCounts, ErasureRequest, ErasureTarget } from "../../src/delivery/erasure.ts";
import type { DeadLetter } from "../../src/intake/dead-letters.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import {
  ACME,
  ACME_TEST,
  event,
  finished,
  GLOBEX,
  leased,
  type MakeStore,
  put,
  type StoreUnderTest,
  subscription,
  T0,
  waiting,
} from "./rows.ts";

const PASS = "pass-of-a-person";
const LATER = T0 + 1_000_000;

export function erasureContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  /** All steps; what went, and in how many steps. */
  async function eraseAll(
    target: ErasureTarget,
    asked: Partial<Omit<ErasureRequest, "target">> = {},
  ): Promise<ErasedCounts & { steps: number }> {
    const all = { events: 0, deliveries: 0, deadLetters: 0, others: 0, steps: 0 };
    let request = { beforeMs: T0, madeAtMs: T0, limit: 500, ...asked };
    for (;;) {
      const { more, lettersAt, ...counts } = await store.erasures.erase({ target, ...request });
      if (lettersAt !== undefined) request = { ...request, lettersAfter: lettersAt };
      for (const kind of ["events", "deliveries", "deadLetters", "others"] as const) {
        all[kind] += counts[kind];
        expect(counts[kind]).toBeLessThanOrEqual(request.limit);
      }
      all.steps += 1;
      if (!more) return all;
    }
  }

  const deliveryIds = async (tenant: Tenant = ACME) =>
    (await store.deliveries.listDeliveries(tenant, {}, { size: 500 })).items.map(({ id }) => id).toSorted();
  const eventIds = async (tenant: Tenant = ACME) =>
    (await store.deliveries.listEvents(tenant, {}, { size: 500 })).items.map(({ id }) => id).toSorted();
  const letterOffsets = async (tenant: Tenant = ACME) =>
    (await store.deadLetters.list(tenant, {}, { size: 500 })).items.map(({ record }) => record.offset).toSorted();

  const letter = (
    offset: number,
    value: string,
    over: Partial<DeadLetter["record"]> = {},
    tenant = ACME,
  ): DeadLetter => ({
    tenant,
    reason: "event.invalid",
    message: "wrong",
    record: {
      topic: "t",
      partition: 0,
      offset,
      appendedAtMs: T0,
      key: null,
      value: Buffer.from(value),
      headers: {},
      ...over,
    },
  });

  describe(`${name}: a pass that is erased`, () => {
    test("takes its events and deliveries with it, whatever their state, and nothing of anybody else's", async () => {
      const mine = { passId: PASS };
      await put(
        store,
        waiting("dlv_1", T0, { ...mine, eventId: "evt_1" }),
        leased("dlv_2", T0 + 60_000, { ...mine, eventId: "evt_1", subscriptionId: "sub_2" }),
        finished("dlv_3", "delivered", "att_3", { ...mine, eventId: "evt_2" }),
        finished("dlv_4", "failed", "att_4", { ...mine, eventId: "evt_2", subscriptionId: "sub_2" }),
        waiting("dlv_5", T0, { passId: "pass-2", eventId: "evt_3" }),
        waiting("dlv_1", T0, { ...mine, tenant: ACME_TEST, eventId: "evt_1" }),
        waiting("dlv_1", T0, { ...mine, tenant: GLOBEX, eventId: "evt_1" }),
      );
      const gone = await eraseAll({ kind: "pass", tenant: ACME, passId: PASS });
      expect(gone).toMatchObject({ events: 2, deliveries: 4, deadLetters: 0, others: 0 });
      expect([await deliveryIds(), await eventIds()]).toEqual([["dlv_5"], ["evt_3"]]);
      for (const tenant of [ACME_TEST, GLOBEX]) {
        expect([await deliveryIds(tenant), await eventIds(tenant)]).toEqual([["dlv_1"], ["evt_1"]]);
      }
      expect(await eraseAll({ kind: "pass", tenant: ACME, passId: PASS })).toMatchObject({ events: 0, deliveries: 0 });
    });

    test("keeps what came later; of what came before it goes however late it was planned", async () => {
      await put(store, waiting("dlv_late", LATER, { passId: PASS, eventId: "evt_old", createdAtMs: LATER }));
      const young = event("evt_young", { passId: PASS, loggedAtMs: LATER });
      const next = waiting("dlv_young", LATER, { passId: PASS, eventId: "evt_young", createdAtMs: LATER });
      await store.deliveries.flush({ events: [young], deliveries: [{ kind: "first", delivery: next }] });
      const orphan = waiting("dlv_orphan", LATER, { passId: PASS, eventId: "evt_gone", createdAtMs: LATER });
      await store.deliveries.flush({ events: [], deliveries: [{ kind: "first", delivery: orphan }] });
      expect(await eraseAll({ kind: "pass", tenant: ACME, passId: PASS })).toMatchObject({ events: 1, deliveries: 2 });
      expect([await deliveryIds(), await eventIds()]).toEqual([["dlv_young"], ["evt_young"]]);
    });

    test("goes in steps, each of which takes no more than it may", async () => {
      const rows = Array.from({ length: 23 }, (_, at) =>
        waiting(`dlv_${at}`, T0, { passId: PASS, eventId: `evt_${at % 5}`, subscriptionId: `sub_${at}` }),
      );
      await put(store, ...rows);
      const gone = await eraseAll({ kind: "pass", tenant: ACME, passId: PASS }, { limit: 4 });
      expect(gone).toMatchObject({ events: 5, deliveries: 23 });
      expect(gone.steps).toBeGreaterThanOrEqual(7);
      expect([await deliveryIds(), await eventIds()]).toEqual([[], []]);
    });

    test("takes the dead letters that hold it: by their key, or anywhere in them", async () => {
      await store.deadLetters.put([
        letter(1, "unreadable", { key: Buffer.from(PASS) }),
        letter(2, `{"pass":{"id":"${PASS}"`),
        letter(3, "\u0000\u0001", { headers: { subject: PASS } }),
        letter(4, "of another"),
        letter(5, `{"pass":{"id":"${PASS}"`, { appendedAtMs: LATER }),
        letter(6, PASS, {}, GLOBEX),
      ]);
      expect(await eraseAll({ kind: "pass", tenant: ACME, passId: PASS })).toMatchObject({ deadLetters: 3 });
      expect(await letterOffsets()).toEqual([4, 5]);
      expect(await letterOffsets(GLOBEX)).toEqual([6]);
    });

    test("takes its dead letters wherever they stand among others, in steps, and what goes behind them too", async () => {
      const letters = Array.from({ length: 30 }, (_, at) =>
        letter(at, at % 10 === 9 ? `of ${PASS}` : "of another", { appendedAtMs: T0 - (at % 4) }),
      );
      await store.deadLetters.put([...letters, letter(40, PASS, {}, GLOBEX)]);
      const { items } = await store.deadLetters.list(ACME, {}, { size: 50 });
      const letterIds = items.filter(({ record }) => record.offset < 8).map(({ id }) => id);
      const asked = { limit: 7, letterIds };
      expect(await eraseAll({ kind: "pass", tenant: ACME, passId: PASS }, asked)).toMatchObject({ deadLetters: 11 });
      expect(await letterOffsets()).toHaveLength(19);
      expect(await letterOffsets(GLOBEX)).toEqual([40]);
    });

    test("takes all that its tenant's request bins received until it was made with it, and leaves the bins", async () => {
      const given = { createdAtMs: T0, expiresAtMs: LATER + 1, statusCode: 200, description: "" };
      const bins = [
        { tenant: ACME, id: "bin_1", ...given },
        { tenant: ACME, id: "bin_2", ...given },
        { tenant: ACME_TEST, id: "bin_3", ...given },
        { tenant: GLOBEX, id: "bin_4", ...given },
      ];
      const keep = { requests: 100, characters: 1_000_000 };
      for (const bin of bins) {
        await store.bins.insertBin(bin, 10, T0);
        for (const at of [0, 10, 11]) {
          const kept = { id: `brq_${bin.id}_${at}`, receivedAtMs: T0 + at, sealed: "sealed" };
          await store.bins.putRequest(bin, kept, keep);
        }
      }
      const target = { kind: "pass", tenant: ACME, passId: PASS } as const;
      const gone = await eraseAll(target, { beforeMs: T0, madeAtMs: T0 + 10, limit: 3 });
      expect(gone).toMatchObject({ events: 0, deliveries: 0, others: 4 });
      const left: number[] = [];
      for (const { tenant, id } of bins) {
        expect(await store.bins.findBin(id)).toBeDefined();
        left.push((await store.bins.listRequests(tenant, id, { size: 9 })).items.length);
      }
      expect(left).toEqual([1, 1, 3, 3]);
    });

    test("takes the dead letters that are named, of its tenant alone", async () => {
      await store.deadLetters.put([letter(1, "sealed"), letter(2, "sealed"), letter(3, "sealed", {}, GLOBEX)]);
      const ids: string[] = [];
      for (const tenant of [ACME, GLOBEX]) {
        const { items } = await store.deadLetters.list(tenant, {}, { size: 9 });
        ids.push(...items.filter(({ record }) => record.offset !== 2).map(({ id }) => id));
      }
      const target = { kind: "pass", tenant: ACME, passId: PASS } as const;
      expect(await eraseAll(target, { letterIds: [...ids, "dead_0"] })).toMatchObject({ deadLetters: 1 });
      expect([await letterOffsets(), await letterOffsets(GLOBEX)]).toEqual([[2], [3]]);
    });

    test("whose id is short is looked for in keys alone", async () => {
      await store.deadLetters.put([letter(1, "p1 in a text"), letter(2, "x", { key: Buffer.from("p1") })]);
      expect(await eraseAll({ kind: "pass", tenant: ACME, passId: "p1" })).toMatchObject({ deadLetters: 1 });
      expect(await letterOffsets()).toEqual([1]);
    });
  });

  describe(`${name}: a subscription that is erased`, () => {
    const target = { kind: "subscription", tenant: ACME, subscriptionId: "sub_1" } as const;

    test("takes its deliveries with it once it is deleted, and none while it is there", async () => {
      await store.subscriptions.insert(subscription("sub_1"), 10);
      await put(
        store,
        finished("dlv_1", "delivered", "att_1"),
        waiting("dlv_2", LATER, { createdAtMs: LATER, eventId: "evt_2" }),
        finished("dlv_3", "delivered", "att_3", { subscriptionId: "sub_2" }),
        finished("dlv_1", "delivered", "att_1", { tenant: GLOBEX }),
      );
      expect(await eraseAll(target)).toMatchObject({ deliveries: 0, others: 0 });
      await store.subscriptions.remove(ACME, "sub_1");
      expect(await eraseAll(target, { limit: 1 })).toMatchObject({ deliveries: 2, events: 0 });
      expect(await deliveryIds()).toEqual(["dlv_3"]);
      expect(await deliveryIds(GLOBEX)).toEqual(["dlv_1"]);
      expect(await eventIds()).toEqual(["evt_1", "evt_2"]);
    });
  });

  describe(`${name}: an organisation that is erased`, () => {
    const target = { kind: "organisation", organisation: "acme" } as const;

    async function fill(tenant: Tenant, createdAtMs = T0): Promise<void> {
      const over = { tenant, createdAtMs };
      await store.subscriptions.insert(subscription(`sub_${createdAtMs}`, over), 10);
      const loggedAtMs = createdAtMs;
      const of = event(`evt_${createdAtMs}`, { tenant, loggedAtMs });
      const delivery = waiting(`dlv_${createdAtMs}`, T0, { ...over, eventId: of.id });
      await store.deliveries.flush({ events: [of], deliveries: [{ kind: "first", delivery }] });
      await store.deadLetters.put([
        letter(
          createdAtMs,
          tenant.environment,
          { topic: Object.values(tenant).join("."), appendedAtMs: createdAtMs },
          tenant,
        ),
      ]);
      const id = `key_${tenant.organisation}_${tenant.environment}_${createdAtMs}`;
      await store.access.insertKey({ id, tenant, role: "admin", hash: id, createdAtMs });
      await store.access.putAudit([
        {
          id: `aud_${createdAtMs}`,
          tenant,
          timeMs: createdAtMs,
          actor: "",
          action: "",
          target: "",
          peer: "",
          refused: false,
          code: "",
          count: 1,
        },
      ]);
    }

    const left = async (tenant: Tenant) => ({
      subscriptions: (await store.subscriptions.list(tenant, {}, { size: 50 })).items.length,
      events: (await eventIds(tenant)).length,
      deliveries: (await deliveryIds(tenant)).length,
      deadLetters: (await letterOffsets(tenant)).length,
      keys: (await store.access.listKeys(tenant, { size: 50 })).items.length,
      audit: (await store.access.listAudit(tenant, {}, { size: 50 })).items.length,
    });
    const none = { subscriptions: 0, events: 0, deliveries: 0, deadLetters: 0, keys: 0, audit: 0 };
    const one = { subscriptions: 1, events: 1, deliveries: 1, deadLetters: 1, keys: 1, audit: 1 };

    test("takes everything of all its environments with it, and nothing of another's", async () => {
      const similar: Tenant = { organisation: "acme-2", environment: "production" };
      for (const tenant of [ACME, ACME_TEST, GLOBEX, similar]) await fill(tenant);
      await store.limits.setLimits("acme", { organisation: 3 });
      await store.limits.setLimits("acme-2", { organisation: 4 });
      await store.switches.stop({ organisation: "acme", reason: "r", sinceMs: T0, by: "k" });
      const [version = 0] = await store.feed.versions([ACME]);
      const gone = await eraseAll(target, { limit: 3 });
      expect(gone).toMatchObject({ events: 2, deliveries: 2, deadLetters: 2 });
      for (const tenant of [ACME, ACME_TEST]) expect(await left(tenant)).toEqual(none);
      for (const tenant of [GLOBEX, similar]) expect(await left(tenant)).toEqual(one);
      expect(await store.limits.limits("acme")).toEqual({});
      expect(await store.limits.limits("acme-2")).toEqual({ organisation: 4 });
      expect(await store.switches.stops()).toEqual([]);
      // Whoever has its subscriptions in memory must hear of it.
      expect((await store.feed.versions([ACME]))[0]).toBeGreaterThan(version);
    });

    test("leaves alone what was made under its name later", async () => {
      await fill(ACME);
      await fill(ACME, LATER);
      await store.limits.setLimits("acme", { organisation: 3 });
      await eraseAll(target);
      expect(await left(ACME)).toEqual(one);
      expect(await store.limits.limits("acme")).toEqual({ organisation: 3 });
    });
  });

  describe(`${name}: the list of erasures`, () => {
    const row = (id: string, nextAtMs: number) => ({ id, sealed: `k1.${id}`, askedAtMs: T0, nextAtMs });

    test("tells those that are due, the earliest first, until they are taken away", async () => {
      for (const each of [row("ers_b", T0 + 2), row("ers_a", T0 + 1), row("ers_c", T0 + 9)])
        await store.erasures.putErasure(each);
      expect(await store.erasures.dueErasures(T0 + 2, 10)).toEqual([row("ers_a", T0 + 1), row("ers_b", T0 + 2)]);
      expect(await store.erasures.dueErasures(T0 + 9, 1)).toEqual([row("ers_a", T0 + 1)]);
      await store.erasures.putErasure({ ...row("ers_a", T0 + 20), askedAtMs: T0 + 5 });
      await store.erasures.removeErasure(row("ers_b", T0 + 2));
      const again = await store.reopen();
      expect(await again.erasures.dueErasures(T0 + 99, 10)).toEqual([
        row("ers_c", T0 + 9),
        { ...row("ers_a", T0 + 20), askedAtMs: T0 + 5 },
      ]);
      await again.erasures.settleErased();
    });

    test("keeps what has been asked for again since a worker read it", async () => {
      const { erasures } = store;
      const read = row("ers_a", T0 + 1);
      const again = { ...read, askedAtMs: T0 + 5, nextAtMs: T0 + 6 };
      await erasures.putErasure(read);
      await erasures.putErasure(again);
      await erasures.postponeErasure(read, T0 + 50);
      await erasures.removeErasure(read);
      expect(await erasures.dueErasures(T0 + 99, 10)).toEqual([again]);
      // Of two who ask at once, the earlier may write last.
      await erasures.putErasure(read);
      expect(await erasures.dueErasures(T0 + 99, 10)).toEqual([{ ...read, askedAtMs: T0 + 5 }]);
      await erasures.postponeErasure(again, T0 + 50);
      expect(await erasures.dueErasures(T0 + 99, 10)).toEqual([{ ...again, nextAtMs: T0 + 50 }]);
      await erasures.resealErasure("ers_a", "k2.ers_a");
      expect(await erasures.dueErasures(T0 + 99, 10)).toEqual([{ ...again, sealed: "k2.ers_a", nextAtMs: T0 + 50 }]);
      await erasures.removeErasure(again);
      await erasures.postponeErasure(again, T0 + 1);
      await erasures.resealErasure("ers_a", "k2.ers_a");
      expect(await erasures.dueErasures(T0 + 99, 10)).toEqual([]);
    });
  });
}
