/** What repeats and faults come to: truthful answers, coded errors in bounded time, and work that goes on. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ACME,
  claim,
  event,
  finished,
  first,
  flush,
  leased,
  outcome,
  put,
  stored,
  subscription,
  T0,
  triedOnce,
  waiting,
} from "../../../test/contracts/rows.ts";
import { type MongoDatabase, mongoDatabase, prepare } from "../../../test/support/mongo-database.ts";
import { underKey } from "../../../test/support/sealing.ts";
import { mongodb, ownMongodb, startMongodb } from "../../../test/support/services/services.ts";
import { eventually } from "../../../test/support/within.ts";
import { DeliveryWriter } from "./deliveries.ts";
import { connectMongo, type MongoStore } from "./mongodb.ts";
import { Wire } from "./wire.ts";

describe.skipIf(!mongodb.present)(mongodb.title("repeated flushes on MongoDB"), () => {
  let database: MongoDatabase;
  let store: MongoStore;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  beforeEach(async () => {
    store = await database.connect();
  });
  afterEach(async () => {
    await store.close();
    await database.empty();
  });
  afterAll(() => database.drop());

  test("the server says what time it has", async () => {
    expect(Math.abs((await store.clockMs()) - Date.now())).toBeLessThan(60_000);
  });

  test.each([
    ["as they are", (ports: MongoStore) => ports],
    ["under a key", underKey],
  ])("a flush that is sent again is told what it came to the first time, with payloads %s", async (_, through) => {
    const { deliveries } = through(store);
    await put(store, waiting("d_claimed"), waiting("d_held"), finished("d_done", "failed", "a0"));
    const claimed = new Map((await claim(store)).claimed.map(({ delivery }) => [delivery.id, delivery]));
    const [one, other] = [claimed.get("d_claimed"), claimed.get("d_held")];
    if (one === undefined || other === undefined) throw new Error("nothing was claimed");
    const batch = {
      events: [event("evt_1")],
      deliveries: [
        outcome(one, { status: "waiting", dueAtMs: T0 + 9, workClass: "retry" }, "b1"),
        outcome(other, { status: "held" }),
        first(finished("d_done", "delivered", "b2")),
        first(triedOnce("d_new", "b3")),
        first(leased("d_spilled", T0 + 60_000)),
        outcome({ ...one, fence: 0 }, { status: "held" }, "b4"),
      ],
    };
    const applied = [true, true, false, true, true, false];
    for (let time = 0; time < 3; time++) expect((await deliveries.flush(batch)).applied).toEqual(applied);
    expect((await stored(store, "d_claimed")).attempts.map(({ id }) => id)).toEqual(["b1", "b4"]);
  });

  test("a spill that is sent again by another gains no lease", async () => {
    const spill = leased("d1", T0 + 60_000);
    await put(store, spill);
    expect(await flush(await another(), first(spill))).toEqual([false]);
    expect(await flush(store, first(leased("d1", T0 + 60_000)))).toEqual([false]);
  });

  let others: MongoStore[] = [];
  const another = async () => {
    const made = await database.connect();
    others.push(made);
    return made;
  };
  afterEach(async () => {
    await Promise.all(others.map((each) => each.close()));
    others = [];
  });

  test("an outcome whose history is full is written, and its oldest but the first goes", async () => {
    await put(store, triedOnce("d1", "a0", T0));
    for (let index = 1; index <= 24; index++) {
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      const next = { status: "waiting", dueAtMs: T0, workClass: "retry" } as const;
      expect(await flush(store, outcome(mine.delivery, next, `a${index}`))).toEqual([true]);
    }
    const { attempts, attemptCount, runAttempts } = await stored(store, "d1");
    expect([attempts.length, attempts[0]?.id, attempts[1]?.id, attempts.at(-1)?.id]).toEqual([21, "a0", "a5", "a24"]);
    expect([attemptCount, runAttempts]).toEqual([25, 25]);
  });

  test("a late attempt leaves a retry alone that comes while it is merged", async () => {
    await put(store, triedOnce("d1", "a1", T0 + 1e6));
    const wire = new Wire(database.client.db());
    const find = wire.find.bind(wire);
    let retried = 0;
    wire.find = async (...asked) => {
      const found = await find(...asked);
      if (retried++ === 0) await store.deliveries.retry(ACME, "d1", T0);
      return found as never;
    };
    const late = first(finished("d1", "failed", "late"));
    expect(await new DeliveryWriter(wire).write([late])).toEqual([false]);
    expect(await stored(store, "d1")).toMatchObject({ status: "waiting", dueAtMs: T0, attemptCount: 2 });
  });

  test("header names with dots and dollars, and half a surrogate pair, come back as they were", async () => {
    const odd = { "x.y": "1", $set: "2", "": "3" };
    const one = finished("d1", "failed", "x", {
      attempts: [{ id: "a1", startedAtMs: T0, durationMs: 1, responseHeaders: odd, responseExcerpt: "half \ud83d" }],
    });
    await put(store, one);
    expect((await stored(store, "d1")).attempts).toEqual(one.attempts);
  });

  test("a store that is closed answers with store.unavailable, or not at all", async () => {
    const closed = await another();
    await closed.close();
    const calls = [
      () => closed.deliveries.flush({ events: [event("evt_1")], deliveries: [] }),
      () => closed.deliveries.getDelivery(ACME, "d1"),
      () => closed.subscriptions.insert(subscription("sub_1"), 10),
      () => closed.feed.load(ACME),
      () => closed.preparation.survey(),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "store.unavailable" });
  });
});

describe.skipIf(!ownMongodb.present)(ownMongodb.title("a MongoDB that dies"), () => {
  test("a flush fails in bounded time, and the same flush succeeds when it is back", { timeout: 120_000 }, async () => {
    await using server = await startMongodb();
    const uri = new URL(server.uri);
    uri.pathname = "bus";
    const store = await connectMongo({ uri: uri.href });
    try {
      await prepare(store.preparation);
      await put(store, waiting("d1"));
      const [mine] = (await claim(store)).claimed;
      if (mine === undefined) throw new Error("nothing was claimed");
      const batch = {
        events: [event("evt_2")],
        deliveries: [
          outcome(mine.delivery, { status: "delivered", finishedAtMs: T0 }, "a1"),
          first(finished("d2", "delivered", "a2", { eventId: "evt_2" })),
        ],
      };
      await server.kill();
      const beganMs = performance.now();
      await expect(store.deliveries.flush(batch)).rejects.toMatchObject({ code: "store.unavailable" });
      expect(performance.now() - beganMs).toBeLessThan(20_000);
      await server.restart();
      const result = await eventually(30_000, "the flush", () =>
        store.deliveries.flush(batch).catch((error: { code?: string }) => {
          if (error.code !== "store.unavailable") throw error;
          return undefined;
        }),
      );
      expect(result).toEqual({ conflicts: [], applied: [true, true] });
      expect((await stored(store, "d1")).status).toBe("delivered");
    } finally {
      await store.close();
    }
  });
});
