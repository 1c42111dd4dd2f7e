import { expect, test } from "vitest";
import { ASSIGNMENT } from "../../test/support/engine.ts";
import { sampleEvent } from "../../test/support/samples.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { SubscriptionView } from "../matching/subscription-index.ts";
import { type Arrival, InHand } from "./in-hand.ts";
import { Planner, type PlannerDeps } from "./plan.ts";

/** A planner that nothing matches, and how long each event takes it. */
function setup(over: Partial<PlannerDeps> = {}) {
  const clock = new ManualClock();
  const state = { eachMs: 0 };
  const view: SubscriptionView = {
    find: () => undefined,
    match: () => {
      clock.advance(state.eachMs);
      return [];
    },
  };
  const planner = new Planner({
    index: { refresh: async () => view } as unknown as PlannerDeps["index"],
    store: {
      knownEvents: async (keys: readonly unknown[]) => keys.map(() => undefined),
    } as unknown as PlannerDeps["store"],
    recorder: { addEvent: () => {} } as unknown as PlannerDeps["recorder"],
    inHand: new InHand(),
    chains: { knows: () => false, holds: () => false },
    clock,
    room: { mayGoOn: () => true },
    place: () => {},
    ...over,
  });
  const arrivals = ["a", "b", "c", "d", "e"].map((id, offset): Arrival => {
    return { ...sampleEvent(id), assignment: ASSIGNMENT, offset, done: () => {}, conflict: () => {} };
  });
  const leaves = async () => (await planner.plan(arrivals)).map(({ stored }) => stored.id);
  return { state, leaves };
}

test("a batch is planned whole, where it takes no time and there is room", async () => {
  expect(await setup().leaves()).toEqual([]);
});

test("a batch ends with the event that it is at when it has held the thread for ten milliseconds", async () => {
  const { state, leaves } = setup();
  state.eachMs = 4;
  expect(await leaves()).toEqual(["d", "e"]);
});

test("its first event is planned, however long it takes and however full memory is", async () => {
  const { state, leaves } = setup({ room: { mayGoOn: () => false } });
  expect(await leaves()).toEqual(["b", "c", "d", "e"]);
  state.eachMs = 10_000;
  expect(await leaves()).toEqual(["b", "c", "d", "e"]);
});
