import { describe, expect, test } from "vitest";
import type { OrganisationRates } from "../domain/rates.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
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
    return this.burstOf(caller(keyId), most);
  }

  burstOf(principal: Principal, most = 10_000): number {
    for (let made = 0; made < most; made += 1) {
      if (this.waitOf(() => this.rates.call(principal)) > 0) return made;
    }
    return most;
  }
}

const customer = (keyId: string, entityId = "shop", organisation = "acme"): Principal => ({
  ...caller(keyId, organisation),
  role: "portal",
  entityId,
});

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

describe("calls of an organisation", () => {
  test("are four times a key's over all of its keys, in every environment", () => {
    const stage = new Stage(10, 0);
    const keys = Array.from({ length: 6 }, (_, at) => `key_${at}`);
    expect(keys.map((keyId) => stage.burst(keyId))).toEqual([10, 10, 10, 10, 0, 0]);
    expect(LIMITS.organisationCallShares).toBe(4);
    const staging = { ...caller("key_s"), tenant: { organisation: "acme", environment: "staging" } };
    expect(() => stage.rates.call(staging)).toThrow("the organisation made more than the 40 calls a second");
    expect(stage.burstOf(caller("key_g", "globex"))).toBe(10);
    stage.clock.advance(100);
    // What was refused for the organisation's sake cost the key nothing.
    expect(stage.burst("key_5")).toBe(4);
  });

  test("grow with what the organisation was given for a key", async () => {
    const stage = new Stage(10, 0);
    stage.given.set("acme", { callsPerSecond: 2 });
    stage.rates.call(caller("key_0"));
    await Promise.resolve();
    stage.clock.advance(1_000);
    const keys = Array.from({ length: 6 }, (_, at) => `key_${at}`);
    expect(keys.map((keyId) => stage.burst(keyId))).toEqual([2, 2, 2, 2, 0, 0]);
  });
});

describe("calls of portal sessions", () => {
  test("have a rate of their own: a burst at once, and then the rate", () => {
    const stage = new Stage(5_000, 0);
    expect(stage.burstOf(customer("ses_1"))).toBe(LIMITS.sessionCallBurst);
    const refused = stage.waitOf(() => stage.rates.call(customer("ses_1")));
    expect(refused).toBe(1_000 / LIMITS.sessionCallsPerSecond);
    expect(() => stage.rates.call(customer("ses_1"))).toThrow(
      "the portal session made more than the 50 calls a second",
    );
    stage.clock.advance(1_000);
    expect(stage.burstOf(customer("ses_1"))).toBe(LIMITS.sessionCallsPerSecond);
  });

  test("of one entity are bounded together, however many sessions it makes", () => {
    const stage = new Stage(5_000, 0);
    const sessions = Array.from({ length: 50 }, (_, at) => customer(`ses_${at}`));
    const all = () => sessions.reduce((sum, session) => sum + stage.burstOf(session), 0);
    expect(all()).toBe(LIMITS.entityCallBurst);
    expect(() => stage.rates.call(customer("ses_new"))).toThrow("the entity made more than the 200 calls a second");
    stage.clock.advance(1_000);
    expect(all()).toBe(LIMITS.entityCallsPerSecond);
    expect(stage.burstOf(customer("ses_cafe", "cafe"))).toBe(LIMITS.sessionCallBurst);
    // Another organisation's entity of that name is another.
    expect(stage.burstOf(customer("ses_globex", "shop", "globex"))).toBe(LIMITS.sessionCallBurst);
  });

  test("hold for those whose keys may call any number", () => {
    const stage = new Stage(0, 0);
    expect(stage.burstOf(customer("ses_1"))).toBe(LIMITS.sessionCallBurst);
  });

  test("of all entities come to one key's, so that the organisation's keys have the rest", () => {
    const stage = new Stage(300, 0);
    const sessions = Array.from({ length: 5 }, (_, at) => customer(`ses_${at}`, `shop-${at}`));
    expect(sessions.map((session) => stage.burstOf(session))).toEqual([200, 100, 0, 0, 0]);
    expect(() => stage.rates.call(customer("ses_9", "shop-9"))).toThrow(
      "the organisation's portal made more than the 300 calls a second",
    );
    expect(["key_1", "key_2", "key_3", "key_4"].map((keyId) => stage.burst(keyId))).toEqual([300, 300, 300, 0]);
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
    stage.rates.call(customer(`ses_${at}`, `shop_${at}`, `org_${at}`));
    stage.rates.events(`org_${at}`, 1);
  }
  expect(stage.rates.size).toBe(70_000);
  expect([stage.burst("key_29999"), stage.burst("key_0")]).toEqual([0, 1]);
});
