import { describe, expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import { deliveryId } from "../domain/delivery.ts";

describe("from the log", () => {
  test("an event goes to every subscription that matches, and its record is done when all is durable", async () => {
    const { store, sender, take, pass, done, row } = engineSetup();
    for (const id of ["sub_1", "sub_2"]) store.put(sampleSubscription({ id }));
    store.put(sampleSubscription({ id: "sub_other", entityId: "class-2" }));
    const event = sampleEvent("evt_1");
    await take(event);
    expect(sender.requests.map((request) => request.url)).toEqual([
      "https://example.com/sub_1",
      "https://example.com/sub_2",
    ]);
    expect(done).toEqual([]);
    await pass(50);
    expect(done).toEqual(["evt_1"]);
    expect(row(event, "sub_1")).toMatchObject({ status: "delivered", attemptCount: 1, run: 1, fence: 0 });
    expect(store.events.size).toBe(1);
  });

  test("an event that nobody wants is stored and done", async () => {
    const { store, take, pass, done } = engineSetup();
    await take(sampleEvent("evt_1"));
    await pass(50);
    expect(done).toEqual(["evt_1"]);
    expect(store.events.size).toBe(1);
  });

  test("one request takes long: its record is done after a second, its outcome counts all the same", async () => {
    const { engine, store, sender, take, pass, done, row } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(900);
    expect(done).toEqual([]);
    await pass(300);
    expect(done).toEqual(["evt_1"]);
    expect(row(event, "sub_1")).toMatchObject({ status: "attempting", fence: 0 });
    sender.open.shift()?.(answer(200));
    await pass(100);
    expect(row(event, "sub_1")).toMatchObject({ status: "delivered", attemptCount: 1 });
    expect(sender.requests).toHaveLength(1);
  });

  test("an endpoint that hangs keeps nothing in memory but what is in flight, and costs the others nothing", async () => {
    const { engine, store, sender, take, pass, done } = engineSetup();
    engine.start();
    for (const id of ["sub_hangs", "sub_well"]) store.put(sampleSubscription({ id }));
    sender.reply = (request) => (request.url.endsWith("hangs") ? undefined : answer(200));
    const events = Array.from({ length: 500 }, (_, at) => sampleEvent(`evt_${at}`, { passId: `pass-${at}` }));
    await take(...events);
    await pass(300);
    expect(sender.sentTo("sub_well")).toBe(500);
    expect(sender.sentTo("sub_hangs")).toBe(64);
    await pass(2_000);
    expect(done).toHaveLength(500);
    expect(engine.state).toMatchObject({ inFlight: 64, pending: 64 });
    const waiting = [...store.deliveries.values()].filter((row) => row.status === "waiting");
    expect(waiting).toHaveLength(500 - 64);
  });

  test("spilled work is fetched again and sent once the endpoint is well, the older first", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    await take(...Array.from({ length: 100 }, (_, at) => sampleEvent(`evt_${at}`)));
    await pass(1_500);
    sender.reply = () => answer(200);
    for (const resolve of sender.open.splice(0)) resolve(answer(200));
    await pass(1_000);
    expect(sender.requests).toHaveLength(100);
    expect([...store.deliveries.values()].filter((row) => row.status === "delivered")).toHaveLength(100);
  });
});

// What is not acknowledged with a 2xx comes again (seeds 000 and 003).
describe("retries", () => {
  test("a failure waits for its time and is sent again with the same webhook id", async () => {
    const { engine, store, sender, take, pass, row } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => answer(sender.requests.length === 1 ? 500 : 200);
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(100);
    expect(row(event, "sub_1")).toMatchObject({ status: "waiting", workClass: "retry", runAttempts: 1 });
    await pass(3_800);
    expect(sender.requests).toHaveLength(1);
    await pass(2_500);
    expect(row(event, "sub_1")).toMatchObject({ status: "delivered", attemptCount: 2, fence: 1 });
    const ids = sender.requests.map((request) => request.headers["webhook-id"]);
    expect(new Set(ids)).toEqual(new Set([deliveryId(event.stored, "sub_1")]));
  });

  test("when the schedule is used up it has failed", async () => {
    const { engine, store, sender, take, pass, row } = engineSetup();
    engine.start();
    const policy = { ...sampleSubscription().policy, retryScheduleMs: [100, 100] };
    store.put(sampleSubscription({ policy }));
    sender.reply = () => answer(503);
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(1_000);
    expect(sender.requests).toHaveLength(3);
    expect(row(event, "sub_1")).toMatchObject({ status: "failed", attemptCount: 3 });
    expect(row(event, "sub_1")).not.toHaveProperty("dueAtMs");
  });

  test("410 fails the delivery and disables the subscription", async () => {
    const { store, sender, take, pass, row, disabled } = engineSetup();
    store.put(sampleSubscription());
    sender.reply = () => answer(410);
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(50);
    expect(row(event, "sub_1")?.status).toBe("failed");
    expect(disabled).toEqual(["sub_1"]);
  });

  test("what an attempt uses is read when it starts: a corrected URL reaches waiting work", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = (request) => answer(request.url.endsWith("/corrected") ? 200 : 500);
    await take(sampleEvent("evt_1"));
    store.put(sampleSubscription({ url: "https://example.com/corrected", version: 2 }));
    await pass(7_000);
    expect(sender.sentTo("corrected")).toBe(1);
  });
});

