import { describe, expect, it } from "vitest";
import { judge, milliseconds, summaryLines } from "./demo-judge.ts";
import { Ledger, type LoggedDelivery } from "./demo-ledger.ts";
import { type Interventions, NOBODY_MEDDLED } from "./demo-people.ts";
import type { Receipt } from "./demo-receiver.ts";

const crm = { name: "crm", format: "PASSKIT" };
const flaky = { name: "flaky", format: "STANDARD" };

/** One that carries this header beside its id. */
function marked(id: string, mark: string, over: Partial<Receipt> = {}): Receipt {
  const headers = { "webhook-id": id, [mark]: "true" };
  return receipt(id, { webhook: { method: "POST", path: "/crm", headers, body: Buffer.from("{}") }, ...over });
}

function receipt(id: string, over: Partial<Receipt> = {}): Receipt {
  return {
    endpoint: "crm",
    webhook: { method: "POST", path: "/crm", headers: { "webhook-id": id }, body: Buffer.from("{}") },
    verdict: { ok: true, checked: ["webhook-signature"] },
    answered: 200,
    atMs: 110,
    ...over,
  };
}

function logged(id: string, over: Partial<LoggedDelivery> = {}): LoggedDelivery {
  return { id, endpoint: "crm", status: "delivered", answers: ["200"], run: 1, ...over };
}

/** One event that the crm wants, published at 100, with what is told of it since. */
function ledger(...say: ((ledger: Ledger) => void)[]): Ledger {
  const told = new Ledger({ keep: 100, onChange: () => {} });
  told.published({ what: "created", eventId: "evt_1", publishedAtMs: 100 }, [crm]);
  for (const line of say) line(told);
  return told;
}

const problems = (told: Ledger, dueBeforeMs = Number.POSITIVE_INFINITY) => judge(told.evidence, dueBeforeMs).problems;
const arrived = (told: Ledger) => told.received(receipt("dlv_1"));
const inLog = (told: Ledger) => told.logged("evt_1", [logged("dlv_1")]);

describe("the demo's judgement", () => {
  it("is content when what arrived, verified and was logged agree, whichever was known first", () => {
    for (const told of [ledger(arrived, inLog), ledger(inLog, arrived)]) {
      expect(judge(told.evidence, Number.POSITIVE_INFINITY)).toEqual({ right: 1, open: 0, excused: 0, problems: [] });
      expect(told.evidence.unclaimed).toEqual([]);
    }
  });

  it("takes retries for what they are", () => {
    const told = ledger(
      (of) => of.received(receipt("dlv_1", { answered: 503 })),
      (of) => of.logged("evt_1", [logged("dlv_1", { status: "waiting", answers: ["503"] })]),
      arrived,
      (of) => of.logged("evt_1", [logged("dlv_1", { answers: ["503", "200"] })]),
    );
    expect(problems(told)).toEqual([]);
  });

  it.each<[name: string, says: string, ...told: ((ledger: Ledger) => void)[]]>([
    ["nothing came of it", "is not in the delivery log"],
    ["it arrived and is not in the log", "is not in the delivery log", arrived],
    ["it never arrived", "the receiver never took it", inLog],
    [
      "it waits",
      "is waiting in the delivery log (503)",
      (of) => of.logged("evt_1", [logged("dlv_1", { status: "waiting", answers: ["503"] })]),
    ],
    [
      "it failed",
      "is failed in the delivery log (connect.refused)",
      (of) => of.logged("evt_1", [logged("dlv_1", { status: "failed", answers: ["connect.refused"] })]),
    ],
    [
      "it arrived once more than the log says",
      "other attempts in the delivery log (200) than the receiver saw (200, 200)",
      arrived,
      inLog,
      arrived,
    ],
    [
      "it does not verify",
      "did not verify: webhook-signature: no",
      (of) => of.received(receipt("dlv_1", { verdict: { ok: false, reason: "webhook-signature: no" }, answered: 401 })),
      inLog,
    ],
    [
      "one of its attempts did not verify",
      "did not verify: x",
      (of) => of.received(receipt("dlv_1", { verdict: { ok: false, reason: "x" }, answered: 401 })),
      arrived,
      inLog,
    ],
    [
      "it came to another endpoint",
      "belongs to no delivery of this endpoint",
      arrived,
      inLog,
      (of) => of.received(receipt("dlv_1", { endpoint: "flaky" })),
    ],
    [
      "a webhook came that nobody asked for",
      "belongs to no delivery of this endpoint",
      arrived,
      inLog,
      (of) => of.received(receipt("dlv_9")),
    ],
  ])("is not when %s", (_name, says, ...told) => {
    expect(problems(ledger(...told)).join("\n")).toContain(says);
  });

  it("is not when nothing was published, or nobody wanted it", () => {
    const told = new Ledger({ keep: 1, onChange: () => {} });
    expect(problems(told)).toEqual(["nothing was published"]);
    told.published({ what: "scanned", eventId: "evt_1", publishedAtMs: 0 }, []);
    expect(problems(told)).toEqual(["no subscription wanted any of the events"]);
  });

  it("waits for what is not due yet, but not for what can't become right any more", () => {
    expect(judge(ledger().evidence, 99)).toEqual({ right: 0, open: 1, excused: 0, problems: [] });
    expect(problems(ledger(), 100)).toHaveLength(1);
    const failed = (of: Ledger) => of.logged("evt_1", [logged("dlv_1", { status: "failed" })]);
    expect(problems(ledger(failed), 99)).toHaveLength(1);
    const forged = (of: Ledger) => of.received(receipt("dlv_1", { verdict: { ok: false, reason: "forged" } }));
    expect(problems(ledger(forged), 99).join()).toContain("forged");
  });

  it("says in the summary whether it passed", () => {
    const good = ledger(arrived, inLog).evidence;
    expect(summaryLines(good, judge(good, 0)).at(-1)).toBe("demo passed");
    expect(summaryLines(good, judge(good, 0))[0]).toBe(
      "1 events published, 1 webhooks expected; 1 arrived, verified and DELIVERED in the log",
    );
    const bad = ledger().evidence;
    expect(summaryLines(bad, judge(bad, 200)).at(-1)).toBe("demo FAILED: 1 problem(s)");
  });
});

