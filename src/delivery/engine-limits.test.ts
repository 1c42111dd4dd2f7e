import { describe, expect, test } from "vitest";
import { ASSIGNMENT, answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import { sleep } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Tenant } from "../kernel/tenant.ts";

describe("partitions and stops", () => {
  test("queued work of a lost generation is neither sent nor recorded", async () => {
    const { engine, store, sender, lost, take, pass, done } = engineSetup();
    store.put(sampleSubscription());
    lost.add(ASSIGNMENT.partition);
    await take(sampleEvent("evt_1"));
    await pass(100);
    expect(sender.requests).toHaveLength(0);
    expect(store.deliveries.size).toBe(0);
    expect(done).toEqual([]);
    expect(engine.state.pending).toBe(0);
  });

  test("a record of a partition that stays inherits work that vanished with another partition", async () => {
    const { engine, store, sender, lost, take, pass, done, arrival } = engineSetup();
    store.put(sampleSubscription({ policy: { ...sampleSubscription().policy, maxInFlight: 1 } }));
    sender.reply = () => undefined;
    await take(sampleEvent("evt_0"), sampleEvent("evt_1"));
    engine.take([arrival(sampleEvent("evt_1"), { topic: "pass.events", partition: 1, generation: 1 })]);
    await settled();
    lost.add(ASSIGNMENT.partition);
    engine.drop([ASSIGNMENT]);
    await settled();
    sender.reply = () => answer(200);
    sender.open.shift()?.(answer(200));
    await pass(100);
    expect(sender.requests).toHaveLength(2);
    expect(done.filter((id) => id === "evt_1")).toHaveLength(1);
  });

  test("a stop lets what is in flight end, leaves the queue in the log, and records", async () => {
    const { engine, store, sender, take, pass, done, row } = engineSetup();
    const policy = { ...sampleSubscription().policy, maxInFlight: 1 };
    store.put(sampleSubscription({ policy }));
    sender.reply = () => undefined;
    const [first, second] = [sampleEvent("evt_1"), sampleEvent("evt_2")];
    await take(first, second);
    const stopped = engine.stop(1_000);
    await settled();
    sender.open.shift()?.(answer(200));
    await pass(2_000);
    await stopped;
    expect(row(first, "sub_1")?.status).toBe("delivered");
    expect(row(second, "sub_1")).toBeUndefined();
    expect(done).toEqual(["evt_1"]);
  });

  test("a stop leaves the log as soon as nothing of it is open, however long a slow request takes", async () => {
    const { engine, store, sender, take, pass, done } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    await take(sampleEvent("evt_1"));
    let left = false;
    const stopped = engine.stop(5_000, async () => {
      left = true;
    });
    await pass(800);
    expect(left).toBe(false);
    // Past a second it is under a lease, and its record is done with.
    await pass(700);
    expect(done).toEqual(["evt_1"]);
    expect(left).toBe(true);
    expect(engine.state.inFlight).toBe(1);
    await pass(15_000);
    await stopped;
  });

  test("a stop whose last flush never comes leaves the log all the same, at the end", async () => {
    const { engine, store, sender, take, pass, done } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => answer(200);
    store.flushError = new Error("disk full");
    await take(sampleEvent("evt_1"));
    let left = false;
    const stopped = engine.stop(500, async () => {
      left = true;
    });
    await pass(400);
    expect(left).toBe(false);
    await pass(10_000);
    await stopped;
    expect(left).toBe(true);
    expect(done).toEqual([]);
  });

  test("a stop cuts what hangs: from the log it stays there, leased work is due again", async () => {
    const { engine, store, sender, take, pass, row, done } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    const [old, young] = [sampleEvent("evt_1"), sampleEvent("evt_2")];
    await take(old);
    await pass(1_200);
    await take(young);
    const stopped = engine.stop(500);
    await pass(2_000);
    await stopped;
    expect(row(old, "sub_1")).toMatchObject({ status: "waiting", attemptCount: 0 });
    expect(row(young, "sub_1")).toBeUndefined();
    expect(done).toEqual(["evt_1"]);
  });
});

