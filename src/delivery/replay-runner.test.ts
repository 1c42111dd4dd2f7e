import { afterEach, describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  ACME,
  claim,
  delivery,
  event,
  finished,
  first,
  flush,
  outcome,
  put,
  type StorePorts,
  subscription,
} from "../../test/contracts/rows.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { decodedEvent } from "../../test/support/events.ts";
import { settled } from "../../test/support/settled.ts";
import type { Delivery } from "../domain/delivery.ts";
import { deliveryId } from "../domain/delivery.ts";
import { DEFAULT_POLICY, type Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { LIMITS } from "../kernel/limits.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { SubscriptionIndex } from "../matching/subscription-index.ts";
import { NOTHING_STOPPED } from "./kill-switch.ts";
import { type Replay, type ReplayFilter, sourceOf } from "./replay.ts";
import { ReplayRunner } from "./replay-runner.ts";

const T0 = 1_700_000_000_000;
const ORDERED = { ...DEFAULT_POLICY, ordering: "perPass" } as const;

const running: ReplayRunner[] = [];
afterEach(() => Promise.all(running.splice(0).map((runner) => runner.stop())));

/** Whatever is due is claimed and answered, once; its ids, in the order of the claim. */
function answering(ports: StorePorts, clock: ManualClock) {
  return async (status: "delivered" | "failed" | "waiting", limit = 1_000) => {
    const { claimed } = await claim(ports, {
      nowMs: clock.now(),
      limit,
      stopped: [],
    });
    const next =
      status === "waiting"
        ? ({ status, dueAtMs: clock.now() + 3_600_000, workClass: "replay" } as const)
        : ({ status, finishedAtMs: clock.now() } as const);
    await flush(ports, ...claimed.map(({ delivery }) => outcome(delivery, next, `${delivery.id}_${delivery.fence}`)));
    return claimed.map(({ delivery }) => delivery.id);
  };
}

interface Setup {
  readonly subscriptions?: readonly Subscription[];
}

async function setup({ subscriptions = [subscription("sub_1")] }: Setup = {}) {
  const store = embeddedStore();
  // Rows and claims need no other port.
  const ports = { deliveries: store.deliveries } as StorePorts;
  const clock = new ManualClock(T0 + 60_000);
  for (const each of subscriptions) await store.subscriptions.insert(each, 100);
  const stopped = { organisations: new Set<string>() };
  const state = { wakes: 0 };
  const runner = () => {
    const made = new ReplayRunner({
      jobs: store.replays,
      store: store.replays,
      index: new SubscriptionIndex({ feed: store.feed, typesOf: (format) => formatOf(format).types }),
      clock,
      log: silentLog,
      stopped: { ...NOTHING_STOPPED, isStopped: (organisation) => stopped.organisations.has(organisation) },
      onDue: () => {
        state.wakes += 1;
      },
    });
    running.push(made);
    made.start();
    return made;
  };
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      clock.advance(Math.min(100, left));
      await settled(30);
    }
  };
  const job = async (over: Partial<Omit<Replay, "filter">> & { readonly filter?: Partial<ReplayFilter> } = {}) => {
    const replay: Replay = {
      id: "rpl_1",
      tenant: ACME,
      ratePerSecond: 10,
      freshIds: false,
      state: "running",
      counted: 0,
      isWhollyCounted: true,
      sent: 0,
      skipped: 0,
      isAtEnd: false,
      deferred: [],
      fence: 0,
      createdAtMs: clock.now(),
      ...over,
      filter: { eventTypes: [], toMs: clock.now(), ...over.filter },
    };
    await store.replays.insert(replay, 10);
    return replay;
  };
  const now = async (id = "rpl_1") => {
    const replay = await store.replays.get(ACME, id);
    if (replay === undefined) throw new Error("there is no such replay");
    return replay;
  };
  const answer = answering(ports, clock);
  const keep = (...rows: readonly Delivery[]) => put(ports, ...rows);
  const rows = (count: number, over: (at: number) => Partial<Delivery> = () => ({})) =>
    Array.from({ length: count }, (_, at) =>
      finished(`d${String(at).padStart(5, "0")}`, "failed", `a${at}`, { createdAtMs: T0 + at, ...over(at) }),
    );
  return { store, clock, stopped, state, runner, pass, job, now, answer, keep, rows };
}

