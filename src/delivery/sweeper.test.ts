import { describe, expect, test } from "vitest";
import { sampleSubscription } from "../../test/support/samples.ts";
import type { Subscription } from "../domain/subscription.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { MoveRequest } from "./delivery-store.ts";
import { movesOf, Sweeper } from "./sweeper.ts";

const OPEN = { hasHeld: true, hasWaiting: true };
const ENABLED = { state: "enabled", policy: { ordering: "none" } } as const;
const DISABLED = { state: "disabled", policy: { ordering: "none" } } as const;
const ORDERED = { ordering: "perPass" } as const;

test("enabled: what is held is released", () => {
  expect(movesOf(OPEN, ENABLED)).toEqual([{ from: "held", to: "waiting" }]);
  expect(movesOf({ hasHeld: false, hasWaiting: true }, ENABLED)).toEqual([]);
});

test("enabled and ordered: only what has no place among its pass's is released; heads are promoted", () => {
  expect(movesOf(OPEN, { ...ENABLED, policy: ORDERED })).toEqual([{ from: "held", to: "waiting", unsequenced: true }]);
  expect(movesOf(OPEN, { ...DISABLED, policy: ORDERED })).toEqual([{ from: "waiting", to: "held" }]);
});

test("disabled: what waits is held", () => {
  expect(movesOf(OPEN, DISABLED)).toEqual([{ from: "waiting", to: "held" }]);
  expect(movesOf({ hasHeld: true, hasWaiting: false }, DISABLED)).toEqual([]);
});

test("deleted: all of it is cancelled", () => {
  expect(movesOf(OPEN, undefined)).toEqual([
    { from: "waiting", to: "cancelled" },
    { from: "held", to: "cancelled" },
  ]);
});

describe("many tenants with open work, more than the index holds", () => {
  const HELD = 50;
  const tenants = Array.from({ length: 450 }, (_, at): Tenant => ({ organisation: `o${at}`, environment: "x" }));

  function setUp(maxTenants = HELD) {
    const subscriptions = new Map<string, Subscription>();
    const versions = new Map<string, number>();
    const put = (tenant: Tenant, over: Partial<Subscription>) => {
      const key = tenantKey(tenant);
      subscriptions.set(key, sampleSubscription({ id: "sub", tenant, ...over }));
      versions.set(key, (versions.get(key) ?? 0) + 1);
    };
    for (const tenant of tenants) put(tenant, {});
    const looks: number[] = [];
    const loads: string[] = [];
    let loading = 0;
    let mostLoading = 0;
    const feed = {
      async versions(asked: readonly Tenant[]) {
        looks.push(asked.length);
        return asked.map((tenant) => versions.get(tenantKey(tenant)) ?? 0);
      },
      async load(tenant: Tenant) {
        loads.push(tenantKey(tenant));
        mostLoading = Math.max(mostLoading, ++loading);
        await Promise.resolve();
        loading--;
        const found = subscriptions.get(tenantKey(tenant));
        return { version: versions.get(tenantKey(tenant)) ?? 0, subscriptions: found === undefined ? [] : [found] };
      },
    };
    const moves: MoveRequest[] = [];
    const flags = { hasWaiting: true, hasHeld: false };
    const seen = { onMove: () => {} };
    const sweeper = new Sweeper({
      store: {
        openSubscriptions: async () => tenants.map((tenant) => ({ tenant, subscriptionId: "sub", ...flags })),
        async moveOpen(request) {
          moves.push(request);
          seen.onMove();
          return 0;
        },
        promoteNext: async () => ({ promoted: 0 }),
      },
      index: new SubscriptionIndex({ feed, typesOf: () => [], maxTenants }),
      clock: new ManualClock(),
      log: silentLog,
      onDue: () => {},
    });
    return { put, subscriptions, versions, looks, loads, moves, flags, seen, sweeper, mostLoading: () => mostLoading };
  }

  test("each is loaded once, a few at a time, and again only where it changed", async () => {
    const { put, loads, sweeper, mostLoading } = setUp();
    await sweeper.sweep();
    expect(new Set(loads).size).toBe(450);
    expect(loads).toHaveLength(450);
    expect(mostLoading()).toBeLessThanOrEqual(16);
    await sweeper.sweep();
    await sweeper.sweep();
    // Those that the index held at first came to be remembered, at one load each.
    expect(loads.length).toBeLessThanOrEqual(450 + HELD);
    loads.splice(0);
    put({ organisation: "o3", environment: "x" }, { state: "disabled" });
    await sweeper.sweep();
    expect(loads).toEqual(["o3/x"]);
  });

  test("what is remembered is acted on, and a change is seen by the next sweep", async () => {
    const { put, subscriptions, versions, moves, flags, sweeper } = setUp();
    await sweeper.sweep();
    await sweeper.sweep();
    expect(moves).toEqual([]);
    const [, disabled, deleted] = tenants;
    if (disabled === undefined || deleted === undefined) throw new Error("no tenants");
    put(disabled, { state: "disabled" });
    subscriptions.delete(tenantKey(deleted));
    versions.set(tenantKey(deleted), 2);
    await sweeper.sweep();
    const movedBy = () => moves.splice(0).map(({ tenant, from, to }) => [tenant.organisation, from, to]);
    const asked = [
      ["o1", "waiting", "held"],
      ["o2", "waiting", "cancelled"],
      ["o2", "held", "cancelled"],
    ];
    expect(movedBy().toSorted()).toEqual(asked.toSorted());
    await sweeper.sweep();
    expect(movedBy().toSorted()).toEqual(asked.toSorted());
    flags.hasHeld = true;
    await sweeper.sweep();
    expect(movedBy().filter(([, from, to]) => from === "held" && to === "waiting")).toHaveLength(448);
  });

  test.each(["that the index doesn't hold", "that it holds"])("a stop ends a sweep over tenants %s", async (which) => {
    const { looks, moves, flags, seen, sweeper } = setUp(3 * HELD);
    if (which === "that it holds") await sweeper.sweep();
    looks.splice(0);
    flags.hasHeld = true;
    const stops: Promise<void>[] = [];
    seen.onMove = () => void stops.push(sweeper.stop());
    await sweeper.sweep();
    await Promise.all(stops);
    expect(moves).toHaveLength(1);
    // No more than of the first group: which of them are remembered, and what they ask.
    expect(looks).toEqual(which === "that it holds" ? [100] : [100, 100]);
  });
});

