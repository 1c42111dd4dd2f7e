import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ACME,
  claim,
  claimedIds,
  delivery,
  event,
  finished,
  first,
  flush,
  GLOBEX,
  leased,
  outcome,
  put,
  type StorePorts,
  stored,
  subscription,
  T0,
  triedOnce,
  waiting,
} from "../../../test/contracts/rows.ts";
import { type CallThread, serveCalls } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { sqliteStore } from "./client.ts";
import { openStore, STORE_FILE } from "./schema.ts";
import { storeService } from "./service.ts";
import { type SqliteStoreOptions, startSqliteStore } from "./sqlite-store.ts";

let directory: string;
const threads: CallThread[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-store-"));
});
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.stop();
  rmSync(directory, { recursive: true });
});

async function start(options: Partial<SqliteStoreOptions> = {}): Promise<StorePorts> {
  const thread = await startSqliteStore({ directory, ...options });
  threads.push(thread);
  return sqliteStore(thread.connect());
}

async function stop(): Promise<void> {
  for (const thread of threads.splice(0)) await thread.stop();
}

/** Does to the file what no call does. */
function behindItsBack(sql: string): void {
  const database = new DatabaseSync(join(directory, STORE_FILE), { timeout: 5_000 });
  database.exec(sql);
  database.close();
}

describe("the start of the store", () => {
  test("with the lock, work that a dead process had under lease is due at once, and its late write is refused", async () => {
    const before = await start();
    await put(before, triedOnce("d1", "a1", T0), leased("d2", T0 + 60_000));
    const [mine] = (await claim(before)).claimed;
    await stop();
    const after = await start({ exclusive: true, nowMs: T0 + 5 });
    expect(await stored(after, "d1")).toMatchObject({ status: "waiting", dueAtMs: T0 + 5, fence: 2, runAttempts: 1 });
    expect(await stored(after, "d2")).toMatchObject({ status: "waiting", dueAtMs: T0 + 5, fence: 1 });
    if (mine === undefined) throw new Error("nothing was claimed");
    expect(await flush(after, outcome(mine.delivery, { status: "failed", finishedAtMs: T0 }, "late"))).toEqual([false]);
    expect(new Set(claimedIds(await claim(after, { nowMs: T0 + 5 })))).toEqual(new Set(["d1", "d2"]));
  });

  test("without the lock leases stay", async () => {
    const before = await start();
    await put(before, leased("d1", T0 + 60_000));
    const beside = await start();
    expect(await stored(beside, "d1")).toMatchObject({ status: "attempting", leaseUntilMs: T0 + 60_000 });
  });

  test("a store that a newer passbus wrote is refused, and left as it is", async () => {
    await start();
    await stop();
    behindItsBack("PRAGMA user_version = 99");
    await expect(startSqliteStore({ directory })).rejects.toMatchObject({
      code: "data_dir.newer",
      message: expect.stringContaining("schema 99"),
    });
  });

  test("two processes' threads see each other's writes", async () => {
    const [server, commandLine] = [await start(), await start()];
    await commandLine.subscriptions.insert(subscription("sub_1"), 10);
    expect(await server.feed.versions([ACME])).toEqual([1]);
    await server.subscriptions.insert(subscription("sub_2"), 10);
    expect((await commandLine.feed.load(ACME)).subscriptions).toHaveLength(2);
  });

  test("calls reject with store.unavailable once the thread is gone", async () => {
    const store = await start();
    await stop();
    await expect(store.feed.versions([ACME])).rejects.toMatchObject({ code: "store.unavailable" });
  });
});

describe("a delivery whose event is gone", () => {
  test("fails with the reason in its history, and holds up nobody", async () => {
    const store = await start();
    const orphans = Array.from({ length: 5 }, (_, index) =>
      waiting(`orphan_${index}`, T0 - 100 + index, { eventId: "evt_gone" }),
    );
    await put(store, ...orphans, waiting("d1", T0));
    behindItsBack("DELETE FROM events WHERE id = 'evt_gone'");
    const one = await claim(store, { limit: 5 });
    expect(one).toEqual({ claimed: [], nextDueAtMs: T0 });
    expect(claimedIds(await claim(store, { limit: 5 }))).toEqual(["d1"]);
    expect(await stored(store, "orphan_0")).toMatchObject({
      status: "failed",
      finishedAtMs: T0,
      fence: 1,
      attempts: [{ errorCode: "event.payload_dropped", errorMessage: /kept no longer/ }],
    });
  });

  test("can't be retried", async () => {
    const store = await start();
    await put(store, waiting("d1", T0, { eventId: "evt_gone" }));
    behindItsBack("DELETE FROM events WHERE id = 'evt_gone'");
    await claim(store);
    expect(await store.deliveries.retry(ACME, "d1", T0 + 1)).toBe("payloadDropped");
    expect(await stored(store, "d1")).toMatchObject({ status: "failed", run: 1, attemptCount: 1 });
  });
});

