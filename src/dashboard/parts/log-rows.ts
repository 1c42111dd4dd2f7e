/**
 * A log that is too long to hold: pages of it are read as they come into view, those far from it are let go and read
 * again when it comes back. New rows come in at the top; a row that changed is replaced where it stands. Newest first.
 */

export interface LogRow {
  readonly id: string;
  /** Ms since 1970; what the log is ordered by. */
  readonly atMs: number;
}

export interface LogPage<R> {
  readonly rows: readonly R[];
  /** Empty on the last page. */
  readonly next: string;
}

interface LogSource<R> {
  /** The page that the token names; "" is the first. It may be short, or empty, before the last. */
  readonly list: (pageToken: string, signal: AbortSignal) => Promise<LogPage<R>>;
  /** Whether the log's filters let a row through that came live. */
  readonly accepts: (row: R) => boolean;
}

interface CatchUp {
  readonly follows: () => boolean;
  /** What is not on the first page may have changed too. */
  readonly mayBeMore: boolean;
}

interface Held<R> {
  readonly token: string;
  /** Undefined while it is let go. */
  rows: R[] | undefined;
  count: number;
  /** The oldest of them: where the page ends when it is read again. */
  lastAtMs: number;
}

/** Pages held at the same time: of 100 rows each. */
const PAGES_HELD = 40;
/** New rows over the first page; beyond them, the first page is read again. */
const LIVE_LIMIT = 400;
/** Counted no further. */
const UNSEEN_LIMIT = 1_000;
/** How many rows before the end of what is known the next page is asked for. */
const AHEAD_ROWS = 100;
/** Pages that a page which is read again may have grown to. */
const REREAD_LIMIT = 4;

export class LogRows<R extends LogRow> {
  readonly #source: LogSource<R>;
  readonly #listeners = new Set<() => void>();
  #stop = new AbortController();
  #live: R[] = [];
  #pages: Held<R>[] = [];
  #known = new Set<string>();
  #unseen = new Set<string>();
  #hasMissed = false;
  readonly #topListeners = new Set<() => void>();
  /** Of the page after the last known one; "" where there is none. */
  #next = "";
  #wanted: readonly [first: number, last: number] = [0, 0];
  #loading = false;
  /** How often reading from the top was asked for, and how often of that it was done. */
  #resets = { asked: 1, done: 0 };
  /** The top is to be read for what nobody told of. */
  #catchUp: CatchUp | undefined;
  /** What was told while a page was under way, which may say less. */
  #told = new Map<string, R>();
  #error: unknown;
  #version = 0;

  constructor(source: LogSource<R>) {
    this.#source = source;
  }

