/** The demo's table: redrawn in place on a terminal, appended line by line anywhere else. */
import { styleText } from "node:util";
import type { Clock } from "../kernel/clock.ts";
import { milliseconds } from "./demo-judge.ts";
import { type LoggedStatus, latencyOf, type Row } from "./demo-ledger.ts";

/** What the table writes to; process.stdout is one. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
  /** Absent: no colours. A terminal says no where NO_COLOR is set. */
  hasColors?(): boolean;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

export interface Table {
  /** A row is new, or says something new. `rows` are all there are, the oldest first. */
  update(row: Row, rows: readonly Row[], title: string): void;
  /** Writes lines that stay, above a table that is redrawn. */
  print(lines: readonly string[]): void;
  /** Draws for the last time and leaves the terminal as it was. Again, it does nothing. */
  end(): void;
}

type Colour = "green" | "yellow" | "red";

interface Cell {
  readonly text: string;
  readonly colour?: Colour;
}

interface Column {
  readonly title: string;
  readonly width: number;
  /** Where the terminal is too narrow for all, the columns with the highest go first. */
  readonly dispensable: number;
  readonly cell: (row: Row) => Cell;
}

const STATUS_COLOURS: Readonly<Partial<Record<LoggedStatus, Colour>>> = {
  delivered: "green",
  waiting: "yellow",
  attempting: "yellow",
  failed: "red",
  cancelled: "red",
};

const COLUMNS: readonly Column[] = [
  { title: "event", width: 11, dispensable: 0, cell: ({ what }) => ({ text: what }) },
  { title: "subscription", width: 12, dispensable: 0, cell: ({ endpoint }) => ({ text: endpoint }) },
  { title: "format", width: 8, dispensable: 4, cell: ({ format }) => ({ text: format }) },
  { title: "status", width: 10, dispensable: 0, cell: statusCell },
  {
    title: "attempts",
    width: 11,
    dispensable: 2,
    cell: ({ delivery }) => ({ text: delivery?.answers.join(" ") ?? "" }),
  },
  { title: "latency", width: 7, dispensable: 3, cell: latencyCell },
  { title: "verified", width: 8, dispensable: 1, cell: verifiedCell },
];

const GAP = "  ";

function statusCell({ delivery }: Row): Cell {
  if (delivery === undefined) return { text: "published" };
  const colour = STATUS_COLOURS[delivery.status];
  return { text: delivery.status, ...(colour === undefined ? {} : { colour }) };
}

function latencyCell(row: Row): Cell {
  const latency = latencyOf(row);
  return { text: latency === undefined ? "" : milliseconds(latency) };
}

function verifiedCell({ receipts }: Row): Cell {
  if (receipts.length === 0) return { text: "" };
  return receipts.every((receipt) => receipt.verdict.ok)
    ? { text: "yes", colour: "green" }
    : { text: "NO", colour: "red" };
}

/** The columns that a terminal of this width has room for. */
export function columnsFor(width: number): readonly Column[] {
  let fitting = COLUMNS;
  while (widthOf(fitting) > width) {
    const least = Math.max(...fitting.map((column) => column.dispensable));
    if (least === 0) break;
    fitting = fitting.filter((column) => column.dispensable !== least);
  }
  return fitting;
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + column.width, (columns.length - 1) * GAP.length);
}

