/**
 * Which of any number of rows of one height are in view, by arithmetic alone: nothing is measured and nothing is kept
 * per row, so that a log of 100,000 rows costs what one of a hundred does.
 */
import { type RefObject, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";

/**
 * Rows that are laid out at the same time are no higher, px: Firefox lays out nothing beyond 17.9 million, Chromium
 * nothing beyond 33.5 million. Of more rows a part is laid out, which moves along as its ends come near.
 */
const TALLEST_PX = 16_000_000;
/** Rendered above and below what is in view, so that a small step shows no gap. */
const OVERSCAN_ROWS = 6;

/** Where the reader is. */
export interface Place {
  /** The row at the upper edge. */
  readonly at: number;
  /** Rows that fit into view, whole or in part. */
  readonly rows: number;
  /** The first row that is laid out, 0 unless there are too many: the reader scrolls back to it, and it moves on. */
  readonly base: number;
}

export interface RowWindow {
  readonly base: number;
  /** Of all rows that are laid out, px. */
  readonly heightPx: number;
  /** The rows to be rendered, by their places: the last one is included, -1 where there is none. */
  readonly first: number;
  readonly last: number;
}

export interface Scrolled {
  readonly topPx: number;
  readonly viewPx: number;
  readonly rowPx: number;
  /** The first row that is laid out now. */
  readonly base: number;
  readonly count: number;
}

function rowsLaidOut(rowPx: number): number {
  return Math.floor(TALLEST_PX / rowPx);
}

/** Where the reader is after scrolling. The base has moved where an end of what is laid out, but not of the rows, is near. */
export function placeOf({ topPx, viewPx, rowPx, base, count }: Scrolled): Place {
  const part = rowsLaidOut(rowPx);
  const inPart = Math.max(0, Math.floor(topPx / rowPx));
  const at = base + inPart;
  const isNearStart = base > 0 && inPart < part / 4;
  const isNearEnd = base + part < count && inPart > (part * 3) / 4;
  const middle = Math.min(at - Math.floor(part / 2), count - part);
  return {
    at,
    rows: Math.ceil(viewPx / rowPx) + 1,
    base: isNearStart || isNearEnd ? Math.max(0, middle) : base,
  };
}

export function windowOf(place: Place, count: number, rowPx: number): RowWindow {
  const part = rowsLaidOut(rowPx);
  const base = Math.min(place.base, Math.max(0, count - part));
  const end = Math.min(count, base + part);
  // Rows may have gone since the reader scrolled: the browser scrolls back, and tells so later.
  const at = Math.min(place.at, Math.max(base, end - place.rows));
  return {
    base,
    heightPx: (end - base) * rowPx,
    first: Math.max(base, at - OVERSCAN_ROWS),
    last: Math.min(end, at + place.rows + OVERSCAN_ROWS) - 1,
  };
}

interface Scroller extends RowWindow {
  /** The first row is in view. */
  readonly isAtTop: boolean;
  readonly toTop: () => void;
}

/** The window on `count` rows of `rowPx` each in the element that scrolls. Renders when it moves by a row, not by a pixel. */
export function useRowWindow(region: RefObject<HTMLElement | null>, count: number, rowPx: number): Scroller {
  const [place, setPlace] = useState<Place>({ at: 0, rows: 0, base: 0 });
  const { base, ...shown } = windowOf(place, count, rowPx);
  /** What the element's scroll position is by: as it was rendered last. */
  const laidOut = useRef({ base, rowPx, count });
  const [look, toTop] = useMemo(() => {
    const read = () => {
      const element = region.current;
      if (element === null) return;
      const { scrollTop: topPx, clientHeight: viewPx } = element;
      const next = placeOf({ topPx, viewPx, ...laidOut.current });
      setPlace((before) => (isSame(before, next) ? before : next));
    };
    const up = () => {
      laidOut.current.base = 0;
      region.current?.scrollTo({ top: 0 });
      setPlace((before) => ({ ...before, at: 0, base: 0 }));
    };
    return [read, up];
  }, [region]);
  useLayoutEffect(() => {
    const { base: baseBefore, rowPx: rowPxBefore } = laidOut.current;
    laidOut.current = { base, rowPx, count };
    const element = region.current;
    if (element === null || (base === baseBefore && rowPx === rowPxBefore)) return;
    // The row at the upper edge stays there.
    element.scrollTop = (baseBefore - base + element.scrollTop / rowPxBefore) * rowPx;
    look();
  }, [region, base, rowPx, count, look]);
  useLayoutEffect(look, [look]);
  useEffect(() => {
    const element = region.current;
    if (element === null) return undefined;
    const sizes = new ResizeObserver(look);
    sizes.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [region, look]);
  return { base, ...shown, isAtTop: place.at === 0, toTop };
}

function isSame(a: Place, b: Place): boolean {
  return a.at === b.at && a.rows === b.rows && a.base === b.base;
}
