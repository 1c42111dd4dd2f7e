/** The judge finds each kind of violation, and none where there is none. */
import { describe, expect, test } from "vitest";
import {
  type Accounts,
  accountsAt,
  accountsOf,
  checkEvents,
  type Findings,
  type Logged,
  lastTakenMs,
  type Received,
  violationsOf,
} from "./event-checker.ts";

const GOOD = "sub_good";
const BAD = "sub_bad";

function came(eventId: string, more: Partial<Received> = {}): Received {
  return { subscriptionId: GOOD, eventId, webhookId: `dlv_${eventId}`, atMs: 10, status: 200, ...more };
}

function told(eventId: string, more: Partial<Logged> = {}): Logged {
  const one = { webhookId: `dlv_${eventId}`, status: "delivered", attemptCount: 1, statuses: [200] } as const;
  return { subscriptionId: GOOD, eventId, ...one, ...more };
}

function accounts(more: Partial<Accounts> = {}): Accounts {
  const events = new Set(["e1", "e2"]);
  const received = [came("e1"), came("e2")];
  const logged = [told("e1"), told("e2")];
  return { accepted: events, asked: events, healthy: [GOOD], received, logged, ...more };
}

const atBad = { subscriptionId: BAD, webhookId: "dlv_bad" };
const failed = { ...atBad, status: "failed", attemptCount: 2, statuses: [500, 500] } as const;
const refused = [came("e1", { ...atBad, status: 500 }), came("e1", { ...atBad, status: 500, atMs: 20 })];
const unrecorded = new Set(["dlv_e1"]);

/** Broken accounts, and what alone they are found to break. */
const broken: readonly (readonly [string, keyof Findings, Partial<Accounts>, unknown])[] = [
  ["never came", "lost", { received: [came("e2")], logged: [told("e2")] }, ["e1@sub_good"]],
  [
    "came, and was never answered 2xx",
    "lost",
    {
      received: [came("e1", { status: 500 }), came("e2")],
      logged: [told("e1", { status: "waiting", statuses: [500] }), told("e2")],
    },
    ["e1@sub_good"],
  ],
  [
    "is not kept for a broken endpoint",
    "lost",
    {
      broken: [BAD],
      logged: kept({})
        .slice(0, 2)
        .concat(kept({})[3] ?? []),
    },
    ["e1@sub_bad"],
  ],
  [
    "came, and nobody asked for it",
    "unexpected",
    { received: [came("e1"), came("e2"), came("e3")], logged: [told("e1"), told("e2"), told("e3")] },
    ["e3@sub_good"],
  ],
  [
    "came under two webhook ids",
    "split",
    {
      received: [came("e1"), came("e1", { webhookId: "dlv_other", atMs: 20 }), came("e2")],
      logged: [told("e1"), told("e1", { webhookId: "dlv_other" }), told("e2")],
      deaths: [{ atMs: 15, unrecorded: new Set(["dlv_other"]) }],
    },
    ["e1@sub_good"],
  ],
  [
    "came twice, and nothing had happened",
    "unexplained",
    { received: [came("e1"), came("e1", { atMs: 20 }), came("e2")], logged: [told("e1", two()), told("e2")] },
    [expect.objectContaining({ eventId: "e1", atMs: 20 })],
  ],
  [
    "came twice, and was recorded when the process died",
    "unexplained",
    {
      received: [came("e2"), came("e2", { atMs: 20 }), came("e1")],
      logged: [told("e1"), told("e2", two())],
      deaths: [{ atMs: 15, unrecorded }],
    },
    [expect.objectContaining({ eventId: "e2" })],
  ],
  [
    "came again before the process died",
    "unexplained",
    {
      received: [came("e1"), came("e1", { atMs: 12 }), came("e2")],
      logged: [told("e1", two()), told("e2")],
      deaths: [{ atMs: 15, unrecorded }],
    },
    [expect.objectContaining({ atMs: 12 })],
  ],
  [
    "came three times after one death",
    "unexplained",
    {
      received: [came("e1"), came("e1", { atMs: 20 }), came("e1", { atMs: 30 }), came("e2")],
      logged: [told("e1", { attemptCount: 3, statuses: [200, 200, 200] }), told("e2")],
      deaths: [{ atMs: 15, unrecorded }],
    },
    [expect.objectContaining({ atMs: 30 })],
  ],
  [
    "came again while its first request was not answered",
    "unexplained",
    {
      received: [came("e1", { status: 0 }), came("e1", { atMs: 20 }), came("e2")],
    },
    [expect.objectContaining({ atMs: 20 })],
  ],
  [
    "is DELIVERED, and no receiver took it",
    "wronglyTerminal",
    { broken: [BAD], received: [...accounts().received], logged: kept({ ...atBad, statuses: [] }) },
    ["e1@sub_bad"],
  ],
  [
    "is FAILED before its schedule was used up",
    "wronglyTerminal",
    { broken: [BAD], attemptsBeforeFailed: 3, received: [...accounts().received, ...refused], logged: kept(failed) },
    ["e1@sub_bad"],
  ],
  [
    "is FAILED, and its receiver took it",
    "wronglyTerminal",
    {
      broken: [BAD],
      received: [...accounts().received, ...refused, came("e1", { ...atBad, atMs: 30 })],
      logged: kept({ ...failed, attemptCount: 3, statuses: [500, 500, 200] }),
    },
    ["e1@sub_bad"],
  ],
  [
    "is CANCELLED, and its receiver took it",
    "wronglyTerminal",
    {
      broken: [BAD],
      received: [...accounts().received, came("e1", atBad)],
      logged: kept({ ...atBad, status: "cancelled" }),
    },
    ["e1@sub_bad"],
  ],
  [
    "is open, and was taken",
    "unfinished",
    { logged: [told("e1", { status: "waiting" }), told("e2")] },
    ["e1@sub_good"],
  ],
  [
    "has an attempt with an answer that was never given",
    "invented",
    { logged: [told("e1", { attemptCount: 2, statuses: [500, 200] }), told("e2")] },
    ["e1@sub_good"],
  ],
  [
    "was answered once more than its log says",
    "unlogged",
    { received: [came("e1", { status: 500, atMs: 5 }), came("e1"), came("e2")] },
    ["e1@sub_good"],
  ],
];

