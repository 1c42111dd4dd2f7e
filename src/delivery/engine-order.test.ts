/** Order per pass through the whole engine, on a store in memory. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ASSIGNMENT, answer, engineSetup } from "../../test/support/engine.ts";
import type { MemoryStore } from "../../test/support/memory-store.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import type { DecodedEvent } from "../domain/event.ts";
import { DEFAULT_POLICY, type Subscription } from "../domain/subscription.ts";
import { seededRandom } from "../kernel/random.ts";

const POLICY = { ...DEFAULT_POLICY, ordering: "perPass", retryScheduleMs: [1_000, 1_000] } as const;

function ordered(over: Partial<Subscription> = {}): Subscription {
  return sampleSubscription({ policy: POLICY, ...over });
}

function setup(over: Partial<Subscription> = {}) {
  const parts = engineSetup();
  parts.engine.start();
  parts.store.put(ordered(over));
  /** Which events were asked for, by the names in the order of their requests. */
  const names = new Map<string, string>();
  const event = (name: string, passId = "pass-1"): DecodedEvent => {
    const made = sampleEvent(name, { passId });
    for (const id of ["sub_1", "sub_2"]) names.set(parts.idOf(made, id), name);
    return made;
  };
  const sent = () => parts.sender.requests.map(({ headers }) => names.get(String(headers["webhook-id"])));
  return { ...parts, event, sent };
}

describe("an ordered subscription", () => {
  test("an event waits for the retry of the one before it, and other passes go on", async () => {
    const { sender, event, take, pass, sent, done } = setup();
    const replies = [503, 503];
    sender.reply = ({ body }) => answer(String(body).includes("a1") ? (replies.shift() ?? 200) : 200);
    await take(event("a1"), event("a2"), event("b1", "pass-2"), event("a3"));
    expect(sent()).toEqual(["a1", "b1"]);
    await pass(500);
    expect(done.sort()).toEqual(["a1", "a2", "a3", "b1"]);
    expect(sent()).toEqual(["a1", "b1"]);
    await pass(4_000);
    expect(sent()).toEqual(["a1", "b1", "a1", "a1", "a2", "a3"]);
  });

  test("a row that becomes durable while the store is asked after the chain, its partition given anew, is not passed over", async () => {
    const { sender, event, take, pass, sent, store, engine, arrival } = setup();
    sender.reply = ({ body }) => answer(String(body).includes("a1") ? 503 : 200);
    await take(event("a1"));
    const { openInChains } = store;
    store.openInChains = async (...asked) => {
      const open = await openInChains.apply(store, asked);
      // The answer is on its way while the outcome of a1 is written.
      await pass(100);
      return open;
    };
    engine.take([arrival(event("a2"), { ...ASSIGNMENT, generation: 2 })]);
    await settled(60);
    await pass(200);
    expect(sent()).toEqual(["a1"]);
    await pass(5_000);
    expect(sent()).toEqual(["a1", "a1", "a1", "a2"]);
  });

  test("one that fails for good lets the next go", async () => {
    const { sender, event, take, pass, sent, row } = setup({ policy: { ...POLICY, retryScheduleMs: [] } });
    sender.reply = ({ body }) => answer(String(body).includes("a1") ? 500 : 200);
    const [one, two] = [event("a1"), event("a2")];
    await take(one, two);
    expect(sent()).toEqual(["a1"]);
    await pass(200);
    expect(row(one, "sub_1")?.status).toBe("failed");
    expect(sent()).toEqual(["a1", "a2"]);
    expect(row(two, "sub_1")).toMatchObject({ status: "delivered", sequence: 1 });
  });

  test("those behind a request that hangs leave the log for the store, and go in order when it ends", async () => {
    const { sender, event, take, pass, sent, done, store } = setup();
    sender.reply = () => undefined;
    await take(event("a1"), event("a2"), event("a3"));
    await pass(1_500);
    expect(done.sort()).toEqual(["a1", "a2", "a3"]);
    expect([...store.deliveries.values()].map(({ status }) => status)).toEqual(["attempting", "held", "held"]);
    sender.reply = () => answer(200);
    sender.open.shift()?.(answer(200));
    await take(event("a4"));
    await pass(1_000);
    expect(sent()).toEqual(["a1", "a2", "a3", "a4"]);
  });

  test("each slow answer keeps the rest waiting: after a second they wait in the store", async () => {
    const { sender, event, take, pass, sent, done } = setup();
    sender.reply = () => undefined;
    await take(...Array.from({ length: 6 }, (_, at) => event(`a${at}`)));
    for (let at = 0; at < 6; at++) {
      await pass(700);
      sender.open.shift()?.(answer(200));
      if (at === 1) expect(done.length).toBeGreaterThan(3);
    }
    await pass(1_000);
    expect(sent()).toEqual(["a0", "a1", "a2", "a3", "a4", "a5"]);
  });

  test("disabled with hold, its events go out in order when it is enabled, before newer ones", async () => {
    const disabled = { state: "disabled", disabledReason: "gone" } as const;
    const { store, event, take, pass, sent } = setup({ ...disabled, policy: { ...POLICY, whileDisabled: "hold" } });
    await take(event("a1"), event("a2"), event("b1", "pass-2"));
    await pass(2_000);
    expect(sent()).toEqual([]);
    expect([...store.deliveries.values()].map(({ status }) => status)).toEqual(["held", "held", "held"]);
    store.put(ordered({ version: 2 }));
    await take(event("a3"));
    await pass(2_000);
    expect(sent().filter((name) => name !== "b1")).toEqual(["a1", "a2", "a3"]);
    expect(sent()).toContain("b1");
  });

  test("with ordering switched off, what is held behind another is released", async () => {
    const { sender, store, event, take, pass, sent } = setup({ policy: { ...POLICY, retryScheduleMs: [600_000] } });
    sender.reply = ({ body }) => answer(String(body).includes("a1") ? 503 : 200);
    await take(event("a1"), event("a2"), event("a3"));
    await pass(3_000);
    expect(sent()).toEqual(["a1"]);
    store.put(sampleSubscription({ version: 2 }));
    await pass(2_000);
    expect(sent().sort()).toEqual(["a1", "a2", "a3"]);
  });

  test("an event waits for one that another worker attempts, and is promoted by it", async () => {
    const first = setup();
    const second = engineSetup({ clock: first.clock, store: first.store });
    second.engine.start();
    first.sender.reply = () => answer(503);
    await first.take(first.event("a1"));
    await first.pass(100);
    await first.engine.stop(0);
    second.sender.reply = () => undefined;
    await first.pass(2_500);
    expect(second.sender.requests).toHaveLength(1);
    second.engine.take([second.arrival(first.event("a0", "pass-2")), second.arrival(first.event("a2"))]);
    await first.pass(500);
    expect(second.sender.requests).toHaveLength(2);
    for (const open of second.sender.open.splice(0)) open(answer(200));
    await first.pass(500);
    expect(second.sender.requests).toHaveLength(3);
  });

  test("a partition that is lost takes those behind with it", async () => {
    const { engine, sender, lost, event, take, pass, sent, done, store } = setup();
    sender.reply = () => undefined;
    await take(event("a1"), event("a2"));
    lost.add(0);
    engine.drop([{ topic: "pass.events", partition: 0, generation: 1 }]);
    sender.open.shift()?.(answer(503));
    await pass(300);
    expect(sent()).toEqual(["a1"]);
    expect(store.deliveries.size).toBe(1);
    expect(done).toEqual(["a1"]);
    expect(engine.state.pending).toBe(0);
  });

  test("a stop leaves those behind in the log", async () => {
    const { engine, sender, event, take, pass, done } = setup();
    sender.reply = () => undefined;
    await take(event("a1"), event("a2"));
    let left = false;
    const stopped = engine.stop(1_000, async () => {
      left = true;
    });
    await pass(100);
    sender.open.shift()?.(answer(200));
    await pass(100);
    await stopped;
    expect({ left, done }).toEqual({ left: true, done: ["a1"] });
  });
});

