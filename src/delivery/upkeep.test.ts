import { describe, expect, test } from "vitest";
import { delivery } from "../../test/contracts/rows.ts";
import { AskedRetention } from "../../test/support/asked-retention.ts";
import { sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import type { Delivery } from "../domain/delivery.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type LogFields, silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { Upkeep, type UpkeepDeps } from "./upkeep.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const ACME = { organisation: "acme", environment: "production" };
const GLOBEX = { organisation: "globex", environment: "production" };

const RETENTION = {
  eventRetentionMs: 30 * DAY_MS,
  deliveryRetentionMs: 20 * DAY_MS,
  deadLetterRetentionMs: 10 * DAY_MS,
  auditRetentionMs: 365 * DAY_MS,
  holdRetentionMs: 5 * DAY_MS,
};

/** Of what no organisation is given another time of. */
/** Of the last three, each thing says itself when it expires. */
const OWN_TIMES = { portalSessions: 7 * DAY_MS, auditRecords: 365 * DAY_MS, binRequests: 0, bins: 0, deliveryStats: 0 };

function setUp(over: Partial<UpkeepDeps> = {}) {
  const clock = new ManualClock();
  const store = new AskedRetention();
  store.given = [{ tenant: ACME }];
  const said: [string, LogFields | undefined][] = [];
  const say = (event: string, fields?: LogFields) => void said.push([event, fields]);
  const held: Delivery[] = [];
  const expired: string[] = [];
  /** By id; one that isn't here is deleted. */
  const subscriptions = new Map<string, Subscription>();
  const stopped = new Set<string>();
  const upkeep = new Upkeep({
    store,
    deliveries: {
      listDeliveries: async (tenant, { status, toMs = 0 }) => ({
        items: held.filter((of) => of.createdAtMs < toMs && status === "held" && of.tenant === tenant),
      }),
    },
    index: { refresh: async () => ({ find: (_tenant, id) => subscriptions.get(id) }) },
    stopped: { isStopped: (organisation) => stopped.has(organisation) },
    retention: RETENTION,
    expiring: async (deliveries) => void expired.push(...deliveries.map(({ id }) => id)),
    isBusy: () => false,
    clock,
    log: { ...silentLog, info: say, warn: say, error: say },
    holder: "me",
    ...over,
  });
  const pass = async (ms: number, stepMs = 10_000) => {
    for (let left = ms; left > 0; left -= stepMs) {
      clock.advance(Math.min(stepMs, left));
      await settled(10);
    }
  };
  const start = async () => {
    upkeep.start();
    await settled();
    await pass(MINUTE_MS, 500);
  };
  return { clock, store, said, held, expired, subscriptions, stopped, upkeep, pass, start };
}

describe("a round", () => {
  test("asks for what is past the service's times, and every ten minutes again", async () => {
    const { clock, store, start, pass, upkeep } = setUp();
    const beganMs = clock.now();
    await start();
    const { deliveryRetentionMs: deliveries, eventRetentionMs: events, deadLetterRetentionMs: deadLetters } = RETENTION;
    expect(store.agesAt(beganMs)).toEqual({ deliveries, events, deadLetters, replays: deliveries, ...OWN_TIMES });
    await pass(8 * MINUTE_MS);
    expect(store.asked).toEqual([]);
    await pass(2 * MINUTE_MS);
    expect(store.asked).not.toEqual([]);
    await upkeep.stop();
  });

  test("gives each organisation its own times, and drops payloads where they go before their events", async () => {
    const { clock, store, start, upkeep } = setUp();
    store.given = [
      { tenant: ACME, deliveryRetentionMs: 2 * DAY_MS, payloadRetentionMs: DAY_MS },
      { tenant: GLOBEX, eventRetentionMs: 3 * DAY_MS, payloadRetentionMs: 3 * DAY_MS },
    ];
    const beganMs = clock.now();
    await start();
    const of = (tenant: object) =>
      Object.fromEntries(
        store.asked.flatMap((asked) => (asked.tenant === tenant ? [[asked.kind, beganMs - asked.beforeMs]] : [])),
      );
    const letters = { deadLetters: 10 * DAY_MS, ...OWN_TIMES };
    const replays = 2 * DAY_MS;
    expect(of(ACME)).toEqual({ deliveries: replays, replays, events: 30 * DAY_MS, payloads: DAY_MS, ...letters });
    expect(of(GLOBEX)).toEqual({ deliveries: 20 * DAY_MS, replays: 20 * DAY_MS, events: 3 * DAY_MS, ...letters });
    await upkeep.stop();
  });

  test("takes steps until there is no more, each from where the last ended, and says what went", async () => {
    const { store, said, start, pass, upkeep } = setUp();
    let steps = 0;
    store.answer = ({ kind }) => {
      if (kind !== "deliveries") return { purged: 0, more: false };
      steps++;
      return { purged: 10, at: { timeMs: steps, id: `d${steps}` }, more: steps < 3 };
    };
    await start();
    await pass(MINUTE_MS);
    const places = store.asked.filter(({ kind }) => kind === "deliveries").map(({ after }) => after);
    expect(places).toEqual([undefined, { timeMs: 1, id: "d1" }, { timeMs: 2, id: "d2" }]);
    const own = { portalSessions: 0, auditRecords: 0, binRequests: 0, bins: 0, deliveryStats: 0 };
    const others = { events: 0, payloads: 0, deadLetters: 0, replays: 0, ...own, expired: 0 };
    expect(said).toEqual([["retention.purged", { deliveries: 30, ...others }]]);
    await upkeep.stop();
  });

  test("goes on with payloads where the last one ended, and over all of them once a day", async () => {
    const { store, start, pass, upkeep } = setUp({ retention: { ...RETENTION, payloadRetentionMs: DAY_MS } });
    store.answer = ({ kind }) =>
      kind === "payloads" ? { purged: 1, at: { timeMs: 7, id: "e" }, more: false } : { purged: 0, more: false };
    await start();
    await pass(11 * MINUTE_MS);
    const places = () => store.asked.filter(({ kind }) => kind === "payloads").map(({ after }) => after);
    expect(places()).toEqual([undefined, { timeMs: 7, id: "e" }]);
    await pass(DAY_MS + 30 * MINUTE_MS, MINUTE_MS);
    expect(places().filter((after) => after === undefined)).toHaveLength(2);
    await upkeep.stop();
  });

  test("is no other process's: without the turn nothing is asked", async () => {
    const { store, start, pass, upkeep } = setUp();
    store.turn = false;
    await start();
    await pass(HOUR_MS);
    expect(store.asked).toEqual([]);
    store.turn = true;
    await pass(11 * MINUTE_MS);
    expect(store.asked).not.toEqual([]);
    await upkeep.stop();
  });

  test("goes on with other kinds and tenants where one fails", async () => {
    const { store, said, start, upkeep } = setUp({ retention: { ...RETENTION, payloadRetentionMs: DAY_MS } });
    store.given = [{ tenant: ACME }, { tenant: GLOBEX }];
    store.answer = ({ kind }) => {
      if (kind === "payloads") throw new Error("it takes too long");
      return { purged: 0, more: false };
    };
    await start();
    expect(store.asked.map(({ tenant }) => tenant)).toEqual([...Array(10).fill(ACME), ...Array(10).fill(GLOBEX)]);
    const failed = { err: expect.any(Error), kind: "payloads" };
    expect(said).toEqual([
      ["retention.failed", { ...failed, ...ACME }],
      ["retention.failed", { ...failed, ...GLOBEX }],
    ]);
    await upkeep.stop();
  });

  test("that fails three times in a row is over, and the next one comes", async () => {
    const { store, said, start, pass, upkeep } = setUp();
    store.answer = () => {
      throw new Error("away");
    };
    await start();
    expect(said.map(([event]) => event)).toEqual(Array(3).fill("retention.failed"));
    expect(store.asked).toHaveLength(3);
    store.answer = () => ({ purged: 0, more: false });
    await pass(11 * MINUTE_MS);
    expect(new Set(store.asked.map(({ kind }) => kind)).size).toBe(9);
    await upkeep.stop();
  });
});

describe("beside deliveries", () => {
  test("no step is taken while the store is busy, for half a minute at most", async () => {
    let busy = true;
    const { store, start, pass, upkeep } = setUp({ isBusy: () => busy });
    upkeep.start();
    await pass(25_000, 500);
    expect(store.asked).toEqual([]);
    busy = false;
    await pass(1_000, 500);
    expect(store.asked).not.toEqual([]);
    busy = true;
    await start();
    await pass(11 * MINUTE_MS);
    store.asked.splice(0);
    // A round of nine kinds takes four and a half minutes then, and there are ten between two.
    await pass(11 * MINUTE_MS, 1_000);
    expect(store.asked.length).toBeGreaterThan(0);
    await upkeep.stop();
  });

  test("after each step the store has four times as long to itself", async () => {
    const { clock, store, upkeep, pass } = setUp();
    const atMs: number[] = [];
    store.answer = () => {
      atMs.push(clock.now());
      clock.advance(100);
      return { purged: 1, at: { timeMs: 1, id: "x" }, more: atMs.length < 3 };
    };
    upkeep.start();
    await pass(2_000, 10);
    expect((atMs[1] ?? 0) - (atMs[0] ?? 0)).toBe(500);
    await upkeep.stop();
  });
});

describe("the clock", () => {
  test.each([2 * HOUR_MS, 365 * DAY_MS])(
    "jumps ahead by %i ms: nothing is older for it, and it is said once",
    async (jumpMs) => {
      const { clock, store, said, start, pass, upkeep } = setUp();
      await start();
      const rightMs = clock.now();
      store.asked.splice(0);
      clock.step(jumpMs);
      await pass(30 * MINUTE_MS);
      for (const { kind, beforeMs } of store.asked) {
        const ages: Readonly<Record<string, number>> = {
          ...RETENTION,
          replayRetentionMs: RETENTION.deliveryRetentionMs,
          portalSessionsRetentionMs: OWN_TIMES.portalSessions,
          auditRecordsRetentionMs: OWN_TIMES.auditRecords,
          binRequestsRetentionMs: 0,
          binsRetentionMs: 0,
          deliveryStatsRetentionMs: 0,
        };
        const ageMs = ages[keyOf(kind)] ?? Number.NaN;
        expect(beforeMs).toBeLessThanOrEqual(rightMs + 31 * MINUTE_MS - ageMs);
      }
      expect(said).toEqual([["retention.clock_jumped", { aheadMs: jumpMs }]]);
      await pass(25 * HOUR_MS, MINUTE_MS);
      expect(said.at(-1)).toEqual(["retention.clock_believed", undefined]);
      await upkeep.stop();
    },
  );

  test("is a year ahead after a restart: nothing is older for it", async () => {
    const before = setUp();
    await before.start();
    await before.upkeep.stop();
    const after = setUp();
    after.store.state = before.store.state;
    after.clock.step(365 * DAY_MS);
    await after.start();
    const oldest = after.store.agesAt(before.clock.now());
    for (const [kind, ageMs] of Object.entries(oldest)) {
      const saysItself = ["binRequests", "bins", "deliveryStats"].includes(kind);
      expect(ageMs).toBeGreaterThanOrEqual(saysItself ? 0 : 7 * DAY_MS);
    }
    await after.upkeep.stop();
  });
});

const keyOf = (kind: string) =>
  `${{ deliveries: "delivery", events: "event", deadLetters: "deadLetter", replays: "replay" }[kind] ?? kind}RetentionMs`;

describe("a round that takes long", () => {
  test("renews its turn before that ends, and stops where the turn was lost", async () => {
    const { clock, store, said, start, pass, upkeep } = setUp();
    store.answer = () => {
      clock.advance(5_000);
      return { purged: 1, at: { timeMs: 1, id: "x" }, more: true };
    };
    await start();
    await pass(10 * MINUTE_MS);
    expect(store.turnsTaken).toBeGreaterThanOrEqual(10);
    store.turn = false;
    await pass(2 * MINUTE_MS);
    const asked = store.asked.length;
    await pass(5 * MINUTE_MS);
    expect(store.asked).toHaveLength(asked);
    expect(said.map(([event]) => event)).toEqual(["retention.turn_lost", "retention.purged"]);
    await upkeep.stop();
  });

  test("a short one takes its turn once", async () => {
    const { store, start, upkeep } = setUp();
    await start();
    expect(store.turnsTaken).toBe(1);
    await upkeep.stop();
  });
});

/** Disabled by a person so long ago. */
const disabledFor = (ms: number, nowMs: number) =>
  sampleSubscription({ state: "disabled", disabledReason: "requested", disabledSpans: [{ fromMs: nowMs - ms }] });

describe("held deliveries", () => {
  test("that are too old are told of, and then end", async () => {
    const order: string[] = [];
    const { clock, held, store, subscriptions, start, upkeep } = setUp({
      expiring: async (deliveries) => void order.push(...deliveries.map(({ id }) => `told ${id}`)),
    });
    store.expireHeld = async (_tenant, ids) => order.push(...ids.map((id) => `ended ${id}`));
    const nowMs = clock.now();
    const at = (id: string, ageMs: number) =>
      delivery(id, { tenant: ACME, subscriptionId: "off", status: "held", createdAtMs: nowMs - ageMs });
    subscriptions.set("off", disabledFor(9 * DAY_MS, nowMs));
    held.push(at("old", 5 * DAY_MS), at("young", 5 * DAY_MS - 1));
    await start();
    expect(order).toEqual(["told old", "ended old"]);
    await upkeep.stop();
  });

  test("end where their subscription is disabled, and has been for as long", async () => {
    const { clock, held, store, expired, subscriptions, start, upkeep } = setUp();
    const nowMs = clock.now();
    const passbusDid = { state: "disabled", disabledReason: "failing" } as const;
    const stillOff = sampleSubscription({ ...passbusDid, updatedAtMs: nowMs - 5 * DAY_MS });
    const reopened = { fromMs: nowMs - 9 * DAY_MS, toMs: nowMs - 8 * DAY_MS };
    const states: Readonly<Record<string, Subscription | undefined>> = {
      enabled: sampleSubscription({ disabledSpans: [reopened] }),
      long: disabledFor(5 * DAY_MS, nowMs),
      lately: disabledFor(5 * DAY_MS - 1, nowMs),
      again: sampleSubscription({
        ...disabledFor(DAY_MS, nowMs),
        disabledSpans: [reopened, { fromMs: nowMs - DAY_MS }],
      }),
      byPassbus: stillOff,
      byPassbusLately: sampleSubscription({ ...passbusDid, updatedAtMs: nowMs - DAY_MS }),
    };
    for (const [id, state] of Object.entries(states)) if (state !== undefined) subscriptions.set(id, state);
    for (const id of [...Object.keys(states), "deleted"])
      held.push(delivery(id, { tenant: ACME, subscriptionId: id, status: "held", createdAtMs: nowMs - 9 * DAY_MS }));
    await start();
    expect(expired).toEqual(["long", "byPassbus"]);
    expect(store.ended).toEqual(["long", "byPassbus"]);
    await upkeep.stop();
  });

  test("stay that were asked for again, or whose organisation is stopped", async () => {
    const { clock, held, store, expired, stopped, subscriptions, start, upkeep } = setUp();
    const row = { subscriptionId: "off", status: "held", createdAtMs: 0 } as const;
    subscriptions.set("off", disabledFor(9 * DAY_MS, clock.now()));
    stopped.add(GLOBEX.organisation);
    store.given = [{ tenant: ACME }, { tenant: GLOBEX }];
    held.push(delivery("again", { ...row, tenant: ACME, run: 2 }), delivery("first", { ...row, tenant: ACME }));
    held.push(delivery("stopped", { ...row, tenant: GLOBEX }));
    await start();
    expect([expired, store.ended]).toEqual([["first"], ["first"]]);
    await upkeep.stop();
  });

  test("stay whose subscription was enabled while it was told", async () => {
    const setup = setUp({ expiring: async () => void setup.subscriptions.set("off", sampleSubscription()) });
    const { clock, held, store, subscriptions, start, upkeep } = setup;
    subscriptions.set("off", disabledFor(9 * DAY_MS, clock.now()));
    held.push(delivery("old", { tenant: ACME, subscriptionId: "off", status: "held", createdAtMs: 0 }));
    await start();
    expect(subscriptions.get("off")?.state).toBe("enabled");
    expect(store.ended).toEqual([]);
    await upkeep.stop();
  });

  test("stay where nobody could be told", async () => {
    const { clock, held, store, said, subscriptions, start, upkeep } = setUp({
      expiring: () => Promise.reject(new Error("stopping")),
    });
    subscriptions.set("off", disabledFor(9 * DAY_MS, clock.now()));
    held.push(delivery("old", { tenant: ACME, subscriptionId: "off", status: "held", createdAtMs: 0 }));
    await start();
    expect(store.ended).toEqual([]);
    expect(said.map(([event]) => event)).toEqual(["retention.failed"]);
    await upkeep.stop();
  });
});
