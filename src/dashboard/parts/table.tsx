import type { ReactNode } from "react";

export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => ReactNode;
  /** Numbers stand at the right. */
  readonly numeric?: boolean;
  /** The column that names the row: its cells are headings of their rows. */
  readonly naming?: boolean;
}

interface TableProps<T> {
  /** Says what the table lists; for screen readers. */
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
}

/** A table; where the page is narrow, each row becomes a card with the columns' titles before the cells. */
export function Table<T>({ caption, columns, rows, keyOf }: TableProps<T>) {
  return (
    <div className="table-box">
      <table className="table">
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, numeric }) => (
              <th key={title} scope="col" className={numeric === true ? "numeric" : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <Cell key={column.title} column={column} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cell<T>({ column, row }: { readonly column: Column<T>; readonly row: T }) {
  const content = (
    <>
      <span className="cell-title" aria-hidden="true">
        {column.title}
      </span>
      {column.cell(row)}
    </>
  );
  if (column.naming === true) return <th scope="row">{content}</th>;
  return <td className={column.numeric === true ? "numeric" : undefined}>{content}</td>;
}

interface MoreProps {
  readonly hasMore: boolean;
  readonly busy: boolean;
  readonly onMore: () => void;
  /** What there is more of, as in "subscriptions". */
  readonly what: string;
}

/** Under a paged table. */
export function More({ hasMore, busy, onMore, what }: MoreProps) {
  if (!hasMore) return null;
  return (
    <p>
      <button type="button" className="button plain" disabled={busy} onClick={onMore}>
        {busy ? "Loading …" : `More ${what}`}
      </button>
    </p>
  );
}
