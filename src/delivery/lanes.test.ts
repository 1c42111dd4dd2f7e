import { describe, expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
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

/**
 * Lanes whose requests are never answered, but for those of `answering`; `started` has each one's organisation, in order,
 * and `most` says how many may have started.
 */
function lanesSetup(answering = "") {
  const started: string[] = [];
  const gate = { isOpen: false, most: Number.POSITIVE_INFINITY };
  const clock = new ManualClock();
  const lanes = new Lanes({
    clock,
    mayStart: () => gate.isOpen && started.length < gate.most,
    run(one) {
      started.push(one.event.stored.tenant.organisation);
      return one.subscriptionId === answering ? Promise.resolve(true) : new Promise(() => {});
    },
    onLeft: () => {},
    onPaced: () => {},
  });
  const push = (one: Work) => lanes.push(lanes.lane(one, { ...DEFAULT_POLICY, maxInFlight: 20 }), one);
  return { lanes, push, started, gate, clock };
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

  test.each([
    ["organisations", (at: number) => `org-${at}`],
    ["one organisation's endpoints", () => "acme"],
  ])("the regular look at all lanes changes nobody's turn: %s", (_who, organisationOf) => {
    const { lanes, push, gate } = lanesSetup();
    for (let at = 0; at < 4; at++) for (let one = 0; one < 4; one++) push(work(organisationOf(at), `sub_${at}`, one));
    gate.isOpen = true;
    for (gate.most = 1; gate.most <= 6; gate.most++) {
      lanes.pump();
      lanes.setSaturated(false, false);
    }
    expect(Array.from(lanes.all(), ({ inFlight }) => inFlight)).toEqual([2, 2, 1, 1]);
  });

  test("nor does an answer", async () => {
    const { lanes, push, started, gate } = lanesSetup("sub_acme");
    for (const organisation of ["acme", "globex", "initech"])
      for (let one = 0; one < 3; one++) push(work(organisation, `sub_${organisation}`, one));
    gate.isOpen = true;
    gate.most = 3;
    lanes.pump();
    await settled(1);
    gate.most = 6;
    lanes.pump();
    expect(started).toEqual(["acme", "globex", "initech", "acme", "globex", "initech"]);
  });

  test("an endpoint that may start no more for now has none, and has some again when it is answered", async () => {
    const { lanes, push, started, gate } = lanesSetup("sub_well");
    const [first, ...others] = [0, 1, 2, 3].map((at) => work("acme", "sub_well", at));
    if (first === undefined) throw new Error("no work");
    push(first);
    gate.isOpen = true;
    lanes.pump();
    for (const other of others) push(other);
    lanes.beginSlowly({ tenant: first.event.stored.tenant, subscriptionId: "sub_well" });
    lanes.pump();
    expect(started).toHaveLength(1);
    await settled(1);
    expect(started).toHaveLength(4);
    expect([...lanes.all()]).toHaveLength(1);
  });

  test("a lane that has nothing left, and nothing to remember, is gone", async () => {
    const { lanes, push, gate } = lanesSetup("sub_well");
    push(work("acme", "sub_well"));
    push(work("acme", "sub_hanging"));
    gate.isOpen = true;
    lanes.pump();
    await settled(1);
    expect(Array.from(lanes.all(), ({ subscriptionId }) => subscriptionId)).toEqual(["sub_hanging"]);
  });
});

describe("an endpoint that fills its queue before it has said anything", () => {
  const HANGING = "sub_hanging";
  const fill = (push: (one: Work) => void) => {
    for (let at = 0; at < LIMITS.laneQueue + 20; at++) push(work("acme", HANGING, at));
  };
  const answer = async (lanes: Lanes, push: (one: Work) => void, count: number) => {
    for (let at = 0; at < count; at++) push(work("acme", "sub_well", at));
    lanes.pump();
    for (let turn = 0; turn < count; turn++) await Promise.resolve();
  };

  test("keeps its organisation's next events waiting for a moment: it may have only just begun", async () => {
    const { lanes, push, gate, clock } = lanesSetup("sub_well");
    gate.isOpen = true;
    fill(push);
    lanes.pump();
    await answer(lanes, push, LIMITS.laneQueue - 1);
    await clock.advance(100);
    expect(lanes.hasFullLaneOf("acme")).toBe(true);
    await clock.advance(200);
    expect(lanes.hasFullLaneOf("acme")).toBe(false);
  });

  test("and for less where its neighbours have answered a queue's worth meanwhile", async () => {
    const { lanes, push, gate, clock } = lanesSetup("sub_well");
    gate.isOpen = true;
    fill(push);
    lanes.pump();
    await answer(lanes, push, LIMITS.laneQueue);
    expect(lanes.hasFullLaneOf("acme")).toBe(true);
    await clock.advance(50);
    expect(lanes.hasFullLaneOf("acme")).toBe(false);
    expect(lanes.isTooSlow(lanes.lane(work("acme", HANGING)))).toBe(true);
    expect(lanes.isTooSlow(lanes.lane(work("acme", "sub_well")))).toBe(false);
  });
});
