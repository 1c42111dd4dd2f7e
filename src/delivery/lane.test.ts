import { expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { LIMITS } from "../kernel/limits.ts";
import { Lane } from "./lane.ts";
import type { Work } from "./work.ts";

function work(id: string): Work {
  return {
    id,
    subscriptionId: "sub_1",
    event: { ...sampleEvent(id), rendered: new Map(), conflicted: false },
    workClass: "live",
    createdAtMs: 0,
    runAttempts: 0,
    assignment: { topic: "pass.events", partition: 0, generation: 1 },
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
  expect(lane.freeSlots(0)).toBe(2);
});

test("a lane that is quicker than its cap takes what it finishes in a quarter of a second, up to the queue's limit", () => {
  const perMs = (count: number) => {
    const lane = laneOf(3_000, 4);
    for (let ms = 0; ms < 500; ms++) {
      for (let at = 0; at < count; at++) {
        const started = lane.start(ms);
        if (started) lane.finish(started, ms, true);
      }
    }
    lane.takeQueued(() => true);
    return lane.freeSlots(500);
  };
  expect(perMs(1)).toBeGreaterThan(240);
  expect(perMs(1)).toBeLessThan(260);
  expect(perMs(4)).toBe(LIMITS.laneQueue);
});

test("the rate at which work finishes says how long the queue will take", () => {
  const lane = laneOf(400, 10);
  for (let ms = 0; ms < 600; ms += 2) {
    const started = lane.start(ms);
    if (started) lane.finish(started, ms + 1, true);
  }
  expect(lane.queued).toBe(100);
  expect(lane.expectedWaitMs(600)).toBeGreaterThan(195);
  expect(lane.expectedWaitMs(600)).toBeLessThan(205);
});

test("nothing is said of a lane that has only begun", () => {
  const lane = laneOf(30, 10);
  for (let at = 0; at < 10; at++) lane.start(0);
  expect(lane.expectedWaitMs(249)).toBe(0);
});

test("an endpoint that hangs shows it within two windows, whatever it did before", () => {
  const lane = laneOf(1_000, 10);
  for (let ms = 0; ms < 600; ms++) {
    const started = lane.start(ms);
    if (started) lane.finish(started, ms, true);
  }
  for (let at = 0; at < 10; at++) lane.start(600);
  expect(lane.expectedWaitMs(700)).toBeLessThan(1_000);
  expect(lane.expectedWaitMs(1_100)).toBe(Number.POSITIVE_INFINITY);
});

test("queued work can be taken out without touching the rest of the order", () => {
  const lane = laneOf(5, 1);
  lane.start(0);
  expect(lane.takeQueued((one) => one.id === "w2" || one.id === "w4").map((one) => one.id)).toEqual(["w2", "w4"]);
  const started = lane.start(0);
  expect([started?.id, lane.start(0)?.id, lane.start(0)]).toEqual(["w1", "w3", undefined]);
});

test("live work starts before retries before replays, in its order within a class", () => {
  const lane = new Lane("sub_1", 10);
  const classes = ["replay", "retry", "live", "replay", "retry", "live"] as const;
  for (const [at, workClass] of classes.entries()) lane.push({ ...work(`${workClass}${at}`), workClass });
  expect(lane.oldestQueued?.id).toBe("live2");
  const started = classes.map(() => lane.start(0)?.id);
  expect(started).toEqual(["live2", "live5", "retry1", "retry4", "replay0", "replay3"]);
  expect([lane.start(0), lane.queued]).toEqual([undefined, 0]);
});

test("retries are not what new live work waits for, and can be taken out like it", () => {
  const lane = laneOf(200, 1);
  for (let at = 0; at < 100; at++) lane.push({ ...work(`r${at}`), workClass: "retry" });
  for (let ms = 0; ms < 500; ms += 5) {
    const started = lane.start(ms);
    if (started) lane.finish(started, ms + 1, true);
  }
  const live = lane.takeQueued((one) => one.workClass === "live").length;
  expect([live, lane.queued, lane.expectedWaitMs(500)]).toEqual([100, 100, 0]);
});

test("an endless stream of live work leaves one start in ten to what has waited for ten seconds", () => {
  const lane = laneOf(100, 100);
  for (const workClass of ["replay", "retry", "retry"] as const) lane.push({ ...work(workClass), workClass });
  lane.push({ ...work("fresh"), workClass: "retry", queuedAtMs: 5_000 });
  const starts = (count: number, nowMs: number) =>
    Array.from({ length: count }, () => lane.start(nowMs)?.workClass).flatMap((workClass, at) =>
      workClass === "live" ? [] : [[at, workClass]],
    );
  expect(starts(30, 10_000)).toEqual([]);
  expect(starts(50, 10_001)).toEqual([
    [0, "retry"],
    [10, "retry"],
    [20, "replay"],
  ]);
});

test("finishing twice counts once", () => {
  const lane = laneOf(1, 1);
  const started = lane.start(0);
  if (started) {
    lane.finish(started, 10, true);
    lane.finish(started, 10, true);
  }
  expect(lane.inFlight).toBe(0);
  expect(lane.isIdle).toBe(true);
});

interface Endpoint {
  /** How long a request takes by itself. */
  readonly tookMs: number;
  /** How many it finishes in a millisecond; the others wait their turn. */
  readonly perMs: number;
}

/** Plays a lane for `ms`, as a saturated process would, looking each 100 ms. Answers the median in flight in the second half. */
function play(lane: Lane, { tookMs, perMs }: Endpoint, ms: number): number {
  const inFlight: number[] = [];
  const flying: { work: Work; sinceMs: number }[] = [];
  for (let now = 0; now < ms; now++) {
    for (let done = 0; done < perMs && flying[0] !== undefined && now - flying[0].sinceMs >= tookMs; done++) {
      const first = flying.shift();
      if (first) lane.finish(first.work, now, true);
    }
    while (lane.canStart) {
      const started = lane.start(now);
      if (started) flying.push({ work: started, sinceMs: now });
    }
    if (now % 100 === 0) lane.adapt(now, true, 4);
    if (now > ms / 2) inFlight.push(lane.inFlight);
  }
  return inFlight.sort((left, right) => left - right)[Math.floor(inFlight.length / 2)] ?? 0;
}

test("where this process is the limit, no more is in flight than helps: the rest would wait for each other", () => {
  expect(play(laneOf(20_000, 64), { tookMs: 1, perMs: 2 }, 6_000)).toBeLessThanOrEqual(16);
});

test("an endpoint that is slow by itself keeps its cap while this process is the limit", () => {
  expect(play(laneOf(2_000, 64), { tookMs: 400, perMs: 64 }, 8_000)).toBe(64);
});

test("few are in flight while it is looked how long one takes, and all may be when this process isn't the limit", () => {
  const lane = laneOf(1_000, 64);
  for (let at = 0; at < 64; at++) lane.start(0);
  lane.adapt(5_000, true, 4);
  for (const busy of [...lane.inFlightWorks()].slice(0, 60)) lane.finish(busy, 5_010, true);
  expect(lane.inFlight).toBe(4);
  expect(lane.canStart).toBe(false);
  lane.adapt(5_100, false, 4);
  expect(lane.canStart).toBe(true);
});

test("a calm look amid busy ones lets twice as many start, and the next twice that", () => {
  const lane = laneOf(20_000, 64);
  play(lane, { tookMs: 1, perMs: 2 }, 6_000);
  const { startable } = lane;
  expect(startable).toBeLessThan(20);
  lane.adapt(6_000, false, 4);
  expect(lane.startable).toBe(2 * startable);
  for (let atMs = 6_100; atMs <= 6_500; atMs += 100) lane.adapt(atMs, false, 4);
  expect(lane.startable).toBe(64);
});

test("how long one takes is learnt from one of the few, however late those end that were in flight before", () => {
  const lane = laneOf(1_000, 64);
  for (let at = 0; at < 64; at++) lane.start(4_900);
  lane.adapt(5_000, true, 4);
  for (const late of [...lane.inFlightWorks()].slice(0, 50)) lane.finish(late, 5_090, true);
  lane.adapt(5_100, true, 4);
  expect(lane.startable).toBe(4);
  for (const late of [...lane.inFlightWorks()]) lane.finish(late, 5_150, true);
  const few = Array.from({ length: 4 }, () => lane.start(5_160)).filter((one) => one !== undefined);
  for (const one of few) lane.finish(one, 5_161, true);
  lane.adapt(5_200, true, 4);
  expect(lane.startable).toBe(4);
});

test("none of the few is answered soon: the endpoint takes long by itself, and all may go again, for long", () => {
  const lane = laneOf(1_000, 64);
  for (let at = 0; at < 64; at++) lane.start(4_900);
  for (let atMs = 5_000; atMs < 5_300; atMs += 100) {
    lane.adapt(atMs, true, 4);
    expect(lane.startable).toBe(4);
  }
  for (let atMs = 5_300; atMs < 15_000; atMs += 100) {
    lane.adapt(atMs, true, 4);
    expect(lane.startable).toBe(64);
  }
});

test("an endpoint that lets requests time out is tried with a few until it answers", () => {
  const lane = laneOf(200, 64);
  const started = Array.from({ length: 64 }, () => lane.start(0)).filter((one) => one !== undefined);
  for (const one of started) lane.noteSlow(one);
  for (const one of started) lane.finish(one, 15_000, false);
  lane.adapt(15_100, false, 4);
  const probes: Work[] = [];
  while (lane.canStart) {
    const probe = lane.start(15_100);
    if (probe) probes.push(probe);
  }
  expect(probes).toHaveLength(8);
  expect(lane.freeSlots(15_100)).toBe(0);
  expect(lane.remembers(15_100)).toBe(true);
  for (const probe of probes) lane.finish(probe, 15_200, true);
  lane.adapt(15_300, false, 4);
  expect(lane.remembers(15_300)).toBe(false);
  let all = 0;
  while (lane.canStart) if (lane.start(15_300)) all++;
  expect(all).toBe(64);
});

test("an endpoint that takes long and answers is not taken for one that hangs", () => {
  const lane = laneOf(1_000, 64);
  const flying: Work[] = [];
  for (let ms = 0; ms < 10_000; ms += 50) {
    while (lane.canStart) {
      const one = lane.start(ms);
      if (one) flying.push(one);
    }
    for (const one of flying) if (ms - (one.startedAtMs ?? ms) >= 1_000) lane.noteSlow(one);
    const oldest = flying.shift();
    if (oldest && ms >= 2_000) lane.finish(oldest, ms, true);
    else if (oldest) flying.unshift(oldest);
    if (ms >= 3_000 && ms % 100 === 0) lane.adapt(ms, false, 4);
  }
  expect(lane.inFlight).toBeGreaterThanOrEqual(63);
});
