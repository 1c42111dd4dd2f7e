import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** A row as SQLite gives it back, by column. */
export type Row = Readonly<Record<string, unknown>>;

/** Bytes of values and attempts in one answer; a page that would be larger ends early, and goes on from there. */
export const ANSWER_BYTES = 8 * 1024 * 1024;

/** Statements are prepared once and kept by their text, of which there are few (filters come in some dozen shapes). */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get(sql: string): StatementSync {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#prepared.set(sql, statement);
    return statement;
  }
}

/** The conditions of a list and their values, built together so that they cannot come apart. */
export class Conditions {
  readonly #terms: string[] = [];
  readonly values: SQLInputValue[] = [];

  /** `term` has as many `?` as there are values. Left out where the first value is undefined: that filter isn't set. */
  add(term: string, ...values: readonly (SQLInputValue | undefined)[]): this {
    if (values.length > 0 && values[0] === undefined) return this;
    this.#terms.push(term);
    for (const value of values) if (value !== undefined) this.values.push(value);
    return this;
  }

  /** What follows `after` in a list that falls by `time`, then id. */
  page(time: string, after: readonly [timeMs: number, id: string] | undefined): this {
    if (after === undefined) return this;
    return this.add(`${time} <= ? AND (${time} < ? OR id < ?)`, after[0], after[0], after[1]);
  }

  /** Times are `fromMs` <= t < `toMs`. */
  span(time: string, fromMs: number | undefined, toMs: number | undefined): this {
    return this.add(`${time} >= ?`, fromMs).add(`${time} < ?`, toMs);
  }

  get sql(): string {
    return this.#terms.join(" AND ");
  }
}

/** Takes up to `size` rows, or fewer where they are large; `more` says that the last one taken is not the last there is. */
export function takePage<T>(
  rows: Iterable<Row>,
  size: number,
  read: (row: Row) => T,
  bytesOf: (item: T) => number,
): { readonly items: readonly T[]; readonly more: boolean } {
  const items: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (items.length === size || bytes >= ANSWER_BYTES) return { items, more: true };
    const item = read(row);
    bytes += bytesOf(item);
    items.push(item);
  }
  return { items, more: false };
}
