import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { LoggedDelivery, Row } from "./demo-ledger.ts";
import { columnsFor, demoTable, type Output } from "./demo-table.ts";

class Screen implements Output {
  isTTY = true;
  columns = 80;
  rows = 24;
  text = "";
  colours = false;
  #resized: (() => void) | undefined;

  write(text: string): void {
    this.text += text;
  }
  hasColors(): boolean {
    return this.colours;
  }
  on(_event: "resize", listener: () => void): void {
    this.#resized = listener;
  }
  off(): void {
    this.#resized = undefined;
  }
  resize(columns: number): void {
    this.columns = columns;
    this.text = "";
    this.#resized?.();
  }
}

function row(status: LoggedDelivery["status"], ...answers: string[]): Row {
  const receipts = answers.map((answer, at) => ({
    endpoint: "flaky",
    webhook: { method: "POST", path: "/flaky", headers: {}, body: Buffer.alloc(0) },
    verdict: { ok: true, checked: [] } as const,
    answered: Number(answer),
    atMs: 1_000 * (at + 1),
  }));
  const delivery = { id: "dlv_1", endpoint: "flaky", status, answers, run: 1 };
  return {
    what: "installed",
    eventId: "evt_1",
    endpoint: "flaky",
    format: "STANDARD",
    publishedAtMs: 0,
    delivery,
    receipts,
  };
}

describe("on a terminal", () => {
  it("draws in place: up over the lines of the last drawing, at most so often", () => {
    const clock = new ManualClock();
    const screen = new Screen();
    const table = demoTable(screen, clock);
    const rows = [row("waiting", "503")];
    for (const each of rows) table.update(each, rows, "title");
    expect(screen.text).not.toContain("installed");
    clock.advance(80);
    expect(screen.text).toContain("installed    flaky         STANDARD  waiting     503                   yes");
    screen.text = "";
    const later = [...rows, row("delivered", "503", "200")];
    for (const each of later) table.update(each, later, "title");
    clock.advance(80);
    // Title, blank, header and one row were there.
    expect(screen.text.startsWith("\r\x1b[4A")).toBe(true);
    expect(screen.text).toContain("503 200      2.00 s   yes");
  });

  it("never writes beyond the terminal's width or height, colours or not", () => {
    for (const [columns, height] of [
      [200, 50],
      [80, 24],
      [60, 10],
      [44, 12],
      [20, 8],
    ] as const) {
      const clock = new ManualClock();
      const screen = new Screen();
      Object.assign(screen, { columns, rows: height, colours: true });
      const table = demoTable(screen, clock);
      const rows = Array.from({ length: 60 }, () => row("delivered", "503", "503", "200"));
      table.update(
        row("delivered", "200"),
        rows,
        "a title that is a good deal longer than the narrowest of terminals is wide",
      );
      table.end();
      const lines = stripVTControlCharacters(screen.text).split("\n");
      expect(Math.max(...lines.map((line) => line.replace("\r", "").length))).toBeLessThan(columns);
      expect(lines.length).toBeLessThanOrEqual(height);
    }
  });

  it("gives up columns for a narrow terminal, the event and its status never", () => {
    const titles = (width: number) => columnsFor(width).map((column) => column.title);
    expect(titles(79)).toHaveLength(7);
    expect(titles(78)).toEqual(["event", "subscription", "status", "attempts", "latency", "verified"]);
    expect(titles(10)).toEqual(["event", "subscription", "status"]);
  });

  it("begins anew on an empty screen when the terminal changed its size", () => {
    const screen = new Screen();
    const table = demoTable(screen, new ManualClock());
    table.update(row("waiting", "503"), [row("waiting", "503")], "title");
    screen.resize(50);
    expect(screen.text.startsWith("\x1b[H\x1b[2J\r")).toBe(true);
    expect(screen.text).toContain("installed");
  });

  it("hides the cursor while it draws and shows it at the end, once", () => {
    const screen = new Screen();
    const table = demoTable(screen, new ManualClock());
    expect(screen.text).toBe("\x1b[?25l");
    table.end();
    expect(screen.text.endsWith("\x1b[?25h")).toBe(true);
    screen.text = "";
    table.end();
    table.print(["too late to be drawn over"]);
    expect(screen.text).toBe("");
  });
});

describe("anywhere else", () => {
  it("appends a line for each attempt, without escape sequences, once the log and the receiver agree on it", () => {
    const screen = new Screen();
    screen.isTTY = false;
    const table = demoTable(screen, new ManualClock());
    table.print(["hello"]);
    const first = row("waiting", "503");
    const early = { ...first, receipts: [] };
    for (const each of [early, first, first, row("attempting", "503"), row("delivered", "503", "200")]) {
      table.update(each, [each], "title");
    }
    table.end();
    expect(screen.text.split("\n")).toEqual([
      "hello",
      "event        subscription  format    status      attempts     latency  verified",
      "installed    flaky         STANDARD  waiting     503                   yes",
      "installed    flaky         STANDARD  delivered   503 200      2.00 s   yes",
      "",
    ]);
  });
});