/** The store as one worker has it; after `die` nothing of that worker gets through any more. */
function connection(store: MemoryStore): { readonly store: MemoryStore; die(): void } {
  let dead = false;
  const proxy = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => (dead ? new Promise(() => {}) : Reflect.apply(value, target, args));
    },
  });
  const die = () => {
    dead = true;
  };
  return { store: proxy, die };
}

/** Events of three passes at a receiver that fails at random, and workers that die: who was accepted, in order. */
async function history(seed: number): Promise<readonly DecodedEvent[]> {
  const random = seededRandom(seed);
  const shared = engineSetup();
  const policy = { ...POLICY, retryScheduleMs: Array.from({ length: 30 }, () => 100) };
  shared.store.put(ordered({ policy }));
  const events = Array.from({ length: 24 }, (_, at) => sampleEvent(`evt_${at}`, { passId: `pass-${at % 3}` }));
  const byId = new Map(events.map((event) => [shared.idOf(event, "sub_1"), event]));
  const accepted = new Set<DecodedEvent>();
  let from = 0;
  for (let life = 0; life < 4; life++) {
    const { store, die } = connection(shared.store);
    const worker = engineSetup({ clock: shared.clock, store });
    worker.sender.reply = ({ headers }) => {
      if (random.next() < 0.3) return answer(503);
      const event = byId.get(String(headers["webhook-id"]));
      if (event !== undefined) accepted.add(event);
      return answer(200);
    };
    worker.engine.start();
    const done = new Set<number>();
    const arrivals = events.slice(from).map((event, at) => ({
      ...worker.arrival(event),
      offset: from + at,
      done: () => void done.add(from + at),
    }));
    for (let at = 0; at < arrivals.length; at += 4) {
      worker.engine.take(arrivals.slice(at, at + 4));
      await worker.pass(50 * Math.floor(random.next() * 3));
    }
    await worker.pass(life === 3 ? 6_000 : Math.floor(random.next() * 600));
    if (life === 3) break;
    die();
    worker.sender.reply = () => undefined;
    while (done.has(from)) from++;
    // Its leases are over before the next one comes.
    shared.clock.advance(61_000);
  }
  return [...accepted];
}

test("first acceptances of a pass are in order, whatever fails and whenever a worker dies", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const accepted = await history(seed);
      expect(accepted).toHaveLength(24);
      for (const pass of ["pass-0", "pass-1", "pass-2"]) {
        const ids = accepted
          .filter(({ stored }) => stored.passId === pass)
          .map(({ stored }) => Number(stored.id.slice(4)));
        expect(ids, pass).toEqual(ids.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 25 },
  );
});