test("memory has a bound: with as many deliveries as may be nothing is planned, and with so much read ahead it is full", async () => {
  const { engine, store, sender, take } = engineSetup();
  sender.reply = () => undefined;
  for (let at = 0; at < 64; at++) store.put(sampleSubscription({ id: `sub_${at}` }));
  await take(...Array.from({ length: LIMITS.pendingDeliveries / 64 }, (_, at) => sampleEvent(`evt_${at}`)));
  expect(engine.state.pending).toBe(LIMITS.pendingDeliveries);
  await take(...Array.from({ length: LIMITS.readAheadEvents - 1 }, (_, at) => sampleEvent(`evt_ahead_${at}`)));
  expect(engine.isFull()).toBe(false);
  await take(sampleEvent("evt_last"));
  expect(engine.state.pending).toBe(LIMITS.pendingDeliveries);
  expect(engine.isFull()).toBe(true);
});

describe("one organisation's backlog", () => {
  const [busy, quiet] = ["acme", "globex"].map((organisation) => ({ ...TENANT, organisation }));
  const eventsOf = (tenant: Tenant | undefined, count: number) =>
    Array.from({ length: count }, (_, at) => sampleEvent(`evt_${at}`, { tenant: tenant ?? TENANT, passId: `p${at}` }));

  test("that fills memory leaves room for what another has read behind it, up to a bound", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    sender.reply = (request) => (request.url.includes("busy") ? undefined : answer(200));
    for (let at = 0; at < 64; at++) store.put(sampleSubscription({ id: `sub_busy_${at}`, tenant: busy ?? TENANT }));
    store.put(sampleSubscription({ id: "sub_quiet", tenant: quiet ?? TENANT }));
    await take(...eventsOf(busy, 200));
    expect(engine.state.pending).toBeGreaterThanOrEqual(LIMITS.pendingDeliveries);
    await take(...eventsOf(quiet, 1));
    expect(sender.sentTo("sub_quiet")).toBe(1);
    // As long as what it has is not durable, no more than its own few.
    await take(...eventsOf(quiet, 40).slice(1));
    expect(sender.sentTo("sub_quiet")).toBe(LIMITS.ownDeliveries);
    await pass(200);
    expect(sender.sentTo("sub_quiet")).toBe(40);
  });

  test("behind a lane that is full and gets on keeps nobody else's waiting", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    sender.reply = (request) => (request.url.includes("busy") ? undefined : answer(200));
    store.put(sampleSubscription({ id: "sub_busy", tenant: busy ?? TENANT }));
    store.put(sampleSubscription({ id: "sub_quiet", tenant: quiet ?? TENANT }));
    await take(...eventsOf(busy, 3_000));
    await take(...eventsOf(quiet, 100));
    expect(sender.sentTo("sub_quiet")).toBe(100);
    const { pending } = engine.state;
    expect(pending).toBeLessThan(LIMITS.laneQueue + 64 + 64);
    // It is filled up again as it empties, and nothing of it goes through the store.
    for (let round = 0; round < 100 && sender.sentTo("sub_busy") < 3_000; round++) {
      for (const resolve of sender.open.splice(0)) resolve(answer(200));
      await pass(50);
    }
    expect(sender.sentTo("sub_busy")).toBe(3_000);
    expect([...store.deliveries.values()].filter((row) => row.status === "waiting")).toEqual([]);
  });

  test("of many organisations at once memory takes a bounded part, and all get their turns", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    sender.reply = () => undefined;
    const tenants = Array.from({ length: 200 }, (_, at) => ({ ...TENANT, organisation: `org-${at}` }));
    for (const [at, tenant] of tenants.entries()) store.put(sampleSubscription({ id: `sub_${at}`, tenant }));
    for (const tenant of tenants) await take(...eventsOf(tenant, 50));
    expect(engine.state.pending).toBeGreaterThan(LIMITS.pendingDeliveries);
    expect(engine.state.pending).toBeLessThan(LIMITS.pendingDeliveries + LIMITS.sharedDeliveries + 64);
    const answerAll = async () => {
      for (const resolve of sender.open.splice(0)) resolve(answer(200));
      await pass(50);
    };
    // Half of everything is not planned by then, and each organisation has had its turn.
    for (let round = 0; sender.requests.length < 100 * 50; round++) {
      expect(round).toBeLessThan(50);
      await answerAll();
    }
    expect(new Set(sender.requests.map(({ url }) => url)).size).toBe(200);
    for (let round = 0; round < 50; round++) await answerAll();
    expect(sender.requests).toHaveLength(200 * 50);
  });
});

type Setup = ReturnType<typeof engineSetup>;

