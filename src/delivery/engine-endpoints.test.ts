import { describe, expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { DEFAULT_POLICY, type DeliveryPolicy } from "../domain/subscription.ts";
import { BREAKER } from "./breaker.ts";

type Setup = ReturnType<typeof engineSetup>;

const HOUR_MS = 3_600_000;
const events = (count: number, name = "evt") => Array.from({ length: count }, (_, at) => sampleEvent(`${name}_${at}`));
const policy = (over: Partial<DeliveryPolicy>): DeliveryPolicy => ({ ...DEFAULT_POLICY, ...over });
const rowsOf = ({ store }: Setup) => [...store.deliveries.values()];

/** Its endpoint has answered ten requests with 500, and the breaker is open. */
async function opened(setup: Setup, over: Partial<DeliveryPolicy> = {}): Promise<void> {
  const { engine, store, sender, take, pass } = setup;
  engine.start();
  store.put(sampleSubscription({ policy: policy({ retryScheduleMs: [100, HOUR_MS], ...over }) }));
  sender.reply = () => answer(500);
  await take(...events(BREAKER.failures));
  await pass(50);
  expect(sender.requests).toHaveLength(BREAKER.failures);
}

describe("the breaker", () => {
  test("open, it lets nothing go: new events and due retries wait in the store, and use up nothing", async () => {
    const setup = engineSetup();
    const { store, sender, take, pass, done, engine } = setup;
    await opened(setup);
    expect(store.endpoints.of("sub_1")).toMatchObject({ breaker: "open", openings: 1, consecutiveFailures: 10 });
    await take(...events(50, "new"));
    await pass(3_500);
    expect(sender.requests).toHaveLength(BREAKER.failures);
    expect(done).toHaveLength(60);
    expect(engine.state).toMatchObject({ inFlight: 0, pending: 0 });
    const untried = rowsOf(setup).filter(({ attemptCount }) => attemptCount === 0);
    expect(untried).toHaveLength(50);
    for (const row of untried) expect(row).toMatchObject({ status: "waiting", workClass: "live", runAttempts: 0 });
    for (const row of rowsOf(setup)) expect(row.status).toBe("waiting");
  });

  test("probes with one delivery, the oldest live one, and less and less often", async () => {
    const setup = engineSetup();
    const { sender, take, pass, row } = setup;
    await opened(setup);
    const [first, ...others] = events(5, "new");
    if (first === undefined) throw new Error("no event");
    await take(first, ...others);
    await pass(6_500);
    expect(sender.requests).toHaveLength(BREAKER.failures + 1);
    expect(row(first, "sub_1")).toMatchObject({ status: "waiting", attemptCount: 1 });
    await pass(7_500);
    expect(sender.requests).toHaveLength(BREAKER.failures + 1);
    await pass(6_500);
    expect(sender.requests).toHaveLength(BREAKER.failures + 2);
    await pass(60_000);
    expect(sender.requests.length).toBeLessThanOrEqual(BREAKER.failures + 5);
  });

  test("closes when the probe is answered, and what waits goes, few at a time first", async () => {
    const setup = engineSetup();
    const { store, sender, take, pass } = setup;
    await opened(setup);
    await take(...events(200, "new"));
    sender.reply = () => undefined;
    await pass(6_500);
    expect(sender.open).toHaveLength(1);
    await pass(5_000);
    expect(sender.open).toHaveLength(1);
    const atOnce: number[] = [];
    for (let round = 0; round < 8; round++) {
      for (const resolve of sender.open.splice(0)) resolve(answer(200));
      await pass(100);
      atOnce.push(sender.open.length);
    }
    expect(store.endpoints.of("sub_1")).toMatchObject({ breaker: "closed", consecutiveFailures: 0 });
    expect(atOnce.slice(0, 4)).toEqual([2, 4, 8, 16]);
    sender.reply = () => answer(200);
    for (const resolve of sender.open.splice(0)) resolve(answer(200));
    await pass(3_000);
    expect(rowsOf(setup).filter(({ status }) => status === "delivered")).toHaveLength(210);
  });

  test("Retry-After makes it wait for longer", async () => {
    const setup = engineSetup();
    const { sender, take, pass, engine, store } = setup;
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => ({ ...answer(503), headers: { "retry-after": "60" } });
    await take(...events(BREAKER.failures));
    await pass(59_000);
    expect(sender.requests).toHaveLength(BREAKER.failures);
    await pass(3_000);
    expect(sender.requests).toHaveLength(BREAKER.failures + 1);
  });

  test("400s come from an endpoint that lives: it stays closed", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    store.put(sampleSubscription());
    sender.reply = () => answer(400);
    await take(...events(30));
    await pass(600);
    expect(sender.requests).toHaveLength(30);
    expect(store.endpoints.of("sub_1")).toMatchObject({ breaker: "closed", consecutiveFailures: 30 });
  });

  test("what waits in memory when it opens leaves for the store", async () => {
    const setup = engineSetup();
    const { engine, store, sender, take, pass, done } = setup;
    engine.start();
    store.put(sampleSubscription({ policy: policy({ maxInFlight: 10 }) }));
    sender.reply = () => undefined;
    await take(...events(100));
    for (const resolve of sender.open.splice(0)) resolve(answer(500));
    await pass(200);
    expect(sender.requests.length).toBeLessThanOrEqual(20);
    for (const resolve of sender.open.splice(0)) resolve(answer(500));
    await pass(200);
    expect(done).toHaveLength(100);
    expect(engine.state.pending).toBe(0);
  });

  test("another endpoint has nothing to do with it", async () => {
    const { engine, store, sender, take, pass } = engineSetup();
    engine.start();
    for (const id of ["sub_1", "sub_well"]) store.put(sampleSubscription({ id }));
    sender.reply = (request) => answer(request.url.endsWith("well") ? 200 : 500);
    await take(...events(BREAKER.failures));
    await pass(100);
    await take(...events(20, "new"));
    await pass(100);
    expect(sender.sentTo("sub_well")).toBe(BREAKER.failures + 20);
    expect(sender.sentTo("sub_1")).toBe(BREAKER.failures);
  });
});

