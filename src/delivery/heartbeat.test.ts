import { beforeEach, describe, expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { CodedError } from "../kernel/errors.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { BEAT_MS, Heartbeat, SILENT_MS } from "./heartbeat.ts";
import type { HeartbeatStore, Pulse } from "./heartbeat-store.ts";

/** A store that a test has in its hands. */
class Beats implements HeartbeatStore {
  life = 1;
  pulse: Pulse = { holder: "other", beats: 1, isDead: false };
  /** The other worker is at work. */
  isBeating = false;
  isDown = false;
  /** Set, a call stays under way until it resolves. */
  held: Promise<void> | undefined;
  begun = 0;
  readonly buried: Pick<Pulse, "holder" | "beats">[] = [];
  left = 0;

  async beat(): Promise<number> {
    this.begun++;
    await this.#reached();
    return this.life;
  }

  async pulses(): Promise<readonly Pulse[]> {
    await this.#reached();
    if (this.isBeating) this.pulse = { ...this.pulse, beats: this.pulse.beats + 1 };
    return [this.pulse];
  }

  async bury(pulse: Pulse): Promise<number> {
    this.buried.push(pulse);
    return 3;
  }

  async leave(): Promise<number> {
    this.left++;
    await this.#reached();
    return 0;
  }

  async #reached(): Promise<void> {
    await this.held;
    if (this.isDown) throw new CodedError("store.unavailable", "down");
  }
}

describe("heartbeats", () => {
  let clock: ManualClock;
  let store: Beats;
  let woken: number;
  let heartbeat: Heartbeat;
  beforeEach(() => {
    clock = new ManualClock();
    store = new Beats();
    woken = 0;
    heartbeat = new Heartbeat({ store, clock, log: silentLog, wake: () => void woken++ });
  });

  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      clock.advance(Math.min(100, left));
      await settled();
    }
  };

  test("a worker is sure from its first beat on, while its beats are acknowledged", async () => {
    expect(heartbeat.isSure).toBe(false);
    heartbeat.start();
    expect(heartbeat.isSure).toBe(false);
    await settled();
    expect([heartbeat.isSure, woken]).toEqual([true, 1]);
    store.isBeating = true;
    await pass(10 * SILENT_MS);
    expect([heartbeat.isSure, heartbeat.life, woken]).toEqual([true, 1, 1]);
  });

  test("it is sure no longer than SILENT_MS from when its last acknowledged beat was begun", async () => {
    heartbeat.start();
    await settled();
    store.isDown = true;
    await pass(SILENT_MS - 1);
    expect(heartbeat.isSure).toBe(true);
    await pass(1);
    expect(heartbeat.isSure).toBe(false);
    store.isDown = false;
    await pass(BEAT_MS);
    expect([heartbeat.isSure, woken]).toEqual([true, 2]);
  });

  test("the sleep of its machine counts, which the monotonic clock doesn't see", async () => {
    heartbeat.start();
    await settled();
    clock.step(SILENT_MS);
    expect(heartbeat.isSure).toBe(false);
    await pass(BEAT_MS);
    clock.step(-3_600_000);
    expect(heartbeat.isSure).toBe(true);
  });

  test("an answer that came late makes it sure from the question on, not from the answer", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    heartbeat.start();
    store.held = new Promise(() => {});
    clock.advance(SILENT_MS);
    resolve();
    await settled();
    expect(heartbeat.isSure).toBe(false);
  });

  test("a store that is slow gets as many beats, and one that hangs eight at once", async () => {
    store.held = new Promise(() => {});
    heartbeat.start();
    await pass(30 * BEAT_MS);
    expect(store.begun).toBe(8);
  });

  test("a worker that was taken for dead is in its next life", async () => {
    heartbeat.start();
    await settled();
    store.life = 2;
    await pass(BEAT_MS);
    expect([heartbeat.life, heartbeat.isSure]).toEqual([2, true]);
  });

  test("one whose beats stand still for SILENT_MS is buried, and what it had is looked for", async () => {
    heartbeat.start();
    await pass(SILENT_MS - BEAT_MS);
    expect(store.buried).toEqual([]);
    await pass(2 * BEAT_MS);
    expect(store.buried[0]).toEqual({ holder: "other", beats: 1, isDead: false });
    expect(woken).toBeGreaterThan(1);
  });

  test("one that beats is left alone", async () => {
    store.isBeating = true;
    heartbeat.start();
    await pass(10 * SILENT_MS);
    expect(store.buried).toEqual([]);
  });

  test("one that another took for dead is buried at the first look", async () => {
    store.pulse = { ...store.pulse, isDead: true };
    heartbeat.start();
    await settled();
    expect(store.buried).toEqual([store.pulse]);
  });

  test("a worker that stood still itself takes nobody for dead for what it hasn't seen", async () => {
    heartbeat.start();
    await settled();
    // As after SIGCONT: a minute has gone by, and its timers are late.
    clock.advance(60_000);
    await settled();
    store.isBeating = true;
    await pass(2 * BEAT_MS);
    expect(store.buried).toEqual([]);
  });

  test("nor does one that others may have taken for dead itself", async () => {
    store.beat = async () => {
      throw new CodedError("store.unavailable", "down");
    };
    heartbeat.start();
    await pass(3 * SILENT_MS);
    expect(store.buried).toEqual([]);
  });

  test("a stop leaves, beats no more, and waits for a store that hangs for a second at most", async () => {
    heartbeat.start();
    await settled();
    store.held = new Promise(() => {});
    let isStopped = false;
    const stopped = heartbeat.stop().then(() => {
      isStopped = true;
    });
    await pass(900);
    expect(isStopped).toBe(false);
    await pass(100);
    await stopped;
    expect([store.left, store.begun, clock.pending]).toEqual([1, 1, 0]);
  });
});
