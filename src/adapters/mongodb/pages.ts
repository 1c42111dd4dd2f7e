/** Pages of a list that falls by a time, then by id. */
import type { Filter } from "mongodb";
import type { Page, PageRequest } from "../../kernel/page.ts";
import { type Stored, upTo, type Wire } from "./wire.ts";

/** Bytes of values and attempts in one page; one that would be larger ends early, and goes on from there. */
const PAGE_BYTES = 8 * 1024 * 1024;

export interface PageQuery<Row extends Stored, Item extends { readonly id: string }> {
  readonly filter: Filter<Row>;
  readonly timeField: string;
  readonly request: PageRequest;
  readonly read: (row: Row) => Item;
  readonly bytesOf: (row: Row) => number;
  readonly timeOf: (item: Item) => number;
  /** The `_id` of an item. */
  readonly keyOf: (id: string) => string;
}

/** Times are `fromMs` <= t < `toMs`. */
export function span(field: string, fromMs: number | undefined, toMs: number | undefined): Record<string, unknown> {
  if (fromMs === undefined && toMs === undefined) return {};
  return {
    [field]: { ...(fromMs === undefined ? {} : { $gte: fromMs }), ...(toMs === undefined ? {} : { $lt: toMs }) },
  };
}

export async function page<Row extends Stored, Item extends { readonly id: string }>(
  wire: Wire,
  collection: string,
  query: PageQuery<Row, Item>,
): Promise<Page<Item>> {
  const { request, timeField } = query;
  const items: Item[] = [];
  let bytes = 0;
  const more = await wire.read<Row>(
    collection,
    { $and: [query.filter, ...following(query)] } as Filter<Row>,
    {
      sort: { [timeField]: -1, _id: -1 },
      limit: request.size + 1,
      batchSize: request.size + 1,
    },
    (row) => {
      if (items.length === request.size || bytes >= PAGE_BYTES) return false;
      items.push(query.read(row));
      bytes += query.bytesOf(row);
      return true;
    },
  );
  const last = items.at(-1);
  if (!more || last === undefined) return { items };
  return { items, next: { timeMs: query.timeOf(last), id: last.id } };
}

function following<Row extends Stored, Item extends { readonly id: string }>({
  request,
  timeField,
  keyOf,
}: PageQuery<Row, Item>): readonly Record<string, unknown>[] {
  const { after } = request;
  if (after === undefined) return [];
  const { timeMs, id } = after;
  // The first term bounds the index; the second leaves out what the page before had of that very moment.
  return [{ [timeField]: upTo(timeMs) }, { $or: [{ [timeField]: { $lt: timeMs } }, { _id: { $lt: keyOf(id) } }] }];
}