describe("workers that share a store", () => {
  test("one opens it, the other knows within a second, and of both one probes", async () => {
    const first = engineSetup();
    await opened(first);
    const second = engineSetup(first);
    second.sender.reply = () => answer(500);
    second.engine.start();
    await second.pass(1_000);
    await second.take(...events(50, "new"));
    await second.pass(2_500);
    expect(second.sender.requests).toHaveLength(0);
    await second.pass(3_000);
    expect(first.sender.requests.length + second.sender.requests.length).toBe(BREAKER.failures + 1);
    first.sender.reply = () => answer(200);
    second.sender.reply = () => answer(200);
    await second.pass(20_000);
    expect(rowsOf(first).filter(({ status }) => status !== "delivered").length).toBeLessThanOrEqual(1);
    expect(first.store.endpoints.of("sub_1")?.breaker).toBe("closed");
  });

  test("a probe whose worker died is another's when its lease has ended", async () => {
    const first = engineSetup();
    await opened(first);
    await first.take(...events(3, "new"));
    first.sender.reply = () => undefined;
    await first.pass(6_500);
    expect(first.sender.open).toHaveLength(1);
    // From here on its store is out of its reach, as after a crash.
    const second = engineSetup(first);
    second.sender.reply = () => answer(200);
    second.engine.start();
    await second.pass(BREAKER.probeLeaseMs - 8_000);
    expect(second.sender.requests).toHaveLength(0);
    await second.pass(10_000);
    expect(second.sender.requests.length).toBeGreaterThan(0);
    expect(first.store.endpoints.of("sub_1")?.breaker).toBe("closed");
  });

  test("a rate is theirs together", async () => {
    const first = engineSetup();
    const second = engineSetup(first);
    first.store.put(sampleSubscription({ policy: policy({ rate: { perSecond: 20, burst: 1 } }) }));
    first.engine.start();
    second.engine.start();
    await first.take(...events(300, "a"));
    await second.take(...events(300, "b"));
    await first.pass(2_000);
    const before = first.sender.requests.length + second.sender.requests.length;
    await first.pass(5_000);
    const sent = first.sender.requests.length + second.sender.requests.length - before;
    expect(sent).toBeGreaterThanOrEqual(90);
    expect(sent).toBeLessThanOrEqual(106);
  });
});

