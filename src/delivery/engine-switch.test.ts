/** The kill switch in the engine: what comes in while nothing may leave, and what happens when it may again. */
import { expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";

const GLOBEX = { organisation: "globex", environment: "production" };

const events = (count: number, prefix = "evt") =>
  Array.from({ length: count }, (_, at) => sampleEvent(`${prefix}_${String(at).padStart(3, "0")}`));

function stage() {
  const setup = engineSetup();
  setup.engine.start();
  setup.store.put(sampleSubscription());
  const { organisation } = sampleSubscription().tenant;
  const statuses = () => {
    const counts: Record<string, number> = {};
    for (const { status } of setup.store.deliveries.values()) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  return { ...setup, organisation, statuses };
}

test.each(["its organisation's", "all"])(
  "%s stopped: events are recorded and done, and their webhooks wait",
  async (which) => {
    const { stops, organisation, sender, take, pass, done, row, statuses, store } = stage();
    stops.add(which === "all" ? "" : organisation);
    const sent = events(100);
    await take(...sent);
    await pass(3_000);
    expect(done).toHaveLength(100);
    expect(store.events.size).toBe(100);
    expect(sender.requests).toEqual([]);
    expect(statuses()).toEqual({ waiting: 100 });
    for (const event of sent) {
      expect(row(event, "sub_1")).toMatchObject({ workClass: "live", runAttempts: 0, attemptCount: 0, run: 1 });
    }
  },
);

test("other organisations' go out, those that come and those that are due", async () => {
  const { stops, organisation, store, sender, take, pass } = stage();
  stops.add(organisation);
  store.put(sampleSubscription({ id: "sub_globex", tenant: GLOBEX }));
  let failures = 1;
  sender.reply = () => answer(failures-- > 0 ? 500 : 200);
  await take(...events(50), sampleEvent("evt_other", { tenant: GLOBEX }));
  await pass(10_000);
  expect([sender.sentTo("sub_globex"), sender.sentTo("sub_1")]).toEqual([2, 0]);
});

test("what is in flight ends, and what waits in memory goes to the store; then all goes, the older first", async () => {
  const { engine, stops, organisation, sender, take, pass, statuses } = stage();
  sender.reply = () => undefined;
  await take(...events(200));
  const inFlight = sender.requests.length;
  expect(inFlight).toBeGreaterThan(0);
  expect(inFlight).toBeLessThan(200);
  stops.add(organisation);
  sender.reply = () => answer(200);
  for (const resolve of sender.open.splice(0)) resolve(answer(200));
  await settled();
  await pass(1_500);
  expect(sender.requests).toHaveLength(inFlight);
  expect(statuses()).toEqual({ delivered: inFlight, waiting: 200 - inFlight });

  await take(...events(20, "late"));
  await pass(500);
  expect(sender.requests).toHaveLength(inFlight);
  stops.delete(organisation);
  engine.wake();
  await pass(3_000);
  expect(statuses()).toEqual({ delivered: 220 });
  const ids = sender.requests.slice(inFlight).map(({ headers }) => headers["webhook-id"]);
  expect(new Set(ids).size).toBe(220 - inFlight);
  const bodies = sender.requests.slice(inFlight).map(({ body }) => body.toString());
  const firstLate = bodies.findIndex((body) => body.includes("late_"));
  expect(bodies.slice(firstLate).filter((body) => !body.includes("late_"))).toEqual([]);
});

test("a retry that comes due while stopped keeps its place in the schedule", async () => {
  const { engine, stops, organisation, sender, take, pass, row } = stage();
  sender.reply = () => answer(500);
  const [event = sampleEvent("none")] = events(1);
  await take(event);
  await pass(100);
  const dueAtMs = row(event, "sub_1")?.dueAtMs;
  stops.add(organisation);
  await pass(60_000);
  expect(row(event, "sub_1")).toMatchObject({ status: "waiting", workClass: "retry", runAttempts: 1, dueAtMs });
  sender.reply = () => answer(200);
  stops.delete(organisation);
  engine.wake();
  await pass(1_500);
  expect(row(event, "sub_1")).toMatchObject({ status: "delivered", attemptCount: 2 });
});

test("newer work queues behind what a stop left in the store", async () => {
  const { engine, stops, organisation, store, sender, take, pass, statuses } = stage();
  store.put(sampleSubscription({ id: "sub_globex", tenant: GLOBEX }));
  stops.add(organisation);
  await take(...events(600));
  // Claims for others say nothing of what is left of this one.
  await pass(2_500);
  sender.reply = () => undefined;
  stops.delete(organisation);
  await take(...events(300, "late"));
  const early = () => sender.requests.filter(({ body }) => body.toString().includes("evt_")).length;
  await pass(100);
  engine.wake();
  for (let round = 0; round < 200 && early() < 600; round++) {
    for (const resolve of sender.open.splice(0)) resolve(answer(200));
    await pass(50);
  }
  const late = sender.requests.filter(({ body }) => body.toString().includes("late_")).length;
  expect(early()).toBe(600);
  // What the lane could take at once, before it was known what waits.
  expect(late).toBeLessThan(300);
  sender.reply = () => answer(200);
  for (const resolve of sender.open.splice(0)) resolve(answer(200));
  await pass(5_000);
  expect(statuses()).toEqual({ delivered: 900 });
});
