// biome-ignore-all lint/a11y/useSemanticElements: rows of a <table> cannot be laid out one by one.
// biome-ignore-all lint/a11y/useFocusableInteractive: rows and headings of a plain table are no controls.
/** A log of any length: the rows in view are rendered, no others. Where the page is narrow, a row takes several lines. */
import { type KeyboardEvent, memo, type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { count } from "../numbers.ts";
import { Button } from "./button.tsx";
import { Loading } from "./empty.tsx";
import { Failure } from "./failure.tsx";
import type { LogRow } from "./log-rows.ts";
import { useRowWindow } from "./row-window.ts";
import type { Log } from "./use-log.ts";

export interface LogColumn<R> {
  readonly title: string;
  /** A track of the grid, as in "minmax(8rem, 1fr)". */
  readonly width: string;
  readonly cell: (row: R) => ReactNode;
}

interface Selection {
  readonly chosen: ReadonlySet<string>;
  readonly onToggle: (id: string) => void;
}

interface LogViewProps<R extends LogRow> {
  readonly log: Log<R>;
  /** What it lists, as in "deliveries". */
  readonly what: string;
  /** Must not change between renders: rows are rendered again only when they changed. */
  readonly columns: readonly LogColumn<R>[];
  readonly selection?: Selection;
  /** Instead of the table where there are no rows. */
  readonly empty: ReactNode;
}

const ROW_PX = 41;
const NARROW_ROW_PX = 152;
const NARROW = "(max-width: 48rem)";

const narrow = globalThis.matchMedia(NARROW);

function onNarrow(listener: () => void): () => void {
  narrow.addEventListener("change", listener);
  return () => narrow.removeEventListener("change", listener);
}

function useIsNarrow(): boolean {
  return useSyncExternalStore(onNarrow, () => narrow.matches);
}

export function LogView<R extends LogRow>({ log, what, columns, selection, empty }: LogViewProps<R>) {
  const { rows } = log;
  useSyncExternalStore(rows.subscribe, rows.version);
  const failure =
    rows.error === undefined ? null : <Failure error={rows.error} doing={`list the ${what}`} onRetry={rows.retry} />;
  if (rows.isFirst) return failure ?? <Loading what={`the ${what}`} />;
  return (
    <div className="stack">
      {failure}
      <LiveLine log={log} what={what} />
      {rows.length === 0 && !rows.hasMore ? (
        empty
      ) : (
        <Rows log={log} what={what} columns={columns} {...(selection !== undefined && { selection })} />
      )}
    </div>
  );
}

/** How much there is, whether it is live, and the way to what came meanwhile. */
function LiveLine<R extends LogRow>({ log, what }: { readonly log: Log<R>; readonly what: string }) {
  const { rows, live, isPaused, setPaused } = log;
  const resume = () => {
    setPaused(false);
    rows.reset();
  };
  return (
    <div className="log-line">
      <span className={!isPaused && live.kind === "live" ? "live now" : "live"}>
        {isPaused ? "Paused" : wordFor(live.kind)}
      </span>
      <span className="hint">
        {count(rows.length)} {what}
        {rows.hasMore ? " so far; more as you scroll" : ""}
      </span>
      {rows.unseen > 0 || rows.hasMissed ? (
        <Button kind="primary" onPress={rows.reset}>
          {rows.hasMissed
            ? "Show what is new"
            : `Show ${rows.unseen >= 1_000 ? "1,000 or more" : count(rows.unseen)} new`}
        </Button>
      ) : null}
      <span className="spring" />
      <Button kind="quiet" onPress={isPaused ? resume : () => setPaused(true)}>
        {isPaused ? "Go live" : "Pause"}
      </Button>
    </div>
  );
}

function wordFor(kind: Log<LogRow>["live"]["kind"]): string {
  switch (kind) {
    case "live":
      return "Live";
    case "connecting":
      return "Connecting …";
    case "waiting":
      return "Connection lost, trying again …";
    default:
      return "Not live: reload to see what is new";
  }
}

function Rows<R extends LogRow>({ log, what, columns, selection }: Omit<LogViewProps<R>, "empty">) {
  const { rows, setSteady } = log;
  const region = useRef<HTMLDivElement>(null);
  const [hasFocus, setFocus] = useState(false);
  const rowPx = useIsNarrow() ? NARROW_ROW_PX : ROW_PX;
  const { base, first, last, heightPx, isAtTop, toTop } = useRowWindow(region, rows.length, rowPx);
  useEffect(() => rows.want(first, last), [rows, first, last]);
  useEffect(() => {
    setSteady(!isAtTop || hasFocus);
    return () => setSteady(false);
  }, [isAtTop, hasFocus, setSteady]);
  useEffect(() => rows.onTop(toTop), [rows, toTop]);
  const tracks = [...(selection === undefined ? [] : ["1.75rem"]), ...columns.map(({ width }) => width)].join(" ");
  return (
    <section
      ref={region}
      className="log"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard (WCAG 2.1.1).
      tabIndex={0}
      aria-label={`The ${what}`}
      style={{ ["--tracks" as string]: tracks }}
    >
      <div role="table" aria-label={what} aria-rowcount={rows.hasMore ? -1 : rows.length + 1}>
        <Head columns={columns} hasSelection={selection !== undefined} />
        <div
          role="rowgroup"
          className="log-rows"
          style={{ height: heightPx }}
          onKeyDown={walk}
          onFocus={() => setFocus(true)}
          onBlur={({ currentTarget, relatedTarget }) => setFocus(currentTarget.contains(relatedTarget))}
        >
          {Array.from({ length: last - first + 1 }, (_, place) => {
            const index = first + place;
            const start = (index - base) * rowPx;
            const row = rows.rowAt(index);
            if (row === undefined) return <Gap key={index} index={index} start={start} height={rowPx} />;
            return (
              <Row
                key={row.id}
                row={row}
                index={index}
                start={start}
                height={rowPx}
                columns={columns as readonly LogColumn<LogRow>[]}
                isChosen={selection?.chosen.has(row.id)}
                onToggle={selection?.onToggle}
              />
            );
          })}
        </div>
      </div>
    </section>
  );
}

function Head<R>({
  columns,
  hasSelection,
}: {
  readonly columns: readonly LogColumn<R>[];
  readonly hasSelection: boolean;
}) {
  return (
    <div role="rowgroup" className="log-head">
      <div role="row" aria-rowindex={1} className="log-row">
        {hasSelection ? (
          <span role="columnheader">
            <span className="visually-hidden">Chosen</span>
          </span>
        ) : null}
        {columns.map(({ title }) => (
          <span key={title} role="columnheader">
            {title}
          </span>
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  readonly row: LogRow;
  readonly index: number;
  /** From the top of what is laid out, px. */
  readonly start: number;
  readonly height: number;
  readonly columns: readonly LogColumn<LogRow>[];
  readonly isChosen: boolean | undefined;
  readonly onToggle: ((id: string) => void) | undefined;
}

const Row = memo(function Row({ row, index, start, height, columns, isChosen, onToggle }: RowProps) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="log-row"
      data-chosen={isChosen === true ? true : undefined}
      style={{ height, transform: `translateY(${start}px)` }}
    >
      {onToggle === undefined ? null : (
        <span role="cell">
          <input
            type="checkbox"
            aria-label={`Choose ${row.id}`}
            checked={isChosen === true}
            onChange={() => onToggle(row.id)}
          />
        </span>
      )}
      {columns.map(({ title, cell }) => (
        <span key={title} role="cell">
          {cell(row)}
        </span>
      ))}
    </div>
  );
});

/** A row whose page is under way. */
function Gap({ index, start, height }: Pick<RowProps, "index" | "start" | "height">) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="log-row"
      style={{ height, transform: `translateY(${start}px)` }}
    >
      <span role="cell" className="hint">
        …
      </span>
    </div>
  );
}

/** Arrow up and down go to the same control of the row above and below. */
function walk(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const { target, currentTarget } = event;
  if (!(target instanceof HTMLElement)) return;
  const row = target.closest<HTMLElement>("[role=row]");
  if (row === null) return;
  const index = Number(row.ariaRowIndex) + (event.key === "ArrowDown" ? 1 : -1);
  const at = controlsOf(row).indexOf(target);
  const next = currentTarget.querySelector<HTMLElement>(`[role=row][aria-rowindex="${index}"]`);
  if (next === null) return;
  event.preventDefault();
  const control = controlsOf(next)[at];
  control?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function controlsOf(row: HTMLElement): readonly HTMLElement[] {
  return [...row.querySelectorAll<HTMLElement>("a, input, button")];
}