test("a claim of large events is cut, and says that the rest is due", async () => {
  const store = await start();
  const large = Array.from({ length: 80 }, (_, index) =>
    event(`evt_${index}`, { content: `${index}`.padEnd(256 * 1024) }),
  );
  const deliveries = large.map((each) => first(waiting(`d_${each.id}`, T0, { eventId: each.id })));
  await store.deliveries.flush({ events: large, deliveries });
  const one = await claim(store);
  expect(one.claimed.length).toBeGreaterThan(20);
  expect(one.claimed.length).toBeLessThan(80);
  expect(one.nextDueAtMs).toBe(T0);
  const two = await claim(store);
  expect(new Set([...claimedIds(one), ...claimedIds(two)]).size).toBe(80);
});

/** Every statement that the ports lead to, with how SQLite would run it. */
async function plansOf(use: (store: StorePorts) => Promise<void>): Promise<readonly (readonly [string, string])[]> {
  const database = openStore(directory);
  const prepared = new Set<string>();
  const prepare = database.prepare.bind(database);
  database.prepare = (sql): StatementSync => {
    prepared.add(sql);
    return prepare(sql);
  };
  const { port1, port2 } = new MessageChannel();
  const service = storeService(database);
  serveCalls<StoreCalls>(port1 as never, service.handlers);
  const store = sqliteStore(port2 as never);
  await use(store);
  const plans = [...prepared]
    .filter((sql) => !sql.startsWith("PRAGMA"))
    .map(
      (sql) =>
        [
          sql,
          prepare(`EXPLAIN QUERY PLAN ${sql}`)
            .all(...placeholders(sql))
            .map((row) => String(row.detail))
            .join("; "),
        ] as const,
    );
  store.close();
  service.close();
  return plans;
}

const placeholders = (sql: string): readonly null[] => Array.from({ length: sql.split("?").length - 1 }, () => null);

