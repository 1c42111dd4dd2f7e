import { describe, expect, it } from "vitest";
import { judge, milliseconds, summaryLines } from "./demo-judge.ts";
import { Ledger, type LoggedDelivery } from "./demo-ledger.ts";
import type { Receipt } from "./demo-receiver.ts";

const crm = { name: "crm", format: "PASSKIT" };
const flaky = { name: "flaky", format: "STANDARD" };

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
  return { id, endpoint: "crm", status: "delivered", answers: ["200"], ...over };
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
      expect(judge(told.evidence, Number.POSITIVE_INFINITY)).toEqual({ right: 1, open: 0, problems: [] });
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
    expect(judge(ledger().evidence, 99)).toEqual({ right: 0, open: 1, problems: [] });
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

describe("the ledger", () => {
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