describe("a replay as it runs", () => {
  it("makes all due that fits, the oldest first, at its rate, and ends when each was attempted", async () => {
    const { runner, pass, job, now, answer, keep, rows, state } = await setup();
    await keep(...rows(25));
    await job();
    runner();
    await pass(1_000);
    const first = await now();
    expect(first.sent).toBeGreaterThanOrEqual(9);
    expect(first.sent).toBeLessThanOrEqual(11);
    expect(await answer("delivered")).toEqual(rows(first.sent).map(({ id }) => id));
    await pass(3_000);
    expect(await now()).toMatchObject({ state: "running", sent: 25, isAtEnd: true });
    expect(state.wakes).toBeGreaterThan(2);
    await answer("waiting");
    await pass(200);
    expect(await now()).toMatchObject({ state: "finished", sent: 25, skipped: 0 });
  });

  it("never has more under way than it may, whatever its rate", async () => {
    const { runner, pass, job, now, answer, keep, rows } = await setup();
    await keep(...rows(1_500));
    await job({ ratePerSecond: 10_000 });
    runner();
    await pass(3_000);
    expect((await now()).sent).toBe(LIMITS.replayUnderWay);
    await answer("delivered", 300);
    await pass(1_000);
    expect((await now()).sent).toBe(LIMITS.replayUnderWay + 100);
  });

  it("goes on from where it was when its worker stops, and each is sent once", async () => {
    const { runner, pass, job, now, answer, keep, rows } = await setup();
    await keep(...rows(40));
    await job();
    const one = runner();
    await pass(1_500);
    const { sent } = await now();
    expect(sent).toBeGreaterThan(5);
    await one.stop();
    runner();
    await pass(500);
    expect((await now()).sent).toBeGreaterThan(sent);
    await pass(5_000);
    const all = await answer("delivered");
    expect(all).toEqual(rows(40).map(({ id }) => id));
    expect((await now()).sent).toBe(40);
  });

  it("leaves alone what is open, what was cancelled, and what no enabled subscription is there for", async () => {
    const off = subscription("sub_off", { state: "disabled" });
    const { runner, pass, job, now, answer, keep, rows } = await setup({ subscriptions: [subscription("sub_1"), off] });
    const [one, two, three, four, five] = rows(5);
    if (!one || !two || !three || !four || !five) throw new Error("too few rows");
    await keep(
      { ...one, status: "held" },
      { ...two, status: "cancelled" },
      { ...three, subscriptionId: "sub_off" },
      { ...four, subscriptionId: "sub_gone" },
      five,
    );
    await job();
    runner();
    await pass(1_000);
    expect(await answer("delivered")).toEqual([five.id]);
    await pass(200);
    expect(await now()).toMatchObject({ state: "finished", sent: 1, skipped: 4 });
  });

  it("sends what was cancelled where it is asked for", async () => {
    const { runner, pass, job, answer, keep, rows } = await setup();
    await keep(...rows(2, (at) => (at === 0 ? { status: "cancelled" } : {})));
    await job({ filter: { status: "cancelled" } });
    runner();
    await pass(1_000);
    expect(await answer("delivered")).toEqual(["d00000"]);
  });

  it("waits while its one subscription is disabled, or its organisation's deliveries are stopped", async () => {
    const { store, stopped, runner, pass, job, now, keep, rows } = await setup();
    await keep(...rows(30));
    await job({ filter: { subscriptionId: "sub_1" } });
    stopped.organisations.add("acme");
    runner();
    await pass(12_000);
    expect((await now()).sent).toBe(0);
    stopped.organisations.clear();
    await pass(500);
    const { sent } = await now();
    expect(sent).toBeGreaterThan(0);
    const known = await store.subscriptions.get(ACME, "sub_1");
    if (known === undefined) throw new Error("sub_1 is not stored");
    await store.subscriptions.replace({ ...known, state: "disabled", version: known.version + 1 });
    await pass(12_000);
    expect(await now()).toMatchObject({ state: "running", sent, skipped: 0 });
  });

  it.each(["pause", "cancel"] as const)("makes nothing more due after a %s", async (change) => {
    const { store, clock, runner, pass, job, now, keep, rows } = await setup();
    await keep(...rows(50));
    await job();
    runner();
    await pass(1_000);
    await store.replays.change(ACME, "rpl_1", change, clock.now());
    const { sent } = await now();
    await pass(2_000);
    expect((await now()).sent).toBe(sent);
    if (change === "cancel") return;
    await store.replays.change(ACME, "rpl_1", "resume", clock.now());
    await pass(2_000);
    expect((await now()).sent).toBeGreaterThan(sent);
  });

  it("never meets its own repeats, nor what came after it was made", async () => {
    const { clock, runner, pass, job, now, answer, keep, rows } = await setup();
    await keep(...rows(3));
    await job({ freshIds: true });
    await keep(finished("d_later", "failed", "a_later", { createdAtMs: clock.now() }));
    runner();
    for (let round = 0; round < 10; round++) {
      await pass(500);
      await answer("failed");
    }
    await pass(200);
    expect(await now()).toMatchObject({ state: "finished", sent: 3, skipped: 0 });
  });
});