function two(): Partial<Logged> {
  return { attemptCount: 2, statuses: [200, 200] };
}

/** The good endpoint's log, with the bad one's: one delivery as given, the other failed as it should. */
function kept(first: Partial<Logged>): readonly Logged[] {
  const other = { ...atBad, webhookId: "dlv_bad2", status: "waiting", attemptCount: 0, statuses: [] } as const;
  return [told("e1"), told("e2"), told("e1", first), told("e2", other)];
}

describe("the judge", () => {
  test("finds nothing where nothing is wrong", () => {
    const findings = checkEvents(accounts());
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ accepted: 2, delivered: 2, repeatBound: 0, repeats: [] });
  });

  test.each(broken)("finds one that %s, and nothing else", (_, kind, wrong, found) => {
    const findings = checkEvents(accounts(wrong));
    expect(findings[kind]).toEqual(found);
    expect(violationsOf(findings)).toEqual([expect.stringMatching(new RegExp(`^${kind}: 1 `))]);
  });

  test("takes a repeat of what was unrecorded at a death for explained, and counts the bound", () => {
    const findings = checkEvents(
      accounts({
        received: [came("e1"), came("e1", { atMs: 20 }), came("e2")],
        deaths: [{ atMs: 15, unrecorded: new Set(["dlv_e1", "dlv_e9"]) }],
      }),
    );
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ repeatBound: 2, repeats: [{ eventId: "e1", atMs: 20 }] });
  });

  test("takes a repeat for explained by an attempt that brought no answer, and no second one", () => {
    const twice = [came("e1"), came("e1", { atMs: 20 }), came("e2")];
    const logged = [told("e1", { attemptCount: 2, statuses: [0, 200], unanswered: 1 }), told("e2")];
    const findings = checkEvents(accounts({ received: twice, logged }));
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ repeatBound: 1, repeats: [{ atMs: 20 }] });
    const thrice = checkEvents(accounts({ received: [...twice, came("e1", { atMs: 30 })], logged }));
    expect(thrice.unexplained).toEqual([expect.objectContaining({ atMs: 30 })]);
  });

  test("takes a retry after a refusal for no repeat", () => {
    const findings = checkEvents(
      accounts({
        received: [came("e1", { status: 503, atMs: 5 }), came("e1"), came("e2")],
        logged: [told("e1", { attemptCount: 2, statuses: [503, 200] }), told("e2")],
      }),
    );
    expect(violationsOf(findings)).toEqual([]);
    expect(findings.repeats).toEqual([]);
  });

  test("takes an attempt without an answer for none that the receiver must have seen", () => {
    const logged = [told("e1", { attemptCount: 2, statuses: [0, 200] }), told("e2")];
    expect(violationsOf(checkEvents(accounts({ logged })))).toEqual([]);
  });

  test("takes an event for expected that was asked for, though the call broke", () => {
    const findings = checkEvents(
      accounts({
        asked: new Set(["e1", "e2", "e3"]),
        received: [came("e1"), came("e2"), came("e3")],
        logged: [told("e1"), told("e2"), told("e3")],
      }),
    );
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ accepted: 2, delivered: 3 });
  });

  test("judges some events alone", () => {
    const some = accountsOf(new Set(["e1", "e3"]), accounts({ received: [came("e1")], logged: [told("e1")] }));
    expect(checkEvents(some)).toMatchObject({ accepted: 1, delivered: 1, lost: [] });
    const others = accountsOf(new Set(["e2"]), accounts({ received: [came("e1")], logged: [told("e1")] }));
    expect(violationsOf(checkEvents(others))).toEqual(["lost: 1 (e2@sub_good)"]);
  });

  test("judges some endpoints alone", () => {
    const both = accounts({ healthy: [GOOD, BAD] });
    expect(violationsOf(checkEvents(both))).toEqual(["lost: 2 (e1@sub_bad, e2@sub_bad)"]);
    expect(violationsOf(checkEvents(accountsAt([GOOD], both)))).toEqual([]);
    expect(violationsOf(checkEvents(accountsAt([BAD], both)))).toEqual(["lost: 2 (e1@sub_bad, e2@sub_bad)"]);
  });

  test("knows when the last of some events was taken", () => {
    const received = [came("e1", { status: 500 }), came("e1", { atMs: 30 }), came("e1", { atMs: 40 }), came("e2")];
    expect(lastTakenMs(accounts({ received }), ["e1", "e2"])).toBe(40);
    expect(lastTakenMs(accounts({ received }), ["e2"])).toBe(10);
    expect(lastTakenMs(accounts({ received }), ["e3"])).toBe(Number.POSITIVE_INFINITY);
  });
});
