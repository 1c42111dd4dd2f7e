import { type CodedError, invalidField } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** A place in a list that is sorted newest first: the sort time in milliseconds, then the id. */
export interface Cursor {
  readonly timeMs: number;
  readonly id: string;
}

export interface PageRequest {
  readonly size: number;
  /** The last item of the page before; its successors follow. */
  readonly after?: Cursor;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Absent on the last page. */
  readonly next?: Cursor;
}

/** Reads `page_size` (0 is the default) and `page_token` as a client sent them. */
export function pageRequest(size: number, token: string): PageRequest {
  if (size < 0 || size > LIMITS.pageSize) {
    throw invalidField("page_size", `must be 1 to ${LIMITS.pageSize}, or 0 for ${LIMITS.defaultPageSize}`);
  }
  const wanted = size === 0 ? LIMITS.defaultPageSize : size;
  return token === "" ? { size: wanted } : { size: wanted, after: cursorFromToken(token) };
}

export function tokenFromCursor(cursor: Cursor | undefined): string {
  return cursor === undefined ? "" : Buffer.from(`${cursor.timeMs} ${cursor.id}`).toString("base64url");
}

function cursorFromToken(token: string): Cursor {
  const match = /^(\d{1,15}) ([\x21-\x7e]{1,256})$/.exec(Buffer.from(token, "base64url").toString("latin1"));
  const [, time, id] = match ?? [];
  if (time === undefined || id === undefined) throw wrongPageToken();
  return { timeMs: Number(time), id };
}

/** Of a `page_token` that no answer to this call had. */
export function wrongPageToken(): CodedError {
  return invalidField("page_token", "must be the next_page_token of an earlier answer");
}

/** Cuts `size + 1` fetched items to a page, and says where the next one begins. */
export function pageOf<T>(items: readonly T[], size: number, cursor: (item: T) => Cursor): Page<T> {
  const last = items[size - 1];
  if (items.length <= size || last === undefined) return { items };
  return { items: items.slice(0, size), next: cursor(last) };
}
