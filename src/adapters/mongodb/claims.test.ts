/** Claims under many hands and with a large backlog; and which indexes the store's questions go along. */
import { type CommandStartedEvent, type Document, MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ACME,
  claim,
  event,
  finished,
  outcome,
  put,
  subscription,
  T0,
  triedOnce,
  waiting,
} from "../../../test/contracts/rows.ts";
import { type MongoDatabase, mongoDatabase } from "../../../test/support/mongo-database.ts";
import { mongodb, mongodbPlans } from "../../../test/support/services/services.ts";
import { type MongoStore, mongoStore } from "./mongodb.ts";

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

describe.skipIf(!mongodb.present)(mongodb.title("claims in MongoDB"), () => {
  let database: MongoDatabase;
  let stores: MongoStore[] = [];
  const connect = async () => {
    const store = await database.connect();
    stores.push(store);
    return store;
  };
  let store: MongoStore;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  beforeEach(async () => {
    store = await connect();
  });
  afterEach(async () => {
    await Promise.all(stores.map((each) => each.close()));
    stores = [];
    await database.empty();
  });
  afterAll(() => database.drop());

  test("eight workers that race for five hundred deliveries get each once", async () => {
    await put(store, ...range(500).map((index) => waiting(`d${index}`, T0, { subscriptionId: `sub_${index % 7}` })));
    const workers = await Promise.all(range(8).map(() => connect()));
    const taken: string[] = [];
    await Promise.all(
      workers.map(async (worker) => {
        for (;;) {
          const { claimed, nextDueAtMs } = await claim(worker, { limit: 23 });
          taken.push(...claimed.map((each) => each.delivery.id));
          for (const each of claimed) expect(each.delivery.fence).toBe(1);
          // One that lost its rows to others is told that there may be more.
          if (claimed.length === 0 && (nextDueAtMs ?? Number.POSITIVE_INFINITY) > T0) return;
        }
      }),
    );
    expect(taken).toHaveLength(500);
    expect(new Set(taken).size).toBe(500);
  });

  test("a dead subscription's backlog leaves the others their turn, whether its lane is shut or not", async () => {
    await put(
      store,
      ...range(900).map((index) => waiting(`dead_${index}`, T0 - 9_000, { subscriptionId: "sub_dead" })),
    );
    await put(store, ...range(5).map((index) => waiting(`late_${index}`, T0 - 1, { subscriptionId: `sub_${index}` })));
    const shut = await claim(store, { limit: 50, slots: new Map([["sub_dead", 0]]) });
    expect(shut.claimed.map((each) => each.delivery.id).toSorted()).toEqual(range(5).map((index) => `late_${index}`));
    await put(store, ...range(5).map((index) => waiting(`later_${index}`, T0, { subscriptionId: `sub_${index}` })));
    const open = await claim(store, { limit: 50 });
    const healthy = open.claimed.filter((each) => each.delivery.subscriptionId !== "sub_dead");
    expect([open.claimed.length, healthy.length]).toEqual([50, 5]);
  });

  test("a backlog is claimed to its end, and what comes next is seen on the way", async () => {
    await put(store, ...range(700).map((index) => waiting(`d${index}`, T0 - index)), waiting("soon", T0 + 40));
    let count = 0;
    for (;;) {
      const { claimed, nextDueAtMs } = await claim(store, { limit: 200 });
      if (claimed.length === 0) break;
      count += claimed.length;
      expect(nextDueAtMs).toBe(T0 + 40);
    }
    expect(count).toBe(700);
  });
});

