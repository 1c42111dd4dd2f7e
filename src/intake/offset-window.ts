import type { Assignment, Position } from "./event-log.ts";

/** A record of the window. It is released when all its work is durable. */
export interface WindowEntry {
  readonly offset: number;
  released: boolean;
}

/**
 * The records of one assignment whose work may still be open. Offsets may have gaps (a compacted or transactional
 * topic); they only grow. The position is never past a record that isn't released: that is what "an offset is committed
 * only after all its work is durable" stands on.
 */
export class OffsetWindow {
  readonly assignment: Assignment;
  #entries: WindowEntry[] = [];
  #head = 0;
  #next: number | undefined;

  constructor(assignment: Assignment) {
    this.assignment = assignment;
  }

  /** Records that are open, or released behind one that is open. */
  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** Undefined for an offset that the window has seen already. */
  open(offset: number): WindowEntry | undefined {
    const last = this.#entries.at(-1)?.offset ?? (this.#next === undefined ? undefined : this.#next - 1);
    if (last !== undefined && offset <= last) return undefined;
    const entry: WindowEntry = { offset, released: false };
    this.#entries.push(entry);
    return entry;
  }

  /** The next offset to read, behind the highest contiguous run of released records; undefined until there is one. */
  advance(): Position | undefined {
    for (;;) {
      const entry = this.#entries[this.#head];
      if (entry === undefined || !entry.released) break;
      this.#next = entry.offset + 1;
      this.#head++;
    }
    // Shifting in halves keeps the cost of each release constant.
    if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return this.#next === undefined ? undefined : { ...this.assignment, offset: this.#next };
  }
}
