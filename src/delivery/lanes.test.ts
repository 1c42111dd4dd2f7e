import { describe, expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { Lanes } from "./lanes.ts";
import type { Work } from "./work.ts";

function work(organisation: string, subscriptionId: string, at = 0): Work {
  const event = sampleEvent(`evt_${at}`, { tenant: { organisation, environment: "production" } });
  return {
    id: `${organisation}/${subscriptionId}/${at}`,
    subscriptionId,
    event: { ...event, rendered: new Map(), conflicted: false },
    workClass: "live",
    createdAtMs: 0,
    runAttempts: 0,
    waiters: [],
    row: "none",
    queuedAtMs: 0,
  };
}

/** Lanes whose requests are never answered; `started` has each one's organisation, in order. */
function lanesSetup() {
  const started: string[] = [];
  const gate = { isOpen: false };
  const lanes = new Lanes({
    clock: new ManualClock(),
    mayStart: () => gate.isOpen,
    run(one) {
      started.push(one.event.stored.tenant.organisation);
      return new Promise(() => {});
    },
    onLeft: () => {},
    onPaced: () => {},
  });
  const push = (one: Work) => lanes.push(lanes.lane(one, { ...DEFAULT_POLICY, maxInFlight: 20 }), one);
  return { lanes, push, started, gate };
}

describe("turns", () => {
  test("organisations take turns: many endpoints get no more of a round than one", () => {
    const { lanes, push, started, gate } = lanesSetup();
    for (let at = 0; at < 100; at++) for (let one = 0; one < 5; one++) push(work("acme", `sub_${at}`, one));
    for (let one = 0; one < 3; one++) push(work("globex", "sub_theirs", one));
    push(work("initech", "sub_other"));
    gate.isOpen = true;
    lanes.pump();
    expect(started.slice(0, 8)).toEqual(["acme", "globex", "initech", "acme", "globex", "acme", "globex", "acme"]);
    expect(started).toHaveLength(504);
  });

  test("an organisation that has used up all that may be in flight keeps no other's from starting, within bounds", () => {
    const { lanes, push, started, gate } = lanesSetup();
    gate.isOpen = true;
    for (let at = 0; at < 100; at++) for (let one = 0; one < 20; one++) push(work("acme", `sub_${at}`, one));
    lanes.pump();
    expect(started).toHaveLength(LIMITS.inFlight);
    for (let one = 0; one < 20; one++) push(work("globex", "sub_theirs", one));
    lanes.pump();
    const theirs = started.filter((organisation) => organisation === "globex").length;
    expect(theirs).toBeGreaterThan(0);
    expect(theirs).toBeLessThan(20);
    for (let at = 0; at < 500; at++) push(work(`org-${at}`, `sub_of_${at}`));
    lanes.pump();
    expect(lanes.inFlight).toBeLessThanOrEqual(LIMITS.inFlight * 1.25);
  });
});