/** The store's calls of this name take 600 ms from now on. */
function slowDown({ store, clock }: Setup, name: "flush" | "claim"): void {
  const quick = { flush: store.flush.bind(store), claim: store.claim.bind(store) };
  if (name === "flush") store.flush = (batch) => sleep(clock, 600).then(() => quick.flush(batch));
  else store.claim = (request) => sleep(clock, 600).then(() => quick.claim(request));
}

describe("while this process, or the store, is the limit", () => {
  test.each([
    ["the process", ({ load }: Setup) => Object.assign(load, { value: 1 })],
    ["a store that is slow to write", (setup: Setup) => slowDown(setup, "flush")],
    ["a store that is slow to say what is due", (setup: Setup) => slowDown(setup, "claim")],
  ])("%s: a lane that gets on keeps its work in memory for longer, and the log waits for it", async (_what, limit) => {
    const setup = engineSetup();
    const { engine, store, sender, take, pass } = setup;
    limit(setup);
    engine.start();
    // By then it has been noticed.
    await take(sampleEvent("evt_before"));
    await pass(1_000);
    const policy = { ...sampleSubscription().policy, maxInFlight: 16 };
    store.put(sampleSubscription({ policy }));
    sender.reply = () => undefined;
    await take(...Array.from({ length: LIMITS.laneQueue + 16 }, (_, at) => sampleEvent(`evt_${at}`)));
    for (let round = 0; round < 20; round++) {
      for (const resolve of sender.open.splice(0)) resolve(answer(200));
      await pass(100);
    }
    expect(engine.isFull()).toBe(false);
    expect(sender.requests).toHaveLength(LIMITS.laneQueue + 16);
    expect([...store.deliveries.values()].filter((row) => row.status === "waiting")).toEqual([]);
  });

  test("one that hangs leaves memory all the same", async () => {
    const { engine, store, sender, load, take, pass } = engineSetup();
    load.value = 1;
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    await take(...Array.from({ length: LIMITS.laneQueue }, (_, at) => sampleEvent(`evt_${at}`)));
    await pass(1_500);
    expect(engine.state).toMatchObject({ inFlight: 64, pending: 64 });
  });
});

describe("many endpoints that hang", () => {
  test("take neither the others' slots nor the log, and are tried with a few requests until they answer", async () => {
    const { engine, store, sender, take, pass, done } = engineSetup();
    engine.start();
    const policy = { ...sampleSubscription().policy, maxInFlight: 256 };
    const hanging = Array.from({ length: 6 }, (_, at) => `sub_hangs_${at}`);
    for (const id of hanging) store.put(sampleSubscription({ id, policy }));
    store.put(sampleSubscription({ id: "sub_well" }));
    sender.reply = (request) => (request.url.includes("hangs") ? undefined : answer(200));
    for (let at = 0; at < 3_000; at += 100) {
      await take(...Array.from({ length: 100 }, (_, one) => sampleEvent(`evt_${at + one}`, { passId: `pass-${one}` })));
      await pass(100);
    }
    await pass(3_000);
    expect(sender.sentTo("sub_well")).toBe(3_000);
    expect(done).toHaveLength(3_000);
    for (const id of hanging) expect(sender.sentTo(id)).toBeLessThanOrEqual(256);
    expect(engine.isFull()).toBe(false);

    const timedOut = { kind: "failure", reason: "attempt.timeout", message: "", durationMs: 15_000 } as const;
    for (const resolve of sender.open.splice(0)) resolve(timedOut);
    await pass(3_000);
    expect(sender.open.length).toBeLessThanOrEqual(hanging.length * 64);
  }, 60_000);

  test("a stall of the store leaves nothing paused behind it", async () => {
    const { engine, store, take, pass } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    let isPaused = false;
    engine.onRoom(() => {
      isPaused = engine.isFull();
    });
    await take(sampleEvent("evt_1"));
    store.flushError = new Error("disk full");
    await pass(100);
    await take(sampleEvent("evt_1"));
    isPaused = engine.isFull();
    expect(isPaused).toBe(true);
    store.flushError = undefined;
    await pass(6_000);
    expect(isPaused).toBe(false);
  });

  test("queued work of a lost generation is not spilled either", async () => {
    const { engine, store, sender, lost, take, pass } = engineSetup();
    engine.start();
    const policy = { ...sampleSubscription().policy, maxInFlight: 1 };
    store.put(sampleSubscription({ policy }));
    sender.reply = () => undefined;
    await take(...Array.from({ length: 20 }, (_, at) => sampleEvent(`evt_${at}`)));
    lost.add(ASSIGNMENT.partition);
    await pass(2_000);
    expect([...store.deliveries.values()]).toEqual([]);
  });

  test("a stored event that can't be read fails by itself, and its neighbours go on", async () => {
    const { engine, store, sender, take, pass, row } = engineSetup();
    store.put(sampleSubscription());
    sender.reply = () => answer(500);
    const [bad, good] = [sampleEvent("evt_bad"), sampleEvent("evt_good")];
    await take(bad, good);
    await pass(100);
    store.events.set("acme/production/evt_bad", { ...bad.stored, value: Uint8Array.of(255, 255, 255) });
    sender.reply = () => answer(200);
    engine.start();
    await pass(8_000);
    expect(row(good, "sub_1")?.status).toBe("delivered");
    expect(row(bad, "sub_1")).toMatchObject({ status: "waiting", attemptCount: 2 });
    expect(row(bad, "sub_1")?.attempts[1]).toMatchObject({ errorCode: "format.failed" });
  });
});

