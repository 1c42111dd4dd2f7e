import { expect, test } from "vitest";
import { MemoryEndpoints } from "../../test/support/memory-endpoints.ts";
import { settled } from "../../test/support/settled.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { Pace, Paces } from "./rate-pace.ts";

function pacing(rate = { perSecond: 10, burst: 1 }, count = 10) {
  const clock = new ManualClock();
  const store = new MemoryEndpoints();
  const pace = new Pace({ tenant: { organisation: "acme", environment: "production" }, subscriptionId: "sub_1" }, rate);
  let turns = 0;
  const paces = new Paces({ store, clock, log: silentLog, onTurn: () => turns++ });
  const usedAtMs: number[] = [];
  const startMs = clock.monotonic();
  /** One that uses whatever it may, looking each 10 ms. */
  const use = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      while (pace.take(clock.monotonic())) usedAtMs.push(clock.monotonic() - startMs);
      paces.want(pace, count);
      clock.advance(10);
      await settled(2);
    }
  };
  return { clock, store, pace, paces, use, usedAtMs, turns: () => turns };
}

test("turns are used at their rate, however many are wanted", async () => {
  const { use, usedAtMs } = pacing({ perSecond: 20, burst: 1 });
  await use(3_000);
  expect(usedAtMs.length).toBeGreaterThanOrEqual(58);
  expect(usedAtMs.length).toBeLessThanOrEqual(61);
  for (const [at, ms] of usedAtMs.entries()) expect(ms - (usedAtMs[at - 1] ?? -100)).toBeGreaterThanOrEqual(40);
});

test("a burst goes at once, and what was not used of it a second later is lost", async () => {
  const { use, usedAtMs, pace, clock } = pacing({ perSecond: 1, burst: 5 });
  await use(50);
  expect(usedAtMs).toHaveLength(5);
  await use(6_000);
  expect(usedAtMs).toHaveLength(11);
  pace.add({ atMs: clock.monotonic(), intervalMs: 0, left: 3 });
  expect(pace.ready(clock.monotonic() + 1_000)).toBe(3);
  expect(pace.held(clock.monotonic() + 1_001)).toBe(0);
});

test("whoever waits is told when turns are there, and when the next one has come", async () => {
  const { clock, pace, paces, turns } = pacing({ perSecond: 10, burst: 1 }, 2);
  paces.want(pace, 2);
  clock.advance(1);
  await settled(2);
  expect([turns(), pace.ready(clock.monotonic()), pace.held(clock.monotonic())]).toEqual([1, 1, 2]);
  pace.take(clock.monotonic());
  paces.expect(pace);
  clock.advance(98);
  expect(turns()).toBe(1);
  clock.advance(2);
  expect([turns(), pace.ready(clock.monotonic())]).toEqual([2, 1]);
});

test("a store that does not answer lets nothing go, and is asked again a second later", async () => {
  const { store, use, usedAtMs } = pacing();
  store.error = new Error("gone");
  await use(900);
  store.error = undefined;
  expect(usedAtMs).toEqual([]);
  await use(200);
  expect(usedAtMs.length).toBeGreaterThan(0);
});

test("after a stop nobody is told anything", async () => {
  const { clock, pace, paces, turns } = pacing();
  paces.want(pace, 2);
  paces.stop();
  paces.want(pace, 2);
  clock.advance(5_000);
  await settled(2);
  expect([turns(), pace.held(clock.monotonic()), clock.pending]).toEqual([0, 0, 0]);
});