  /** Begins to read; the returned function ends it. */
  readonly start = (): (() => void) => {
    this.#stop = new AbortController();
    this.#loading = false;
    void this.#load();
    return () => this.#stop.abort();
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Another number after each change. */
  readonly version = (): number => this.#version;

  /** Rows that are known, held or let go. */
  get length(): number {
    return this.#pages.reduce((sum, { count }) => sum + count, this.#live.length);
  }

  /** Rows in memory. */
  get heldCount(): number {
    return this.#pages.reduce((sum, { rows }) => sum + (rows?.length ?? 0), this.#live.length);
  }

  /** The first page has not come yet. */
  get isFirst(): boolean {
    return this.#pages.length === 0;
  }

  get hasMore(): boolean {
    return this.#next !== "";
  }

  /** New rows that are not shown: `reset` shows them. */
  get unseen(): number {
    return this.#unseen.size;
  }

  /** Some may be new that nobody told of. */
  get hasMissed(): boolean {
    return this.#hasMissed;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Undefined where its page is let go, or under way. */
  rowAt(index: number): R | undefined {
    let rest = index - this.#live.length;
    if (rest < 0) return this.#live[index];
    for (const { count, rows } of this.#pages) {
      if (rest < count) return rows?.[rest];
      rest -= count;
    }
    return undefined;
  }

  /** The rows in memory, newest first. */
  rows(): readonly R[] {
    return [...this.#live, ...this.#pages.flatMap(({ rows }) => rows ?? [])];
  }

  /** These rows, by their places, are in view. */
  want(first: number, last: number): void {
    this.#wanted = [first, last];
    void this.#load();
  }

  /** Called when the log was read from its top again, and is to be shown from there; the returned function ends that. */
  onTop(listener: () => void): () => void {
    this.#topListeners.add(listener);
    return () => this.#topListeners.delete(listener);
  }

  /**
   * Reads what came since the log was first read and before anybody told of it. Where `follows` when it has come, the log
   * is shown from its top again; else nothing moves: rows that are shown are replaced, new ones counted as unseen.
   */
  catchUp(follows: () => boolean): void {
    this.#catchUp = { follows, mayBeMore: false };
    void this.#load();
  }

  /** What was told is not all. The same, where `follows` now; else all of it is read on demand. */
  missed(follows: () => boolean): void {
    if (follows()) {
      this.#catchUp = { follows, mayBeMore: true };
      void this.#load();
    } else {
      this.#hasMissed = true;
      this.#changed();
    }
  }

  /** Reads from the top again. What is shown stays until then. */
  readonly reset = (): void => {
    this.#resets.asked += 1;
    this.#unseen.clear();
    this.#hasMissed = false;
    void this.#load();
  };

  readonly retry = (): void => {
    this.#error = undefined;
    void this.#load();
    this.#changed();
  };

  /** Rows that are new or changed. New ones are shown where `follow`, else counted as unseen. */
  tell(rows: readonly R[], follow: boolean): void {
    for (const row of rows) {
      if (this.#loading) this.#told.set(row.id, row);
      this.#hear(row, follow);
    }
    if (this.#live.length > LIVE_LIMIT) this.reset();
    this.#changed();
  }

  #hear(row: R, follow: boolean): void {
    if (this.#known.has(row.id)) this.#replace(row);
    else if (this.#source.accepts(row)) this.#add(row, follow);
  }

  #add(row: R, follow: boolean): void {
    const newestAtMs = this.#pages[0]?.rows?.[0]?.atMs ?? 0;
    if (row.atMs >= newestAtMs) {
      if (!follow) {
        if (this.#unseen.size < UNSEEN_LIMIT) this.#unseen.add(row.id);
        return;
      }
      insert(this.#live, row);
    } else {
      // It fits the filters anew. Where its place is not held, it is read with its page.
      const page = this.#pages.find(({ lastAtMs }) => row.atMs >= lastAtMs);
      if (page?.rows === undefined) return;
      insert(page.rows, row);
      page.count += 1;
    }
    this.#known.add(row.id);
  }

  #replace(row: R): void {
    const stays = this.#source.accepts(row);
    const swap = (rows: R[]) => {
      const at = rows.findIndex(({ id }) => id === row.id);
      if (at >= 0) rows.splice(at, 1, ...(stays ? [row] : []));
      return at >= 0;
    };
    if (!stays) this.#known.delete(row.id);
    if (swap(this.#live)) return;
    const page = this.#pages.find(({ rows }) => rows !== undefined && swap(rows));
    if (page?.rows !== undefined) page.count = page.rows.length;
  }

  /** Reads one page after the other until all that is wanted is there. */
  async #load(): Promise<void> {
    const { signal } = this.#stop;
    if (this.#loading || this.#error !== undefined) return;
    this.#loading = true;
    try {
      for (let step = this.#step(signal); step !== undefined; step = this.#step(signal)) {
        this.#told.clear();
        await step;
        if (signal.aborted) return;
        this.#letGo();
        this.#changed();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#error = error;
      this.#changed();
    } finally {
      if (!signal.aborted) this.#loading = false;
    }
  }

  /** What is most wanted, begun; undefined where nothing is. */
  #step(signal: AbortSignal): Promise<void> | undefined {
    if (signal.aborted) return undefined;
    if (this.#resets.done < this.#resets.asked) return this.#readTop(signal);
    if (this.#catchUp !== undefined) return this.#readMissed(this.#catchUp, signal);
    const [first, last] = this.#wanted;
    let from = this.#live.length;
    for (const page of this.#pages) {
      if (page.rows === undefined && from <= last && from + page.count > first) return this.#readAgain(page, signal);
      from += page.count;
    }
    return this.#next !== "" && last >= from - AHEAD_ROWS ? this.#readNext(signal) : undefined;
  }

  /** Past empty pages, up to the first that has rows, or the last. */
  async #list(token: string, signal: AbortSignal): Promise<LogPage<R>> {
    let page = await this.#source.list(token, signal);
    while (page.rows.length === 0 && page.next !== "" && !signal.aborted) {
      page = await this.#source.list(page.next, signal);
    }
    return page;
  }

  async #readTop(signal: AbortSignal): Promise<void> {
    const { asked } = this.#resets;
    const { rows, next } = await this.#list("", signal);
    if (signal.aborted) return;
    this.#resets.done = asked;
    this.#showTop(rows, next);
  }

  #showTop(rows: readonly R[], next: string): void {
    const listed = new Set(rows.map(({ id }) => id));
    const newestAtMs = rows[0]?.atMs ?? 0;
    this.#live = this.#live.filter(({ id, atMs }) => !listed.has(id) && atMs >= newestAtMs);
    this.#known = new Set(this.#live.map(({ id }) => id));
    this.#pages = [];
    this.#take("", rows);
    this.#next = next;
    for (const listener of this.#topListeners) listener();
  }

  async #readMissed({ follows, mayBeMore }: CatchUp, signal: AbortSignal): Promise<void> {
    this.#catchUp = undefined;
    const { rows, next } = await this.#list("", signal);
    if (signal.aborted) return;
    if (follows()) return this.#showTop(rows, next);
    // Between them and what is shown may be more that nobody counts.
    if (mayBeMore || (next !== "" && !rows.some(({ id }) => this.#known.has(id)))) this.#hasMissed = true;
    for (const row of rows) this.#hear(this.#told.get(row.id) ?? row, false);
  }

  async #readNext(signal: AbortSignal): Promise<void> {
    const token = this.#next;
    const { rows, next } = await this.#list(token, signal);
    if (signal.aborted) return;
    this.#take(token, rows);
    this.#next = next;
  }

  #take(token: string, rows: readonly R[]): void {
    const lastAtMs = rows.at(-1)?.atMs ?? 0;
    const fresh = this.#asTold(rows);
    this.#pages.push({ token, rows: fresh, count: fresh.length, lastAtMs });
  }

  async #readAgain(page: Held<R>, signal: AbortSignal): Promise<void> {
    const rows: R[] = [];
    let token = page.token;
    for (let read = 0; read < REREAD_LIMIT; read += 1) {
      const more = await this.#list(token, signal);
      if (signal.aborted) return;
      rows.push(...more.rows);
      token = more.next;
      if (token === "" || (rows.at(-1)?.atMs ?? 0) <= page.lastAtMs) break;
    }
    page.rows = this.#asTold(rows.filter(({ atMs }) => atMs >= page.lastAtMs));
    page.count = page.rows.length;
  }

  /** The rows that are not held yet, as they were last told. */
  #asTold(rows: readonly R[]): R[] {
    const fresh = rows
      .filter(({ id }) => !this.#known.has(id))
      .map((row) => this.#told.get(row.id) ?? row)
      .filter((row) => this.#source.accepts(row));
    for (const { id } of fresh) this.#known.add(id);
    return fresh;
  }

  /**
   * Forgets the pages that are farthest from the view, beyond what may be held. Never the first: it has no beginning to be
   * read again from, and says what is new.
   */
  #letGo(): void {
    const held = this.#pages.flatMap((page, at) => (page.rows === undefined || at === 0 ? [] : [{ page, at }]));
    if (held.length < PAGES_HELD) return;
    const middle = this.#pageAt((this.#wanted[0] + this.#wanted[1]) / 2);
    held.sort((a, b) => Math.abs(b.at - middle) - Math.abs(a.at - middle));
    for (const { page } of held.slice(0, held.length - PAGES_HELD + 1)) {
      for (const { id } of page.rows ?? []) this.#known.delete(id);
      page.rows = undefined;
    }
  }

  #pageAt(index: number): number {
    let from = this.#live.length;
    const at = this.#pages.findIndex(({ count }) => {
      from += count;
      return index < from;
    });
    return at < 0 ? this.#pages.length - 1 : at;
  }

  #changed(): void {
    this.#version += 1;
    for (const listener of this.#listeners) listener();
  }
}

/** Behind those that are newer. */
function insert<R extends LogRow>(rows: R[], row: R): void {
  const at = rows.findIndex(({ atMs }) => atMs <= row.atMs);
  rows.splice(at < 0 ? rows.length : at, 0, row);
}
