import { expect, test } from "vitest";
import { sampleEvent, TENANT } from "../../test/support/samples.ts";
import { LIMITS } from "../kernel/limits.ts";
import { InHand } from "./in-hand.ts";
import { Room } from "./room.ts";
import type { Work } from "./work.ts";

function workOf(organisation: string, bytes = 10): Work {
  const { stored, event } = sampleEvent("evt_1", { tenant: { ...TENANT, organisation } });
  return {
    ...{ id: "dlv_1", subscriptionId: "sub_1", workClass: "live", createdAtMs: 0, runAttempts: 0, waiters: [] },
    event: { stored: { ...stored, value: new Uint8Array(bytes) }, event, rendered: new Map(), conflicted: false },
    ...{ row: "none", queuedAtMs: 0 },
  };
}

function setup() {
  const state = { count: 0, waiting: 0, takesMore: true, full: "" };
  const inHand = new InHand();
  const lanes = {
    get count() {
      return state.count;
    },
    hasFullLaneOf: (organisation: string) => organisation === state.full,
  };
  const room = new Room({ lanes, chains: state, inHand, recorder: state });
  /** Deliveries of this organisation come to be in memory. */
  const hold = (organisation: string, count: number): readonly Work[] => {
    const works = Array.from({ length: count }, () => workOf(organisation));
    for (const work of works) inHand.grip(work);
    state.count += count;
    return works;
  };
  return { state, inHand, room, hold };
}

test("while memory isn't full there is room for whoever's lanes aren't", () => {
  const { room, state } = setup();
  state.full = "a";
  expect([room.isOpen, room.of("a"), room.of("b")]).toEqual([true, 0, Number.POSITIVE_INFINITY]);
});

test.each([
  ["the lanes", { count: LIMITS.pendingDeliveries }],
  ["the lanes and what waits for its turn", { count: 1, waiting: LIMITS.pendingDeliveries - 1 }],
])("when it is full of what is in %s, there is room for those that have little", (_what, full) => {
  const { room, state, hold } = setup();
  hold("a", 20);
  hold("b", 3);
  Object.assign(state, full);
  expect([room.isOpen, room.of("a"), room.of("b"), room.of("c")]).toEqual([
    true,
    0,
    LIMITS.ownDeliveries - 3,
    LIMITS.ownDeliveries,
  ]);
});

test("bytes fill it as deliveries do", () => {
  const { room, inHand } = setup();
  const work = workOf("acme", LIMITS.pendingEventBytes);
  inHand.grip(work);
  expect([room.isOpen, room.of("acme"), room.of("b")]).toEqual([true, LIMITS.ownDeliveries - 1, LIMITS.ownDeliveries]);
  inHand.letGo(work);
  expect(room.of("acme")).toBe(Number.POSITIVE_INFINITY);
});

test("the bound on those that have little counts each alike, however much one of them has", () => {
  const { room, state, hold, inHand } = setup();
  state.count = LIMITS.pendingDeliveries;
  hold("wide", 10_000);
  expect(room.isOpen).toBe(true);
  const others = LIMITS.sharedDeliveries / LIMITS.ownDeliveries - 1;
  const works = Array.from({ length: others }, (_, at) => hold(`org-${at}`, LIMITS.ownDeliveries)).flat();
  expect(room.isOpen).toBe(false);
  // What has taken long no longer counts, and is not counted a second time when it ends.
  for (const work of works.slice(0, 2)) {
    work.isSlow = true;
    inHand.noteSlow(work);
  }
  expect([room.isOpen, inHand.firstWorks]).toEqual([true, LIMITS.sharedDeliveries - 2]);
  for (const work of works) inHand.letGo(work);
  expect([inHand.firstWorks, inHand.worksOf("org-0"), inHand.worksOf("wide")]).toEqual([
    LIMITS.ownDeliveries,
    0,
    10_000,
  ]);
});

test("nothing is planned while the store takes no more, or slow requests hold as much as they may", () => {
  const { room, state, inHand } = setup();
  state.takesMore = false;
  expect(room.isOpen).toBe(false);
  state.takesMore = true;
  expect(room.isOpen).toBe(true);
  const slow = workOf("acme", LIMITS.slowEventBytes / 4);
  for (let time = 0; time < 4; time++) inHand.noteSlow(slow);
  expect(room.isOpen).toBe(false);
});

test("a batch that began in time goes on until memory holds twice as much, with what of it is not placed yet", () => {
  const { room, state } = setup();
  state.count = 2 * LIMITS.pendingDeliveries - 10;
  expect([room.mayGoOn(9), room.mayGoOn(10)]).toEqual([true, false]);
  state.waiting = 10;
  expect(room.mayGoOn(0)).toBe(false);
});
