import { expect, test } from "vitest";
import { sampleEvent, TENANT } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import { LIMITS } from "../kernel/limits.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Arrival } from "./in-hand.ts";
import { PlanQueue } from "./plan-queue.ts";

const noop = () => {};
const ASSIGNMENTS = [0, 1].map((partition) => ({ topic: "t", partition, generation: 1 }));

function setup() {
  const clock = new ManualClock();
  const stop = new AbortController();
  const planned: string[] = [];
  const sizes: number[] = [];
  /** Organisations that may not be planned. */
  const blocked = new Set<string>();
  const state = { open: true, batches: 0, plan: async (): Promise<void> => {}, most: Number.POSITIVE_INFINITY };
  const queue = new PlanQueue({
    planner: {
      plan: async (batch) => {
        await state.plan();
        planned.push(...batch.slice(0, state.most).map(({ stored }) => stored.id));
        sizes.push(batch.length);
        return batch.slice(state.most);
      },
    },
    hasRoom: () => state.open,
    roomOf: (organisation) => (blocked.has(organisation) ? 0 : Number.POSITIVE_INFINITY),
    onBatch: () => state.batches++,
    clock,
    log: silentLog,
    stopping: stop.signal,
  });
  let offset = 0;
  const arrival = (id: string, { organisation = "a", partition = 0 } = {}): Arrival => {
    const assignment = { topic: "t", partition, generation: 1 };
    const event = sampleEvent(id, { tenant: { ...TENANT, organisation } });
    return { ...event, assignment, offset: offset++, done: noop, conflict: noop };
  };
  const push = async (...arrivals: Arrival[]) => {
    queue.push(arrivals);
    await settled();
  };
  return { clock, stop, queue, planned, sizes, blocked, state, arrival, push };
}

test("what comes while another organisation's is blocked is planned at once", async () => {
  const { planned, blocked, arrival, push, queue } = setup();
  blocked.add("a");
  await push(arrival("a0"), arrival("a1"));
  await push(arrival("b0", { organisation: "b" }));
  expect(planned).toEqual(["b0"]);
  blocked.clear();
  queue.noteRoom();
  await settled();
  expect(planned).toEqual(["b0", "a0", "a1"]);
});

test("nothing is planned while there is no room at all, and no push begins a second batch", async () => {
  const { planned, state, arrival, push, queue } = setup();
  state.open = false;
  await push(arrival("a0"));
  await push(arrival("b0", { organisation: "b" }));
  expect(planned).toEqual([]);
  const gate = Promise.withResolvers<void>();
  state.plan = () => gate.promise;
  state.open = true;
  queue.noteRoom();
  await settled();
  await push(arrival("a1"));
  gate.resolve();
  await settled();
  expect([state.batches, [...planned].sort()]).toEqual([2, ["a0", "a1", "b0"]]);
  expect(planned.indexOf("a0")).toBeLessThan(planned.indexOf("a1"));
});

test("a batch that fails is planned again, in its order and before what came behind it", async () => {
  const { planned, state, arrival, push, queue, clock } = setup();
  state.plan = async () => {
    throw new Error("store gone");
  };
  await push(arrival("a0"), arrival("a1"));
  expect(queue.isFailing).toBe(true);
  await push(arrival("a2"));
  state.plan = async () => {};
  clock.advance(1_000);
  await settled();
  expect(planned).toEqual(["a0", "a1", "a2"]);
  expect(queue.isFailing).toBe(false);
});

test("what a batch leaves is planned next, in its order, and the batches are smaller until none leaves anything", async () => {
  const { planned, sizes, state, arrival, push } = setup();
  const ids = Array.from({ length: 40 }, (_, at) => `a${at}`);
  state.most = 3;
  state.plan = async () => {
    if (planned.length >= 12) state.most = Number.POSITIVE_INFINITY;
  };
  await push(...ids.map((id) => arrival(id)));
  await push(arrival("a40"));
  await settled();
  expect(planned).toEqual([...ids, "a40"]);
  expect(sizes.slice(0, 6)).toEqual([40, 3, 6, 3, 6, 12]);
});

test("what is dropped while its batch leaves it is not planned", async () => {
  const { planned, state, arrival, push, queue } = setup();
  const gate = Promise.withResolvers<void>();
  state.plan = () => gate.promise;
  state.most = 1;
  await push(arrival("a0"), arrival("a1", { partition: 1 }), arrival("a2"));
  queue.drop(ASSIGNMENTS.slice(1));
  gate.resolve();
  await settled();
  await settled();
  expect(planned).toEqual(["a0", "a2"]);
});

test("what is dropped is not planned, be it waiting or in a batch that fails", async () => {
  const { planned, state, arrival, push, queue, clock, blocked } = setup();
  const gate = Promise.withResolvers<void>();
  state.plan = () => gate.promise;
  blocked.add("b");
  await push(arrival("a0", { partition: 0 }), arrival("a1", { partition: 1 }));
  await push(arrival("b0", { organisation: "b", partition: 0 }), arrival("b1", { organisation: "b", partition: 1 }));
  queue.drop(ASSIGNMENTS.slice(0, 1));
  gate.reject(new Error("store gone"));
  await settled();
  state.plan = async () => {};
  blocked.clear();
  clock.advance(1_000);
  await settled();
  expect([...planned].sort()).toEqual(["a1", "b1"]);
});

test("all that waited was dropped: what comes then is planned", async () => {
  const { planned, blocked, arrival, push, queue } = setup();
  blocked.add("a");
  await push(arrival("a0"));
  queue.drop(ASSIGNMENTS);
  blocked.clear();
  await push(arrival("a1", { partition: 1 }));
  expect(planned).toEqual(["a1"]);
});

test("a push of nothing begins nothing, and keeps nothing from beginning", async () => {
  const { planned, arrival, push } = setup();
  await push();
  await push(arrival("a0"));
  expect(planned).toEqual(["a0"]);
});

test("after a stop nothing is planned, and what waited for room is settled", async () => {
  const { planned, blocked, arrival, push, queue, stop } = setup();
  blocked.add("a");
  await push(arrival("a0"));
  stop.abort();
  blocked.clear();
  await queue.settled();
  await push(arrival("a1"));
  await queue.settled();
  expect(planned).toEqual([]);
});

test("it is full with as many events, or as many of their bytes, as may be read ahead", async () => {
  const { queue, state, arrival, push } = setup();
  state.open = false;
  const small = arrival("large");
  const large = { ...small, stored: { ...small.stored, value: new Uint8Array(LIMITS.readAheadBytes) } };
  await push(large);
  expect(queue.isFull).toBe(true);
  queue.drop(ASSIGNMENTS);
  expect(queue.isFull).toBe(false);
  const one = arrival("a0");
  await push(...Array.from({ length: LIMITS.readAheadEvents - 1 }, () => one));
  expect(queue.isFull).toBe(false);
  await push(one);
  expect(queue.isFull).toBe(true);
});