describe("a wall clock that is set back", () => {
  test("keeps no retry waiting for as long as it was ahead", async () => {
    const setup = engineSetup();
    const { clock, engine, sender, store, take, pass } = setup;
    store.put(sampleSubscription({ policy: { ...sampleSubscription().policy, retryScheduleMs: [2_000, 2_000] } }));
    engine.start();
    sender.reply = () => answer(400);
    clock.step(3_600_000);
    await take(sampleEvent("e1"));
    await pass(500);
    expect(sender.requests).toHaveLength(1);
    clock.step(-3_600_000);
    await pass(5_000);
    expect(sender.requests.length).toBeGreaterThanOrEqual(2);
    await engine.stop(0);
  });

  test("under two workers of one store brings a retry nearer once, and ends nobody's lease", async () => {
    const hour = 3_600_000;
    const first = engineSetup();
    const second = engineSetup(first);
    const { clock, sender, store, take, pass, row } = first;
    store.put(sampleSubscription({ policy: { ...sampleSubscription().policy, retryScheduleMs: [3 * hour] } }));
    store.put(sampleSubscription({ id: "sub_2" }));
    sender.reply = ({ url }) => (url.endsWith("/sub_2") ? undefined : answer(400));
    const [waits, flies] = [sampleEvent("e1"), sampleEvent("e2")];
    first.engine.start();
    second.engine.start();
    await take(waits, flies);
    await pass(5_000);
    const dueAtMs = row(waits, "sub_1")?.dueAtMs ?? 0;
    const held = row(flies, "sub_2");
    expect(held).toMatchObject({ status: "attempting", fence: 0 });
    clock.step(-hour);
    await pass(5_000);
    expect(row(waits, "sub_1")?.dueAtMs).toBe(dueAtMs - hour);
    expect(row(flies, "sub_2")).toMatchObject({ status: "attempting", fence: 0 });
    expect(row(flies, "sub_2")?.leaseUntilMs).toBeGreaterThan(clock.now() + 50_000);
    expect(second.sender.requests).toEqual([]);
    for (const resolve of sender.open.splice(0)) resolve(answer(200));
    await pass(1_000);
    await Promise.all([first.engine.stop(0), second.engine.stop(0)]);
  });
});

test("a lease that a worker's clock wrote for an hour ahead ends within minutes when that worker is dead", async () => {
  const dead = engineSetup();
  dead.store.put(sampleSubscription());
  dead.sender.reply = () => undefined;
  const event = sampleEvent("e1");
  dead.engine.start();
  await dead.take(event);
  await dead.pass(5_000);
  const row = dead.row(event, "sub_1");
  if (row?.status !== "attempting") throw new Error("there is no lease");
  const { engine, store, sender, pass } = engineSetup();
  store.put(sampleSubscription());
  store.events.set("acme/production/e1", event.stored);
  store.deliveries.set(row.id, { ...row, leaseUntilMs: (row.leaseUntilMs ?? 0) + 3_600_000 });
  engine.start();
  await pass(55_000);
  expect(sender.requests).toEqual([]);
  await pass(15_000);
  expect(sender.requests).toHaveLength(1);
  await engine.stop(0);
});
