import { describe, expect, test } from "vitest";
import type { OrganisationRates } from "../domain/rates.ts";
import { CodedError } from "../kernel/errors.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Principal } from "./authenticate.ts";
import { Rates } from "./rates.ts";

const caller = (keyId: string, organisation = "acme"): Principal => ({
  tenant: { organisation, environment: "production" },
  role: "publisher",
  keyId,
});

class Stage {
  readonly clock = new ManualClock();
  readonly given = new Map<string, OrganisationRates>();
  asked = 0;
  failing = false;
  readonly rates: Rates;

  constructor(callsPerSecond: number, eventsPerSecond: number) {
    this.rates = new Rates({
      service: { callsPerSecond, eventsPerSecond },
      given: async (organisation) => {
        this.asked += 1;
        if (this.failing) throw new CodedError("store.unavailable", "away");
        return this.given.get(organisation) ?? {};
      },
      clock: this.clock,
    });
  }

  /** How long it was told to wait; 0 where it was taken. */
  waitOf(take: () => void): number {
    try {
      take();
      return 0;
    } catch (error) {
      if (error instanceof CodedError && error.kind === "exhausted") return error.retryAfterMs ?? Number.NaN;
      throw error;
    }
  }

  /** Calls that are taken now, one after the other. */
  burst(keyId = "key_1", most = 1_000): number {
    for (let made = 0; made < most; made += 1) {
      if (this.waitOf(() => this.rates.call(caller(keyId))) > 0) return made;
    }
    return most;
  }
}

describe("calls of a key", () => {
  test("a second's worth goes at once, then one for each that is earned", () => {
    const stage = new Stage(10, 0);
    expect(stage.burst()).toBe(10);
    stage.clock.advance(100);
    expect(stage.burst()).toBe(1);
    stage.clock.advance(60_000);
    expect(stage.burst()).toBe(10);
  });

  test("a refused one is told how long to wait, and waiting so long is enough", () => {
    const stage = new Stage(3, 0);
    expect(stage.burst()).toBe(3);
    const waitMs = stage.waitOf(() => stage.rates.call(caller("key_1")));
    expect(waitMs).toBeGreaterThan(300);
    expect(waitMs).toBeLessThan(340);
    stage.clock.advance(waitMs);
    expect(stage.burst()).toBe(1);
  });

  test("are its own: another key of the organisation has as many", () => {
    const stage = new Stage(5, 0);
    expect([stage.burst("key_1"), stage.burst("key_2"), stage.burst("key_1")]).toEqual([5, 5, 0]);
  });

  test("over an hour, come to the rate and a second's worth", () => {
    const stage = new Stage(7, 0);
    let taken = 0;
    for (let tick = 0; tick < 3_600 * 4; tick += 1) {
      taken += stage.burst("key_1", 3);
      stage.clock.advance(250);
    }
    expect(taken / (3_600 * 7)).toBeGreaterThan(0.999);
    expect(taken).toBeLessThanOrEqual(3_600 * 7 + 7);
  });

  test("0 is any number", () => {
    const stage = new Stage(0, 0);
    expect(stage.burst("key_1", 100_000)).toBe(100_000);
  });
});

describe("events of an organisation", () => {
  test("count by the event, whichever key or environment they come from; a batch goes whole and is waited for", () => {
    const stage = new Stage(0, 100);
    expect(stage.waitOf(() => stage.rates.events("acme", 1_000))).toBe(0);
    expect(stage.waitOf(() => stage.rates.events("globex", 1))).toBe(0);
    const waitMs = stage.waitOf(() => stage.rates.events("acme", 1));
    expect(waitMs).toBeGreaterThanOrEqual(9_000);
    expect(stage.rates.eventWaitMs("acme")).toBe(waitMs);
    stage.clock.advance(waitMs);
    expect(stage.rates.eventWaitMs("acme")).toBe(0);
  });
});

describe("what an organisation was given", () => {
  test("holds instead of the service's, and a change within five seconds", async () => {
    const stage = new Stage(5, 0);
    stage.given.set("acme", { callsPerSecond: 20 });
    expect(stage.burst()).toBe(5);
    await Promise.resolve();
    stage.clock.advance(4_999);
    expect(stage.burst()).toBe(20);
    stage.given.set("acme", {});
    stage.clock.advance(1);
    stage.burst();
    await Promise.resolve();
    stage.clock.advance(4_999);
    expect(stage.burst()).toBe(5);
    expect(stage.asked).toBe(2);
  });

  test("holds on while the store doesn't answer", async () => {
    const stage = new Stage(5, 0);
    stage.given.set("acme", { callsPerSecond: 20 });
    stage.burst();
    await Promise.resolve();
    stage.failing = true;
    stage.clock.advance(60_000);
    stage.burst();
    await Promise.resolve();
    stage.clock.advance(60_000);
    expect(stage.burst()).toBe(20);
  });
});

test("who came longest ago is forgotten, so that memory has a bound", () => {
  const stage = new Stage(1, 1);
  for (let at = 0; at < 30_000; at += 1) {
    stage.rates.call(caller(`key_${at}`, `org_${at}`));
    stage.rates.events(`org_${at}`, 1);
  }
  expect(stage.rates.size).toBe(30_000);
  expect([stage.burst("key_29999"), stage.burst("key_0")]).toEqual([0, 1]);
});
