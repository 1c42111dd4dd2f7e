import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProcessClock, VirtualClock } from "./virtual-clock.ts";

describe("the clock of a world", () => {
  test("timers run by their time, then in the order of their making, and cancelled ones don't", () => {
    const timer = fc.record({ delayMs: fc.nat(20), isCancelled: fc.boolean() });
    fc.assert(
      fc.property(fc.array(timer, { maxLength: 60 }), (timers) => {
        const clock = new VirtualClock(1_000);
        const ran: string[] = [];
        timers.forEach(({ delayMs, isCancelled }, number) => {
          const cancel = clock.after(delayMs, () => ran.push(`${clock.now()} ${number}`));
          if (isCancelled) cancel();
        });
        while (clock.step(1_100));
        const expected = timers
          .map((each, number) => ({ ...each, number }))
          .filter(({ isCancelled }) => !isCancelled)
          .sort((left, right) => left.delayMs - right.delayMs || left.number - right.number)
          .map(({ delayMs, number }) => `${1_000 + delayMs} ${number}`);
        expect(ran).toEqual(expected);
        expect(clock.now()).toBe(1_100);
      }),
    );
  });

  test("it does not jump past the end that it was given", () => {
    const clock = new VirtualClock(0);
    let ran = 0;
    clock.after(50, () => ran++);
    expect([clock.step(49), clock.now(), ran]).toEqual([false, 49, 0]);
    expect([clock.step(50), clock.now(), ran]).toEqual([true, 50, 1]);
  });
});

describe("the clock of a process", () => {
  function setup() {
    const world = new VirtualClock(0);
    const process = new ProcessClock(world, 7);
    const seen: string[] = [];
    const pass = (ms: number) => {
      const endMs = world.now() + ms;
      while (world.step(endMs));
    };
    return { world, process, seen, pass };
  }

  test("one that is stopped runs what it missed, in its order, when it goes on; its time went on meanwhile", () => {
    const { process, seen, pass } = setup();
    process.after(10, () => seen.push(`timer at ${process.now()}`));
    process.stop();
    pass(20);
    process.deliver(() => seen.push("message"));
    expect([seen, process.monotonic()]).toEqual([[], 20]);
    process.resume();
    pass(0);
    expect(seen).toEqual(["timer at 27", "message"]);
  });

  test("a timer that is cancelled while it is stopped does not run", () => {
    const { process, seen, pass } = setup();
    const cancel = process.after(10, () => seen.push("timer"));
    process.stop();
    pass(20);
    process.resume();
    cancel();
    pass(1);
    expect([seen, process.timers]).toEqual([[], 0]);
  });

  test("nothing reaches one that was killed", () => {
    const { process, seen, pass } = setup();
    process.after(10, () => seen.push("timer"));
    process.kill();
    process.resume();
    process.deliver(() => seen.push("message"));
    pass(20);
    expect([seen, process.isDead]).toEqual([[], true]);
  });
});