describe("the cost of the store's statements", () => {
  async function useEverything(store: StorePorts): Promise<void> {
    await store.subscriptions.insert(subscription("sub_1"), 10);
    await store.subscriptions.list(ACME, { state: "enabled" }, { size: 2, after: { timeMs: T0, id: "x" } });
    await store.feed.load(ACME);
    await put(store, triedOnce("d1", "a1", T0), finished("d2", "failed", "a2"), delivery("d3", { status: "held" }));
    await store.deliveries.flush({
      events: [event("evt_1", { loggedAtMs: 1 })],
      deliveries: [first(finished("d1", "delivered", "b"))],
    });
    await claim(store);
    await store.deliveries.openSubscriptions();
    await store.deliveries.turnBack({ nowMs: T0, byMs: 1 });
    await store.deliveries.moveOpen({
      tenant: ACME,
      subscriptionId: "sub_1",
      from: "held",
      to: "waiting",
      nowMs: T0,
      limit: 9,
    });
    await store.deliveries.retry(ACME, "d2", T0);
    await store.deliveries.knownEvents([event("evt_1")]);
    await store.deliveries.knownDeliveries(ACME, ["d1"]);
    const after = { timeMs: T0, id: "x" };
    for (const page of [{ size: 5 }, { size: 5, after }]) {
      for (const filter of [{}, { passId: "p" }, { type: 1 }]) await store.deliveries.listEvents(ACME, filter, page);
      for (const of of [{}, { passId: "p" }, { eventId: "e" }, { subscriptionId: "s" }]) {
        for (const status of [{}, { status: "failed" }, { status: "delivered" }] as const) {
          await store.deliveries.listDeliveries(ACME, { ...of, ...status, fromMs: T0 }, page);
          await store.deliveries.listDeliveries(ACME, { ...of, ...status, type: 1 }, page);
        }
      }
    }
  }

  test("none reads a whole table, and no page sorts more than the rows of one moment or one event", async () => {
    const plans = await plansOf(useEverything);
    expect(plans.length).toBeGreaterThan(40);
    const scans = plans.filter(([, plan]) => /\bSCAN (?!CONSTANT|wanted VIRTUAL)/u.test(plan));
    expect(scans).toEqual([]);
    const sorts = plans.filter(
      ([sql, plan]) => /USE TEMP B-TREE FOR ORDER BY/u.test(plan) && !sql.includes("deliveries_event"),
    );
    expect(sorts).toEqual([]);
  });

  test("a claim's look-ups of subscriptions read nothing but the index", async () => {
    const plans = await plansOf(useEverything);
    const steps = plans.filter(([sql]) => /> \(\?, \?, \?, /u.test(sql));
    expect(steps).toHaveLength(2);
    for (const [, plan] of steps) {
      // With fewer columns it would walk through all rows of a group to find the next.
      expect(plan).toMatch(
        /^SEARCH deliveries USING COVERING INDEX \w+ \(\(tenant,subscription_id,\w+,\w+\)>\(\?,\?,\?,\?\)\)$/u,
      );
    }
  });

  test("what is due is counted without a look at what waits for later, in the index alone", async () => {
    const plans = await plansOf(async (store) => {
      await put(store, waiting("d1", T0));
      await store.stats.backlog(ACME, T0);
    });
    const counts = plans.filter(([sql]) => sql.includes("count(*)") && sql.includes("work_at <= ?"));
    expect(counts.map(([, plan]) => plan)).toEqual([
      expect.stringContaining(
        "USING COVERING INDEX deliveries_work (tenant=? AND subscription_id=? AND work_class=? AND work_at<?)",
      ),
    ]);
  });

  test("what portal sessions are counted by is the end of those that live", async () => {
    const plans = await plansOf(async (store) => {
      const session = { id: "ses_1", tenant: ACME, entityId: "shop", hash: "h", createdAtMs: T0, expiresAtMs: T0 + 1 };
      await store.access.insertSession(session);
      await store.access.countLiveSessions(ACME, T0);
    });
    const counts = plans.filter(([sql]) => sql.includes("count(*) AS live"));
    expect(counts.map(([, plan]) => plan)).toEqual([
      "SEARCH portal_sessions USING INDEX portal_sessions_end (tenant=? AND expires_at>?)",
    ]);
  });
});

describe("what one answer carries", () => {
  test("an event that several claimed deliveries share comes once", async () => {
    const store = await start();
    const subscriptions = ["sub_a", "sub_b", "sub_c"];
    await put(store, ...subscriptions.map((subscriptionId) => waiting(`d_${subscriptionId}`, T0, { subscriptionId })));
    const { claimed } = await claim(store);
    expect([claimed.length, new Set(claimed.map((one) => one.event)).size]).toEqual([3, 1]);
  });

  test("a small event that is claimed beside large ones keeps no more than itself in memory", async () => {
    const store = await start();
    const large = Array.from({ length: 4 }, (_, at) => event(`evt_${at}`, { content: `${at}`.padEnd(64 * 1024) }));
    const events = [event("evt_small"), ...large];
    const deliveries = events.map(({ id }) => first(waiting(`d_${id}`, T0, { eventId: id })));
    await store.deliveries.flush({ events, deliveries });
    const { claimed } = await claim(store);
    expect(claimed).toHaveLength(5);
    const small = claimed.find((one) => one.event.id === "evt_small")?.event.value;
    expect(small?.buffer.byteLength).toBe(small?.byteLength);
  });

  test("a page of large events ends early, and says where it goes on", async () => {
    const store = await start();
    const large = Array.from({ length: 50 }, (_, index) => event(`evt_${index}`, { content: "x".padEnd(256 * 1024) }));
    await store.deliveries.flush({ events: large, deliveries: [] });
    const page = await store.deliveries.listEvents(ACME, {}, { size: 50 });
    expect(page.items.length).toBeLessThan(40);
    expect(page.next?.id).toBe(page.items.at(-1)?.id);
  });
});

test("a tenant whose first write failed is not taken for the next one", async () => {
  const store = await start();
  const { passId: _passId, ...broken } = event("evt_1");
  await expect(
    store.deliveries.flush({ events: [broken as typeof broken & { passId: never }], deliveries: [] }),
  ).rejects.toThrow();
  await store.deliveries.flush({ events: [event("evt_1", { tenant: GLOBEX })], deliveries: [] });
  expect(await store.deliveries.getEvent(event("evt_1"))).toBeUndefined();
  expect(await store.deliveries.getEvent(event("evt_1", { tenant: GLOBEX }))).toBeDefined();
});

test("a write that has arrived is done before the store closes", async () => {
  const service = storeService(openStore(directory));
  const written = service.handlers.insertKey([
    "key_1",
    "acme",
    "production",
    "admin",
    "hash",
    T0,
    null,
    null,
    null,
    null,
  ]);
  service.close();
  await written;
  const store = await start();
  expect((await store.access.findKey("key_1"))?.hash).toBe("hash");
});