const forged: Partial<Receipt> = { verdict: { ok: false, reason: "forged" }, answered: 401 };
const meddled = (over: Partial<Interventions>) => (of: Ledger) => of.intervened({ ...NOBODY_MEDDLED, ...over });

describe("what people do with the dashboard meanwhile", () => {
  it.each<[name: string, ...told: ((ledger: Ledger) => void)[]]>([
    ["a replay under the same id", arrived, inLog, (of) => of.received(marked("dlv_1", "webhook-replay"))],
    ["a replay under a fresh id", arrived, inLog, (of) => of.received(marked("dlv_2", "webhook-replay"))],
    [
      "a replay before the log was read",
      arrived,
      (of) => of.logged("evt_1", [logged("dlv_1", { run: 2, answers: [] })]),
    ],
    ["a test send", arrived, inLog, (of) => of.received(marked("msg_1", "webhook-test"))],
    ["a test send of another subscription", arrived, inLog, (of) => of.received(marked("x", "webhook-test", forged))],
    [
      "a retry by hand, which carries no mark",
      arrived,
      inLog,
      arrived,
      (of) => of.logged("evt_1", [logged("dlv_1", { run: 2, answers: ["200", "200"] })]),
    ],
    [
      "a webhook of another subscription",
      arrived,
      inLog,
      (of) => of.received(receipt("o", forged)),
      (of) => of.disown("o"),
    ],
  ])("%s is no fault", (_name, ...told) => {
    expect(judge(ledger(...told).evidence, Number.POSITIVE_INFINITY)).toEqual({
      right: 1,
      open: 0,
      excused: 0,
      problems: [],
    });
  });

  it.each<[name: string, ...told: ((ledger: Ledger) => void)[]]>([
    ["its subscription was disabled", meddled({ endpoints: new Set(["crm"]) })],
    [
      "its subscription's secret was rotated",
      (of) => of.received(receipt("dlv_1", forged)),
      (of) => of.received(receipt("dlv_9", forged)),
      inLog,
      meddled({ endpoints: new Set(["crm"]) }),
    ],
    [
      "it was cancelled",
      (of) => of.logged("evt_1", [logged("dlv_1", { status: "cancelled", answers: [] })]),
      meddled({ deliveries: new Set(["dlv_1"]) }),
    ],
    ["deliveries were stopped", meddled({ everything: true })],
  ])("what is missing is not judged where %s", (_name, ...told) => {
    const { evidence } = ledger(...told);
    const judgement = judge(evidence, Number.POSITIVE_INFINITY);
    expect(judgement).toEqual({ right: 0, open: 0, excused: 1, problems: [] });
    expect(summaryLines(evidence, judgement).join("\n")).toContain("1 not judged");
  });

  it("excuses neither other endpoints nor signatures", () => {
    expect(problems(ledger(meddled({ endpoints: new Set(["flaky"]), deliveries: new Set(["dlv_7"]) })))).toHaveLength(
      1,
    );
    const replayed = (of: Ledger) => of.received(marked("dlv_1", "webhook-replay", forged));
    expect(problems(ledger(arrived, inLog, replayed)).join()).toContain("forged");
    const stopped = meddled({ everything: true });
    expect(problems(ledger((of) => of.received(receipt("dlv_1", forged)), inLog, stopped)).join()).toContain("forged");
  });

  it("a webhook that was lost and is replayed was lost all the same", () => {
    const replayed = (of: Ledger) => of.received(marked("dlv_1", "webhook-replay"));
    const again = (of: Ledger) => of.logged("evt_1", [logged("dlv_1", { run: 2, answers: ["200", "200"] })]);
    expect(problems(ledger(replayed, again)).join()).toContain("the receiver never took it");
  });

  it("names twenty problems and counts the others", () => {
    const told = ledger(...Array.from({ length: 24 }, (_, at) => (of: Ledger) => of.received(receipt(`dlv_x${at}`))));
    const judgement = judge(told.evidence, Number.POSITIVE_INFINITY);
    const lines = summaryLines(told.evidence, judgement).filter((line) => line.startsWith("PROBLEM"));
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe("PROBLEM  and 5 more");
    expect(summaryLines(told.evidence, judgement).at(-1)).toBe("demo FAILED: 25 problem(s)");
  });
});

