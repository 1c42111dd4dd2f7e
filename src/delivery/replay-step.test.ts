import { describe, expect, it } from "vitest";
import { replay } from "../../test/contracts/replay-rows.ts";
import { subscription, T0 } from "../../test/contracts/rows.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import type { ReplayItem } from "./replay.ts";
import { MOST_DEFERRED, orderedPairs, type StepInput, stepWork } from "./replay-step.ts";
import type { ReplayCandidate } from "./replay-store.ts";

const PLAIN = subscription("sub_1");
const ORDERED = { ...PLAIN, policy: { ...DEFAULT_POLICY, ordering: "perPass" as const } };

function candidate(
  at: number,
  over: Partial<NonNullable<ReplayCandidate["delivery"]>> = {},
  passId = "p1",
): ReplayCandidate {
  const id = `d${at}`;
  return {
    place: { timeMs: T0 + at, sequence: at, id },
    eventId: `evt_${at}`,
    kind: { type: 1 },
    passId,
    delivery: { id, subscriptionId: "sub_1", status: "failed", ...over },
  };
}

const itemOf = ({ eventId, kind, passId, delivery }: ReplayCandidate): ReplayItem => ({
  deliveryId: delivery?.id ?? "",
  eventId,
  kind,
  passId,
  subscriptionId: "sub_1",
});

function step(items: readonly ReplayCandidate[], over: Partial<StepInput> = {}, isMore = false) {
  const last = items.at(-1)?.place;
  return stepWork({
    replay: replay("rpl_1"),
    found: { items, ...(isMore && last !== undefined ? { next: last } : {}) },
    subscription: () => PLAIN,
    wanted: new Set(),
    busy: [],
    room: 100,
    nowMs: T0,
    ...over,
  });
}

describe("a step of a replay", () => {
  it("takes in what there is room for, and stands before the first that there is none for", () => {
    const work = step([candidate(1), candidate(2, { status: "held" }), candidate(3), candidate(4)], { room: 1 });
    expect(work).toMatchObject({ due: ["d1"], skipped: 1, isAtEnd: false, cursor: { id: "d2" } });
  });

  it("is at the end where it has gone through all, and nothing lies behind", () => {
    expect(step([candidate(1)])).toMatchObject({ isAtEnd: true, cursor: { id: "d1" } });
    expect(step([candidate(1)], {}, true)).toMatchObject({ isAtEnd: false, cursor: { id: "d1" } });
    expect(step([])).toMatchObject({ isAtEnd: true, due: [] });
  });

  it("stands where everything was looked at, though nothing of it fits", () => {
    const next = { timeMs: T0 + 9, sequence: 9, id: "d9" };
    expect(step([], { found: { items: [], next } })).toMatchObject({ isAtEnd: false, cursor: next });
  });

  it("counts as sent what an earlier try of it made due, whatever became of that", () => {
    const mine = (["waiting", "attempting", "delivered", "failed"] as const).map((status, at) =>
      candidate(at, { status, replayId: "rpl_1" }),
    );
    const work = step([...mine, candidate(7, { replayId: "rpl_2" })]);
    expect(work).toMatchObject({ alreadySent: 4, skipped: 0, due: ["d7"] });
  });

  it("defers what comes behind one of its pass, in this step or before, and lets other passes by", () => {
    const items = [candidate(1), candidate(2), candidate(3, {}, "p2"), candidate(4, {}, "p3")];
    const busy = [{ subscriptionId: "sub_1", passId: "p3" }];
    const work = step(items, { subscription: () => ORDERED, busy });
    expect(work.due).toEqual(["d1", "d3"]);
    expect(work.deferred.map(({ deliveryId }) => deliveryId)).toEqual(["d2", "d4"]);
    expect(step(items).deferred).toEqual([]);
  });

  it("takes what was deferred before what is found, and keeps its order", () => {
    const deferred = [candidate(1), candidate(2)].map(itemOf);
    const given = { replay: replay("rpl_1", { deferred }), subscription: () => ORDERED };
    const work = step([candidate(3)], given);
    expect(work.due).toEqual(["d1"]);
    expect(work.deferred.map(({ deliveryId }) => deliveryId)).toEqual(["d2", "d3"]);
    // Without room all stays deferred, and nothing goes by.
    expect(step([candidate(3)], { ...given, room: 0 })).toMatchObject({ due: [], deferred });
  });

  it("goes no further than what it may defer", () => {
    const many = Array.from({ length: MOST_DEFERRED + 5 }, (_, at) => candidate(at));
    const work = step(many, { subscription: () => ORDERED });
    expect(work.due).toEqual(["d0"]);
    expect(work.deferred).toHaveLength(MOST_DEFERRED);
    expect(work).toMatchObject({ isAtEnd: false, cursor: { id: `d${MOST_DEFERRED}` } });
  });

  it("asks who is busy of ordered subscriptions alone, of each pass once", () => {
    const found = {
      items: [candidate(1), candidate(2), candidate(3, {}, "p2"), candidate(4, { subscriptionId: "sub_2" })],
    };
    const deferred = [itemOf(candidate(0, {}, "p0"))];
    const subscriptions = { sub_1: ORDERED, sub_2: PLAIN };
    const pairs = orderedPairs({
      replay: replay("rpl_1", { deferred }),
      found,
      subscription: (id) => (id === "sub_1" || id === "sub_2" ? subscriptions[id] : undefined),
    });
    expect(pairs).toEqual(["p0", "p1", "p2"].map((passId) => ({ subscriptionId: "sub_1", passId })));
  });
});
