import { describe, expect, test } from "vitest";
import { checkEvents } from "./event-checker.ts";
import { faultRow, faultTableLines, recordFault } from "./fault-table.ts";
import { emptySummary, summaryLines } from "./summary.ts";

const row = { row: "kill -9", accepted: 10, delivered: 20, lost: 0, repeated: 3, repeatBound: 5, recoveredMs: 12 };

describe("the table of faults", () => {
  test("is Markdown, its columns aligned", () => {
    const lines = faultTableLines([row, { ...row, row: "SIGSTOP", recoveredMs: 1_234 }]);
    expect(lines).toEqual([
      "| fault   | accepted | delivered | lost | repeated | bound | recovered |",
      "|---------|---------:|----------:|-----:|---------:|------:|----------:|",
      "| kill -9 |       10 |        20 |    0 |        3 |     5 |     12 ms |",
      "| SIGSTOP |       10 |        20 |    0 |        3 |     5 |   1234 ms |",
    ]);
    expect(faultTableLines([])).toEqual([]);
  });

  test("takes its figures from the judge", () => {
    const ids = { subscriptionId: "s", eventId: "e1", webhookId: "d" };
    const events = new Set(["e1", "e2"]);
    const findings = checkEvents({
      accepted: events,
      asked: events,
      healthy: ["s"],
      received: [1, 2].map((atMs) => ({ ...ids, atMs, status: 200 })),
      logged: [],
      deaths: [{ atMs: 0, unrecorded: new Set(["d", "other"]) }],
    });
    const counted = { row: "x", accepted: 2, delivered: 1, lost: 1, repeated: 1, repeatBound: 2 };
    expect(faultRow("x", findings)).toEqual(counted);
    expect(faultRow("x", findings, 1.4)).toEqual({ ...counted, recoveredMs: 1 });
  });

  test("goes with a test's meta, and stands in the run's last lines", () => {
    const task = { meta: {} };
    recordFault(task, row);
    recordFault(task, { ...row, row: "other" });
    expect(task.meta).toEqual({ faultRows: [row, { ...row, row: "other" }] });
    const lines = summaryLines({ ...emptySummary(), faults: [row] });
    expect(lines).toEqual(expect.arrayContaining([...faultTableLines([row])]));
    expect(lines.at(-1)).toBe("0 passed, 0 failed");
    expect(summaryLines(emptySummary()).join("\n")).not.toContain("recovered");
  });
});