describe("the ledger", () => {
  it("tells which requests belong to no row, once they are old enough", () => {
    const told = ledger(arrived, inLog, (of) => of.received(receipt("dlv_8", { atMs: 200 })));
    expect([told.strangers(199), told.strangers(200)]).toEqual([[], ["dlv_8"]]);
    told.disown("dlv_8");
    expect(told.strangers(200)).toEqual([]);
    expect(told.evidence).toMatchObject({ requests: 2, others: 1 });
  });

  it("forgets what is excused, and still counts it", () => {
    const told = new Ledger({ keep: 1, onChange: () => {} });
    told.intervened({ ...NOBODY_MEDDLED, endpoints: new Set(["crm"]) });
    for (const at of [1, 2, 3]) told.published({ what: "created", eventId: `evt_${at}`, publishedAtMs: at }, [crm]);
    expect(told.evidence).toMatchObject({ rows: [{ eventId: "evt_3" }], forgotten: 0, forgottenExcused: 2 });
    expect(judge(told.evidence, Number.POSITIVE_INFINITY)).toMatchObject({ excused: 3, problems: [] });
  });

  it("forgets the oldest that are right, never one that is open", () => {
    const told = new Ledger({ keep: 2, onChange: () => {} });
    for (const at of [1, 2, 3, 4]) {
      told.published({ what: "created", eventId: `evt_${at}`, publishedAtMs: at }, [crm]);
      if (at !== 2) {
        told.received(receipt(`dlv_${at}`));
        told.logged(`evt_${at}`, [logged(`dlv_${at}`)]);
      }
    }
    expect(told.evidence.rows.map((row) => row.eventId)).toEqual(["evt_2", "evt_4"]);
    expect(judge(told.evidence, Number.POSITIVE_INFINITY)).toMatchObject({
      right: 3,
      problems: [expect.stringContaining("evt_2")],
    });
  });

  it("tells of a row only when it says something new", () => {
    const changes: string[] = [];
    const told = new Ledger({
      keep: 9,
      onChange: (row) => changes.push(`${row.endpoint} ${row.delivery?.status ?? "-"}`),
    });
    told.published({ what: "created", eventId: "evt_1", publishedAtMs: 0 }, [crm, flaky]);
    told.logged("evt_1", [logged("dlv_1", { status: "attempting", answers: [] })]);
    told.logged("evt_1", [logged("dlv_1", { status: "attempting", answers: [] })]);
    told.received(receipt("dlv_1"));
    told.logged("evt_1", [logged("dlv_1")]);
    told.logged("evt_1", [logged("dlv_1")]);
    expect(changes).toEqual(["crm -", "flaky -", "crm attempting", "crm attempting", "crm delivered"]);
  });
});

it.each([
  [8.44, "8.4 ms"],
  [120.4, "120 ms"],
  [1_523, "1.52 s"],
])("%d ms reads %s", (value, text) => {
  expect(milliseconds(value)).toBe(text);
});
