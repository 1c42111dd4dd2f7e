import { expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { Lane } from "./lane.ts";
import type { Work } from "./work.ts";

function work(id: string): Work {
  return {
    id,
    subscriptionId: "sub_1",
    event: { ...sampleEvent(id), rendered: new Map(), conflicted: false, works: 1 },
    workClass: "live",
    createdAtMs: 0,
    runAttempts: 0,
    assignment: { partition: 0, generation: 1 },
    waiters: [],
    row: "none",
    queuedAtMs: 0,
  };
}

function laneOf(count: number, cap: number): Lane {
  const lane = new Lane("sub_1", cap);
  for (let at = 0; at < count; at++) lane.push(work(`w${at}`));
  return lane;
}

test("work starts in its order and never beyond the cap", () => {
  const lane = laneOf(3, 2);
  expect(lane.start(0)?.id).toBe("w0");
  expect(lane.canStart).toBe(true);
  expect(lane.start(0)?.id).toBe("w1");
  expect(lane.canStart).toBe(false);
  expect(lane.queued).toBe(1);
});

test("free slots count what is queued too, so that a claim never takes more than can start", () => {
  const lane = laneOf(1, 4);
  lane.start(0);
  lane.push(work("next"));
  expect(lane.freeSlots).toBe(2);
});

test("an endpoint that begins to hang shows it before anything finishes", () => {
  const lane = laneOf(30, 10);
  for (let at = 0; at < 10; at++) lane.start(1_000);
  expect(lane.expectedWaitMs(1_000)).toBe(0);
  expect(lane.expectedWaitMs(1_500)).toBe((20 * 500) / 10);
});

test("the mean of what finished counts while nothing is old", () => {
  const lane = laneOf(400, 1);
  for (let at = 0; at < 300; at++) {
    const started = lane.start(at * 100);
    if (started) lane.finish(started, at * 100 + 100);
  }
  expect(lane.expectedWaitMs(30_000)).toBeGreaterThan(100 * 99);
  expect(lane.expectedWaitMs(30_000)).toBeLessThan(100 * 101);
});

test("queued work can be taken out without touching the rest of the order", () => {
  const lane = laneOf(5, 1);
  lane.start(0);
  expect(lane.takeQueued((one) => one.id === "w2" || one.id === "w4").map((one) => one.id)).toEqual(["w2", "w4"]);
  const started = lane.start(0);
  expect([started?.id, lane.start(0)?.id, lane.start(0)]).toEqual(["w1", "w3", undefined]);
});

test("finishing twice counts once", () => {
  const lane = laneOf(1, 1);
  const started = lane.start(0);
  if (started) {
    lane.finish(started, 10);
    lane.finish(started, 10_000);
  }
  lane.push(work("next"));
  expect(lane.expectedWaitMs(0)).toBeLessThan(10);
  expect(lane.isIdle).toBe(false);
});