function lineOf(columns: readonly Column[], cells: (column: Column) => Cell, width: number, colours: boolean): string {
  let left = width;
  let line = "";
  for (const [at, column] of columns.entries()) {
    const cell = cells(column);
    const padded = cut(cell.text, column.width).padEnd(column.width) + (at === columns.length - 1 ? "" : GAP);
    // Cut and padded before it is coloured: the terminal counts no escape sequence.
    const visible = padded.slice(0, Math.max(0, left));
    left -= visible.length;
    line += colours && cell.colour !== undefined ? styleText(cell.colour, visible, { validateStream: false }) : visible;
  }
  return line.trimEnd();
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

export function demoTable(output: Output, clock: Clock): Table {
  return output.isTTY === true ? new LiveTable(output, clock) : appendingTable(output);
}

/** A line whenever an attempt has been made and is in the log. */
function appendingTable(output: Output): Table {
  const width = widthOf(COLUMNS);
  const told = new Map<string, string>();
  let started = false;
  return {
    update(row) {
      if (row.delivery?.answers.length !== row.receipts.length || row.delivery.status === "attempting") return;
      const key = `${row.eventId} ${row.endpoint}`;
      const line = lineOf(COLUMNS, (column) => column.cell(row), width, false);
      if (told.get(key) === line) return;
      if (row.delivery.status === "delivered") told.delete(key);
      else told.set(key, line);
      if (!started) output.write(`${headerLine(COLUMNS, width)}\n`);
      started = true;
      output.write(`${line}\n`);
    },
    print: (lines) => void output.write(`${lines.join("\n")}\n`),
    end: () => {},
  };
}

function headerLine(columns: readonly Column[], width: number): string {
  return lineOf(columns, (column) => ({ text: column.title }), width, false);
}

/** Between two drawings; a person sees no more. */
const DRAW_EVERY_MS = 80;
/** Lines round the rows: title, blank, header; and one below, so that the terminal doesn't scroll. */
const LINES_AROUND = 4;
const FEWEST_ROWS = 3;
const MOST_ROWS = 16;

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_REST_OF_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
const CLEAR_ALL = "\x1b[H\x1b[2J";

class LiveTable implements Table {
  readonly #output: Output;
  readonly #clock: Clock;
  readonly #onResize = () => this.#redrawAll();
  #rows: readonly Row[] = [];
  #title = "";
  #linesDrawn = 0;
  #cancelDraw: (() => void) | undefined;
  #ended = false;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
    output.write(HIDE_CURSOR);
    output.on?.("resize", this.#onResize);
  }

  update(_row: Row, rows: readonly Row[], title: string): void {
    this.#rows = rows;
    this.#title = title;
    this.#cancelDraw ??= this.#clock.after(DRAW_EVERY_MS, () => this.#draw(""));
  }

  print(lines: readonly string[]): void {
    this.#draw(`${lines.join(`${CLEAR_REST_OF_LINE}\n`)}${CLEAR_BELOW}\n\n`);
  }

  end(): void {
    if (this.#ended) return;
    this.#draw("");
    this.#ended = true;
    this.#output.off?.("resize", this.#onResize);
    this.#output.write(SHOW_CURSOR);
  }

  /** The terminal has wrapped what was drawn, no one knows where: begin with an empty screen. */
  #redrawAll(): void {
    this.#output.write(CLEAR_ALL);
    this.#linesDrawn = 0;
    this.#draw("");
  }

  #draw(above: string): void {
    if (this.#ended) return;
    this.#cancelDraw?.();
    this.#cancelDraw = undefined;
    const lines = this.#lines();
    const up = this.#linesDrawn === 0 ? "" : `\x1b[${this.#linesDrawn}A`;
    const body = lines.map((line) => `${line}${CLEAR_REST_OF_LINE}\n`).join("");
    // One write, so that nobody sees it half drawn.
    this.#output.write(`\r${up}${above}${body}${CLEAR_BELOW}`);
    this.#linesDrawn = lines.length;
  }

  #lines(): readonly string[] {
    const { columns: width = 80, rows: height = 24 } = this.#output;
    // The last column stays free: some terminals wrap when it is written.
    const room = width - 1;
    const columns = columnsFor(room);
    const colours = this.#output.hasColors?.() ?? false;
    const fits = Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, height - LINES_AROUND));
    const shown = this.#rows.slice(-fits);
    return [
      cut(this.#title, room),
      "",
      headerLine(columns, room),
      ...shown.map((row) => lineOf(columns, (column) => column.cell(row), room, colours)),
    ];
  }
}