describe("a rate", () => {
  async function rated(perSecond: number, burst: number, count: number) {
    const setup = engineSetup();
    const { engine, store, take } = setup;
    engine.start();
    store.put(sampleSubscription({ policy: policy({ rate: { perSecond, burst }, retryScheduleMs: [1_000] }) }));
    await take(...events(count));
    return setup;
  }

  test("holds, and what is beyond it waits in the store, not in memory and not in the log", async () => {
    const setup = await rated(20, 20, 500);
    const { sender, pass, done, engine } = setup;
    expect(engine.state.pending).toBeLessThanOrEqual(45);
    await pass(1_500);
    expect(done).toHaveLength(500);
    expect(engine.state.pending).toBeLessThanOrEqual(45);
    const before = sender.requests.length;
    await pass(5_000);
    expect(sender.requests.length - before).toBeGreaterThanOrEqual(95);
    expect(sender.requests.length - before).toBeLessThanOrEqual(105);
    await pass(20_000);
    expect(rowsOf(setup).every(({ status, attemptCount }) => status === "delivered" && attemptCount === 1)).toBe(true);
  });

  test("of less than one a second too", async () => {
    const { sender, pass } = await rated(0.5, 1, 20);
    await pass(10_500);
    expect([5, 6]).toContain(sender.requests.length);
  });

  test("lets a burst go at once after a rest", async () => {
    const { sender, take, pass } = await rated(10, 30, 0);
    await take(...events(40, "first"));
    await pass(100);
    expect(sender.requests.length).toBeGreaterThanOrEqual(30);
    expect(sender.requests.length).toBeLessThanOrEqual(32);
  });

  test("of what waits, live goes before retries, and the older first", async () => {
    const { sender, pass, take } = await rated(10, 1, 0);
    sender.reply = () => answer(sender.requests.length <= 10 ? 400 : 200);
    await take(...events(10, "tried"));
    await pass(2_000);
    const seen = sender.requests.length;
    await take(...events(30, "live"));
    await pass(3_500);
    const ids = sender.requests.slice(seen + 4).map((request) => request.headers["webhook-id"]);
    const tried = new Set(sender.requests.slice(0, 10).map((request) => request.headers["webhook-id"]));
    expect(ids.slice(0, 24).filter((id) => tried.has(id))).toEqual([]);
    await pass(6_000);
    expect(new Set(sender.requests.map((request) => request.headers["webhook-id"])).size).toBe(40);
    expect(sender.requests.length).toBe(50);
  });

  test("that a subscription no longer has holds nothing back", async () => {
    const { sender, pass, store } = await rated(1, 1, 100);
    await pass(1_500);
    store.put(sampleSubscription({ policy: policy({}), version: 2 }));
    await pass(4_000);
    expect(sender.requests).toHaveLength(100);
  });
});

describe("an endpoint with nothing but failures", () => {
  test("for five days is disabled at the next failure", async () => {
    const { engine, store, sender, take, pass, disabled, clock } = engineSetup();
    engine.start();
    store.put(sampleSubscription({ policy: policy({ retryScheduleMs: [] }) }));
    sender.reply = () => answer(400);
    await take(...events(3));
    await pass(1_000);
    const since = store.endpoints.of("sub_1")?.failingSinceMs ?? 0;
    for (let day = 1; day <= 4; day++) {
      clock.advance(24 * HOUR_MS);
      await take(sampleEvent(`evt_day_${day}`));
      await pass(6_000);
    }
    clock.advance(24 * HOUR_MS - 60_000);
    await take(sampleEvent("evt_early"));
    await pass(6_000);
    expect(disabled).toEqual([]);
    clock.advance(60_000);
    await take(sampleEvent("evt_late"));
    await pass(6_000);
    expect(store.endpoints.of("sub_1")?.failingSinceMs).toBe(since);
    expect(disabled).toEqual(["sub_1"]);
  });

  test("is not disabled by a clock that jumps a year ahead", async () => {
    const { engine, store, sender, take, pass, disabled, clock } = engineSetup();
    engine.start();
    store.put(sampleSubscription({ policy: policy({ retryScheduleMs: [] }) }));
    sender.reply = () => answer(400);
    await take(...events(3));
    await pass(6_000);
    clock.step(365 * 24 * HOUR_MS);
    await take(...events(5, "ahead"));
    await pass(6_000);
    expect(store.endpoints.of("sub_1")).toMatchObject({ consecutiveFailures: 8 });
    expect(disabled).toEqual([]);
  });

  test("and a success counts from anew", async () => {
    const { engine, store, sender, take, pass, disabled, clock } = engineSetup();
    engine.start();
    store.put(sampleSubscription({ policy: policy({ retryScheduleMs: [] }) }));
    sender.reply = () => answer(400);
    await take(...events(3));
    await pass(1_000);
    clock.advance(4 * 24 * HOUR_MS);
    sender.reply = () => answer(200);
    await take(sampleEvent("evt_well"));
    await pass(6_000);
    sender.reply = () => answer(400);
    clock.advance(2 * 24 * HOUR_MS);
    await take(...events(3, "late"));
    await pass(6_000);
    expect(disabled).toEqual([]);
    expect(store.endpoints.of("sub_1")).toMatchObject({ consecutiveFailures: 3 });
  });
});