describe("repeats", () => {
  test("a record that comes again while its delivery is in flight joins it", async () => {
    const { engine, store, sender, take, pass, done, arrival } = engineSetup();
    store.put(sampleSubscription());
    sender.reply = () => undefined;
    await take(sampleEvent("evt_1"));
    engine.take([arrival(sampleEvent("evt_1"))]);
    await settled();
    await pass(100);
    expect(done).toEqual([]);
    sender.open.shift()?.(answer(200));
    await pass(100);
    expect(sender.requests).toHaveLength(1);
    expect(done).toEqual(["evt_1", "evt_1"]);
  });

  test("what is stored stops, what a crash left out goes on", async () => {
    const { store, sender, take, pass, done, row } = engineSetup();
    for (const id of ["sub_1", "sub_2"]) store.put(sampleSubscription({ id }));
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(100);
    store.deliveries.delete(deliveryId(event.stored, "sub_2"));
    await take(sampleEvent("evt_1"));
    await pass(100);
    expect([sender.sentTo("sub_1"), sender.sentTo("sub_2")]).toEqual([1, 2]);
    expect(row(event, "sub_2")?.status).toBe("delivered");
    expect(done).toEqual(["evt_1", "evt_1"]);
  });

  test("what is sent of a repeat has the first record's time, as the first webhook had", async () => {
    const { store, sender, take, pass } = engineSetup();
    store.put(sampleSubscription());
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(100);
    store.deliveries.delete(deliveryId(event.stored, "sub_1"));
    await take(sampleEvent("evt_1", { loggedAtMs: event.stored.loggedAtMs + 3_600_000 }));
    await pass(100);
    const bodies = sender.requests.map(({ body }) => body.toString());
    expect(bodies).toHaveLength(2);
    expect(bodies[1]).toBe(bodies[0]);
  });

  test("a subscription younger than the event's first record gets nothing of its repeat", async () => {
    const { store, sender, take, pass, clock } = engineSetup();
    await take(sampleEvent("evt_1", { loggedAtMs: clock.now() }));
    await pass(100);
    store.put(sampleSubscription({ createdAtMs: clock.now() + 60_000 }));
    await take(sampleEvent("evt_1", { loggedAtMs: clock.now() + 120_000 }));
    await pass(100);
    expect(sender.requests).toHaveLength(0);
  });

  test.each(["in memory", "in the store"])("the same id with other content is a conflict: %s", async (where) => {
    const { store, sender, take, pass, conflicts, done } = engineSetup();
    store.put(sampleSubscription());
    await take(sampleEvent("evt_1"));
    if (where === "in the store") await pass(100);
    await take(sampleEvent("evt_1", { passId: "pass-2" }));
    await pass(100);
    expect(conflicts).toEqual(["evt_1"]);
    expect(done).toEqual(["evt_1"]);
    expect(sender.requests).toHaveLength(1);
  });

  test("a conflict that only the flush sees discards the outcome", async () => {
    const { store, take, pass, conflicts, done } = engineSetup();
    store.put(sampleSubscription());
    await take(sampleEvent("evt_1"));
    const other = sampleEvent("evt_1", { passId: "pass-2" });
    store.events.set("acme/production/evt_1", other.stored);
    await pass(100);
    expect(conflicts).toEqual(["evt_1"]);
    expect(done).toEqual([]);
    expect(store.deliveries.size).toBe(0);
  });

  test.each([
    ["knows the other", true],
    ["did not know of it yet", false],
  ])("so is a repeat that was asked for before, when the store %s", async (_, isKnown) => {
    const { engine, store, sender, arrival, take, pass, conflicts, done } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    const event = sampleEvent("evt_1");
    await take(event);
    const [flush, known] = [store.flush.bind(store), store.knownEvents.bind(store)];
    const [flushed, asked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    store.flush = async (batch) => {
      await flushed.promise;
      return flush(batch);
    };
    store.knownEvents = async (keys) => {
      store.knownEvents = known;
      await asked.promise;
      return isKnown ? known(keys) : keys.map(() => undefined);
    };
    await pass(50);
    engine.take([arrival(event)]);
    await pass(1);
    store.events.set("acme/production/evt_1", sampleEvent("evt_1", { passId: "pass-2" }).stored);
    flushed.resolve();
    await pass(1);
    expect(conflicts).toEqual(["evt_1"]);
    asked.resolve();
    await pass(500);
    expect(conflicts).toEqual(["evt_1", "evt_1"]);
    expect(done).toEqual([]);
    expect(sender.requests).toHaveLength(1);
    expect(store.deliveries.size).toBe(0);
  });
});

describe("while the store fails", () => {
  test("no new attempt starts, and no record is done, until a flush succeeds", async () => {
    const { store, sender, take, pass, done, engine } = engineSetup();
    store.put(sampleSubscription());
    store.flushError = new Error("disk full");
    await take(sampleEvent("evt_1"));
    await pass(200);
    expect(engine.isFull()).toBe(true);
    await take(sampleEvent("evt_2"));
    await pass(2_000);
    expect(sender.requests).toHaveLength(1);
    expect(done).toEqual([]);
    store.flushError = undefined;
    await pass(6_000);
    expect(sender.requests).toHaveLength(2);
    expect(done.sort()).toEqual(["evt_1", "evt_2"]);
  });
});

// "Disabled: Temporarily paused" (seed 000).
describe("disabled subscriptions", () => {
  test("HOLD keeps events and sends them when it is enabled again", async () => {
    const { engine, store, sender, take, pass, row, done, clock } = engineSetup();
    engine.start();
    const policy = { ...sampleSubscription().policy, whileDisabled: "hold" as const };
    const span = { fromMs: clock.now() };
    store.put(sampleSubscription({ policy, state: "disabled", disabledSpans: [span] }));
    const event = sampleEvent("evt_1", { loggedAtMs: clock.now() + 1 });
    await take(event);
    await pass(100);
    expect(row(event, "sub_1")?.status).toBe("held");
    expect(done).toEqual(["evt_1"]);
    store.put(sampleSubscription({ policy, version: 2, disabledSpans: [{ ...span, toMs: clock.now() }] }));
    await pass(2_500);
    expect(row(event, "sub_1")?.status).toBe("delivered");
    expect(sender.requests).toHaveLength(1);
  });

  test("DROP is decided by when the event was accepted, not by when it is matched", async () => {
    const { store, sender, take, pass, clock } = engineSetup();
    const span = { fromMs: clock.now() - 1_000, toMs: clock.now() };
    store.put(sampleSubscription({ disabledSpans: [span] }));
    await take(
      sampleEvent("evt_before", { loggedAtMs: span.fromMs - 1 }),
      sampleEvent("evt_during", { loggedAtMs: span.fromMs }),
      sampleEvent("evt_after", { loggedAtMs: span.toMs }),
    );
    await pass(100);
    expect(sender.requests).toHaveLength(2);
    expect(store.deliveries.size).toBe(2);
  });

  test("waiting work of a subscription that is disabled or deleted is held or cancelled", async () => {
    const { engine, store, sender, take, pass, row } = engineSetup();
    engine.start();
    for (const id of ["sub_1", "sub_2"]) store.put(sampleSubscription({ id }));
    sender.reply = () => answer(500);
    const event = sampleEvent("evt_1");
    await take(event);
    await pass(100);
    store.put(sampleSubscription({ id: "sub_1", state: "disabled", disabledReason: "gone", version: 2 }));
    store.remove(sampleSubscription({ id: "sub_2" }));
    await pass(1_200);
    expect(row(event, "sub_1")?.status).toBe("held");
    expect(row(event, "sub_2")?.status).toBe("cancelled");
    await pass(10_000);
    expect(sender.requests).toHaveLength(2);
  });
});