describe("a replay of an ordered subscription", () => {
  const ordered = [subscription("sub_1", { policy: ORDERED })];
  const passes = (at: number) => ({ passId: `p${at % 2}`, sequence: at, createdAtMs: T0 });

  it("sends the next of a pass only when the one before has ended, and other passes go on", async () => {
    const { runner, pass, job, now, answer, keep, rows } = await setup({ subscriptions: ordered });
    // Ids that fall while the sequence rises: the place in the log decides.
    const made = rows(6, passes).map((row, at) => ({ ...row, id: `d${9 - at}` }));
    await keep(...made);
    await job();
    runner();
    await pass(1_000);
    expect(await now()).toMatchObject({ sent: 2, isAtEnd: true });
    expect((await now()).deferred).toHaveLength(4);
    expect((await answer("delivered")).toSorted()).toEqual(["d8", "d9"]);
    await pass(300);
    // One of a pass fails and waits for its next attempt: nothing of that pass goes by.
    expect((await answer("waiting", 1)).length).toBe(1);
    await answer("delivered");
    await pass(300);
    expect(await answer("delivered")).toHaveLength(1);
    await pass(1_000);
    expect(await answer("delivered")).toEqual([]);
    expect(await now()).toMatchObject({ state: "running", sent: 5 });
  });

  it("waits for what is open of a pass: a live event, or what another replay made due", async () => {
    const { store, clock, runner, pass, job, now, answer, keep, rows } = await setup({ subscriptions: ordered });
    await keep(...rows(2, passes), delivery("live", { status: "held", sequence: 9, passId: "p0" }));
    await job();
    runner();
    await pass(500);
    expect(await now()).toMatchObject({ sent: 1, deferred: [{ deliveryId: "d00000" }] });
    await store.deliveries.cancel(ACME, "live", clock.now());
    await pass(500);
    expect(await now()).toMatchObject({ sent: 2, deferred: [] });
    await keep(finished("older", "failed", "a9", { createdAtMs: T0, passId: "p0", sequence: 0 }));
    await job({ id: "rpl_2", filter: { passId: "p0", toMs: T0 + 1 } });
    await pass(1_500);
    expect(await now("rpl_2")).toMatchObject({ sent: 0, deferred: [{ deliveryId: "older" }] });
    expect(await answer("delivered")).toHaveLength(2);
    await pass(500);
    expect(await now("rpl_2")).toMatchObject({ sent: 1, deferred: [] });
  });

  it("keeps what it deferred over a change of workers", async () => {
    const { runner, pass, job, now, answer, keep, rows } = await setup({ subscriptions: ordered });
    await keep(...rows(4, () => ({ passId: "p1" })));
    await job();
    const sent: string[] = [];
    for (let round = 0; round < 6; round++) {
      const one = runner();
      await pass(400);
      sent.push(...(await answer("delivered")));
      await one.stop();
    }
    expect(sent).toEqual(rows(4).map(({ id }) => id));
    runner();
    await pass(300);
    expect(await now()).toMatchObject({ state: "finished", sent: 4, deferred: [] });
  });
});