describe.skipIf(!mongodbPlans.present)(mongodbPlans.title("the store's questions"), () => {
  let database: MongoDatabase;
  let client: MongoClient;
  let store: MongoStore;
  const sent: Document[] = [];
  beforeAll(async () => {
    database = await mongoDatabase();
    client = await MongoClient.connect(database.uri, { monitorCommands: true, promoteBuffers: true });
    client.on("commandStarted", ({ command }: CommandStartedEvent) => sent.push(command));
    store = mongoStore(client, { uri: database.uri, lookRows: 40 });
    await put(
      store,
      ...range(60).map((index) => waiting(`w${index}`, T0 - index, { subscriptionId: `sub_${index % 5}` })),
      ...range(60).map((index) => finished(`f${index}`, "delivered", `a${index}`, { eventId: `evt_${index}` })),
      ...range(20).map((index) => triedOnce(`t${index}`, `b${index}`)),
      finished("rare", "failed", "c1", { eventId: "evt_rare", passId: "pass-rare", subscriptionId: "sub_rare" }),
    );
    for (const index of range(3)) await store.subscriptions.insert(subscription(`sub_${index}`), 10);
  });
  afterAll(async () => {
    await client.close();
    await database.drop();
  });

  /** The stages of the plans of every find, distinct and update that `run` sends. */
  async function plansOf(run: () => Promise<unknown>): Promise<readonly string[]> {
    sent.length = 0;
    await run();
    const commands = sent.flatMap(explainable);
    expect(commands.length).toBeGreaterThan(0);
    const plans = await Promise.all(
      commands.map((explain) => database.client.db().command({ explain, verbosity: "queryPlanner" })),
    );
    return plans.map((plan, place) => {
      const { winningPlan } = plan.queryPlanner;
      return `${Object.keys(commands[place] ?? {})[0]} ${JSON.stringify(winningPlan)}`;
    });
  }

  const tenant = ACME;
  const questions: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["a claim in a crowd", () => claim(store, { limit: 5 })],
    ["a claim before anything is due", () => claim(store, { nowMs: T0 - 1e6 })],
    ["the sweep's look", () => store.deliveries.openSubscriptions()],
    [
      "a sweep's move",
      () =>
        store.deliveries.moveOpen({
          tenant,
          subscriptionId: "sub_1",
          from: "waiting",
          to: "held",
          nowMs: T0,
          limit: 2,
        }),
    ],
    ["a beat", () => store.heartbeats.beat()],
    [
      "a dead worker's leases",
      async () => {
        await store.heartbeats.beat();
        await store.heartbeats.leave(T0 + 1e9);
      },
    ],
    ["all deliveries", () => store.deliveries.listDeliveries(tenant, {}, { size: 5 })],
    ["a later page", () => store.deliveries.listDeliveries(tenant, {}, { size: 5, after: { timeMs: T0, id: "f9" } })],
    ["a subscription's", () => store.deliveries.listDeliveries(tenant, { subscriptionId: "sub_1" }, { size: 5 })],
    ["an event's", () => store.deliveries.listDeliveries(tenant, { eventId: "evt_1" }, { size: 5 })],
    ["a pass's", () => store.deliveries.listDeliveries(tenant, { passId: "pass-1" }, { size: 5 })],
    ["a type's", () => store.deliveries.listDeliveries(tenant, { type: 1 }, { size: 5 })],
    [
      "a type's of a subscription",
      () => store.deliveries.listDeliveries(tenant, { type: 1, subscriptionId: "sub_1" }, { size: 5 }),
    ],
    ["what failed", () => store.deliveries.listDeliveries(tenant, { status: "failed" }, { size: 5 })],
    ["events", () => store.deliveries.listEvents(tenant, {}, { size: 5 })],
    ["a pass's events", () => store.deliveries.listEvents(tenant, { passId: "pass-1", fromMs: T0 }, { size: 5 })],
    ["known events", () => store.deliveries.knownEvents([event("evt_1"), event("evt_2")])],
    ["known deliveries", () => store.deliveries.knownDeliveries(tenant, ["w1", "w2"])],
    ["a retry", () => store.deliveries.retry(tenant, "f1", T0)],
    ["subscriptions", () => store.subscriptions.list(tenant, { state: "enabled" }, { size: 5 })],
    ["versions", () => store.feed.versions([tenant])],
    ["dead letters", () => store.deadLetters.list(tenant, { reason: "event.invalid" }, { size: 5 })],
  ];

  test.each(questions)("%s: along an index", async (_, run) => {
    for (const plan of await plansOf(run)) {
      expect(plan).not.toContain("COLLSCAN");
      expect(plan).toMatch(/IXSCAN|IDHACK|DISTINCT_SCAN|EXPRESS|EOF/);
    }
  });

  test("deliveries of other types are passed over in the index", async () => {
    for (const filter of [{ type: 1 }, { type: 1, subscriptionId: "sub_1" }]) {
      const [plan = ""] = await plansOf(() => store.deliveries.listDeliveries(tenant, filter, { size: 5 }));
      expect(plan).toMatch(/"keyPattern":\{[^}]*"createdAt":1,"_id":1,"type":1\}/);
    }
  });

  test.each([
    ["deliveries_lane", () => store.deliveries.listDeliveries(tenant, { subscriptionId: "sub_rare" }, { size: 5 })],
    ["deliveries_event", () => store.deliveries.listDeliveries(tenant, { eventId: "evt_rare" }, { size: 5 })],
    ["deliveries_pass", () => store.deliveries.listDeliveries(tenant, { passId: "pass-rare" }, { size: 5 })],
    ["events_pass", () => store.deliveries.listEvents(tenant, { passId: "pass-rare" }, { size: 5 })],
  ])("what is rare is found along %s", async (index, run) => {
    for (const plan of await plansOf(run)) expect(plan).toContain(`"${index}"`);
  });

  test("lists need no sorting", async () => {
    const { deliveries, subscriptions, deadLetters } = store;
    const lists = [
      () => deliveries.listDeliveries(tenant, {}, { size: 5 }),
      () => deliveries.listDeliveries(tenant, { subscriptionId: "sub_1" }, { size: 5 }),
      () => deliveries.listDeliveries(tenant, { passId: "pass-1" }, { size: 5 }),
      () => deliveries.listDeliveries(tenant, { status: "failed" }, { size: 5 }),
      () => deliveries.listDeliveries(tenant, { type: 1 }, { size: 5 }),
      () => deliveries.listDeliveries(tenant, { type: 1, subscriptionId: "sub_1" }, { size: 5 }),
      () => deliveries.listEvents(tenant, {}, { size: 5 }),
      () => subscriptions.list(tenant, {}, { size: 5 }),
      () => deadLetters.list(tenant, {}, { size: 5 }),
    ];
    for (const list of lists) for (const plan of await plansOf(list)) expect(plan).not.toContain('"SORT"');
  });

  test("due work and outcomes are found by the indexes that are meant for them", async () => {
    const [crowd] = await plansOf(() => claim(store, { limit: 5 }));
    expect(crowd).toContain("deliveries_due");
    const plans = await plansOf(() => claim(store, { limit: 5 }));
    expect(plans.filter((plan) => plan.startsWith("distinct")).join()).toContain("deliveries_work");
    const [mine] = (await claim(store, { nowMs: T0 + 1e6, limit: 1 })).claimed;
    if (mine === undefined) throw new Error("nothing was claimed");
    const write = outcome(mine.delivery, { status: "delivered", finishedAtMs: T0 }, "z1");
    const outcomes = await plansOf(() => store.deliveries.flush({ events: [], deliveries: [write] }));
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]).not.toContain("COLLSCAN");
  });
});

/** A command without what belongs to its session, once for each of its statements. */
function explainable(command: Document): readonly Document[] {
  const { find, filter, sort, limit, skip, projection, distinct, key, query, update, updates } = command;
  if (find !== undefined) {
    const options = { sort, limit, skip, projection };
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const plain = given.map(([name, value]) => [name, value instanceof Map ? Object.fromEntries(value) : value]);
    return [{ find, filter, ...Object.fromEntries(plain) }];
  }
  if (distinct !== undefined) return [{ distinct, key, query }];
  if (update !== undefined) return updates.map((statement: Document) => ({ update, updates: [statement] }));
  return [];
}