describe("a look past all that waits for its turn", () => {
  const tenant: Tenant = { organisation: "acme", environment: "x" };

  function setUp() {
    const clock = new ManualClock();
    const policy = { ...sampleSubscription().policy, ordering: "perPass" } as const;
    const subscription = sampleSubscription({ id: "sub", tenant, policy });
    const state = { looks: 0, tookMs: 0, found: 0, fails: false };
    const sweeper = new Sweeper({
      store: {
        openSubscriptions: async () => [{ tenant, subscriptionId: "sub", hasHeld: true, hasWaiting: true }],
        async moveOpen() {
          state.looks += 1;
          clock.advance(state.tookMs);
          if (state.fails) throw new Error("took longer than the socket lives");
          return state.found;
        },
        promoteNext: async () => ({ promoted: 0 }),
      },
      index: new SubscriptionIndex({
        feed: { versions: async () => [1], load: async () => ({ version: 1, subscriptions: [subscription] }) },
        typesOf: () => [],
      }),
      clock,
      log: silentLog,
      onDue: () => {},
    });
    /** How many looks so many sweeps make, one a second. */
    const looks = async (sweeps: number) => {
      const before = state.looks;
      for (let at = 0; at < sweeps; at++) {
        await sweeper.sweep().catch(() => {});
        clock.advance(1_000);
      }
      return state.looks - before;
    };
    return { state, looks };
  }

  test("is made with every sweep while it takes no time, or finds something", async () => {
    const { state, looks } = setUp();
    expect(await looks(10)).toBe(10);
    Object.assign(state, { tookMs: 500, found: 3 });
    expect(await looks(10)).toBe(10);
  });

  test("is made less often the longer it takes and finds nothing, and once a minute at least", async () => {
    const { state, looks } = setUp();
    state.tookMs = 500;
    expect(await looks(22)).toBe(3);
    state.tookMs = 15_000;
    state.fails = true;
    expect(await looks(200)).toBeLessThanOrEqual(5);
    expect(await looks(61)).toBeGreaterThanOrEqual(1);
  });
});