describe("a replay to another subscription", () => {
  const events = (count: number) =>
    Array.from({ length: count }, (_, at) =>
      decodedEvent({
        id: `evt_${at}`,
        type: at % 2 === 0 ? PassEventType.CREATED : PassEventType.UPDATED,
        pass: { id: `p${at}`, classId: at === 4 ? "other" : "class" },
      }),
    ).map(({ stored }, at) => ({ ...stored, loggedAtMs: T0 + at, contentHash: `h${at}` }));

  it("sends it what it wants of all events, though it is younger than they are", async () => {
    const target = subscription("sub_new", {
      createdAtMs: T0 + 30_000,
      entityId: "class",
      eventTypes: [PassEventType.CREATED],
    });
    const { store, runner, pass, job, now, answer } = await setup({ subscriptions: [target] });
    await store.deliveries.flush({ events: events(6), deliveries: [] });
    await job({ targetSubscriptionId: "sub_new" });
    runner();
    await pass(1_000);
    const wanted = ["evt_0", "evt_2"].map((id) => deliveryId({ tenant: ACME, id }, "sub_new"));
    expect((await answer("delivered")).toSorted()).toEqual(wanted.toSorted());
    await pass(200);
    expect(await now()).toMatchObject({ state: "finished", sent: 2, skipped: 4 });
  });

  it("skips the types that its format has no words for", async () => {
    const target = subscription("sub_new", { format: "ETHPASS", eventTypes: [] });
    const { store, runner, pass, job, now } = await setup({ subscriptions: [target] });
    await store.deliveries.flush({ events: events(3), deliveries: [] });
    await job({ targetSubscriptionId: "sub_new" });
    runner();
    await pass(1_000);
    expect(await now()).toMatchObject({ sent: 2, skipped: 1 });
  });

  it("sends it what another one got, by the deliveries of that one", async () => {
    const target = subscription("sub_new");
    const { store, runner, pass, job, answer } = await setup({ subscriptions: [subscription("sub_1"), target] });
    const got = finished("d1", "failed", "a1", { eventId: "evt_2", passId: "p2", createdAtMs: T0 });
    await store.deliveries.flush({ events: [...events(3), event("evt_other")], deliveries: [first(got)] });
    const filter = { subscriptionId: "sub_1" };
    await job({ targetSubscriptionId: "sub_new", filter });
    expect(sourceOf({ filter: { eventTypes: [], toMs: 0, ...filter }, targetSubscriptionId: "sub_new" }).kind).toBe(
      "deliveries",
    );
    runner();
    await pass(1_000);
    expect(await answer("delivered")).toEqual([deliveryId({ tenant: ACME, id: "evt_2" }, "sub_new")]);
  });

  it("makes new webhook ids where it is asked to, the same over a repeat of the step", async () => {
    const { runner, pass, job, answer, keep, rows, now } = await setup();
    await keep(...rows(2, (at) => ({ eventId: `evt_${at}` })));
    await job({ freshIds: true });
    runner();
    await pass(1_000);
    const sent = await answer("delivered");
    expect(sent).toHaveLength(2);
    expect(sent).not.toContain("d00000");
    expect(sent).not.toContain(deliveryId({ tenant: ACME, id: "evt_0" }, "sub_1"));
    expect(await now()).toMatchObject({ sent: 2 });
  });
});
