import { expect, it } from "vitest";
import { placeOf, windowOf } from "./row-window.ts";

const ROW_PX = 41;
const VIEW_PX = 500;
/** Firefox lays out nothing beyond. */
const FIREFOX_PX = 17_895_697;

/** A log that is scrolled as the hook scrolls it: where the base moves, the scroll position goes the other way. */
class Reader {
  readonly #count: number;
  #topPx = 0;
  #base = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** Scrolls as far as it goes, and answers with the rows in view. */
  by(px: number) {
    const measures = { viewPx: VIEW_PX, rowPx: ROW_PX, count: this.#count };
    const heightPx = Math.min(this.#count, Math.floor(16_000_000 / ROW_PX)) * ROW_PX;
    this.#topPx = Math.max(0, Math.min(heightPx - VIEW_PX, this.#topPx + px));
    const place = placeOf({ topPx: this.#topPx, base: this.#base, ...measures });
    const seen = { from: place.at, to: this.#base + Math.ceil((this.#topPx + VIEW_PX) / ROW_PX) - 1 };
    const shown = windowOf(place, this.#count, ROW_PX);
    this.#topPx += (this.#base - shown.base) * ROW_PX;
    this.#base = shown.base;
    return { ...seen, ...shown };
  }
}

it("renders what is in view and a little around it, wherever in 100,000 rows", () => {
  for (const rowPx of [ROW_PX, 152]) {
    const count = 100_000;
    const heightPx = count * rowPx;
    expect(heightPx).toBeLessThan(FIREFOX_PX);
    for (let topPx = 0; topPx <= heightPx - VIEW_PX; topPx += 9_973) {
      const place = placeOf({ topPx, viewPx: VIEW_PX, rowPx, base: 0, count });
      const shown = windowOf(place, count, rowPx);
      expect([shown.base, shown.heightPx]).toEqual([0, heightPx]);
      expect(shown.first).toBeLessThanOrEqual(Math.floor(topPx / rowPx));
      expect(shown.last).toBeGreaterThanOrEqual(Math.ceil((topPx + VIEW_PX) / rowPx) - 1);
      expect(shown.last - shown.first).toBeLessThan(VIEW_PX / rowPx + 15);
    }
  }
});

it("scrolls through a million rows and back, each in turn, in an element that no browser cuts off", () => {
  const count = 1_000_000;
  const reader = new Reader(count);
  const screenPx = 400;
  const isWhole = ({ from, to, first, last, heightPx }: ReturnType<Reader["by"]>) =>
    first <= from && last >= to && heightPx < FIREFOX_PX;
  const bases = new Set<number>();
  let last = -1;
  let jumps = 0;
  for (let seen = reader.by(0); last < count - 1 && jumps === 0; seen = reader.by(screenPx)) {
    if (seen.from > last + 1 || seen.to <= last || !isWhole(seen)) jumps += 1;
    last = seen.to;
    bases.add(seen.base);
  }
  expect([last, jumps]).toEqual([count - 1, 0]);
  expect(bases.size).toBeGreaterThan(3);
  let first = reader.by(0).from;
  for (let seen = reader.by(-screenPx); first > 0 && jumps === 0; seen = reader.by(-screenPx)) {
    if (seen.to < first - 1 || seen.from >= first || !isWhole(seen)) jumps += 1;
    first = seen.from;
  }
  expect([first, jumps]).toEqual([0, 0]);
});

it("renders the last rows where rows have gone from under the reader, and none where none are left", () => {
  const place = placeOf({ topPx: 900 * ROW_PX, viewPx: VIEW_PX, rowPx: ROW_PX, base: 0, count: 1_000 });
  expect(windowOf(place, 1_000, ROW_PX)).toMatchObject({ first: 894, last: 919 });
  expect(windowOf(place, 100, ROW_PX)).toMatchObject({ first: 80, last: 99, heightPx: 4_100 });
  expect(windowOf(place, 0, ROW_PX)).toMatchObject({ first: 0, last: -1, heightPx: 0 });
});
