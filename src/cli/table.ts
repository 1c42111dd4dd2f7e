/** What commands print that list things: columns for people, whole messages for programs. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { InvalidArgumentError } from "commander";
import { LIMITS } from "../kernel/limits.ts";
import { CommandFailed } from "./cli.ts";

/** Fields that are zero or empty too: a program need not know what protojson leaves out. */
export const WHOLE = { alwaysEmitImplicit: true };

/** An option's number of things. */
export function count(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}

export type Row = readonly string[];

/** Under their heads, as wide as the widest cell; an empty cell is a dash. */
export function tableOf(heads: Row, rows: readonly Row[]): string {
  const all = [heads, ...rows].map((row) => row.map((cell) => (cell === "" ? "-" : cell)));
  const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: Row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return all.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** A name and its value on a line each; what is empty is left out. */
export function fieldsOf(fields: readonly (readonly [name: string, value: string])[]): string {
  const set = fields.filter(([, value]) => value !== "");
  const width = Math.max(...set.map(([name]) => name.length));
  return set.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}

export function momentOf(timestamp: Timestamp | undefined): string {
  if (timestamp === undefined) return "";
  const date = timestampDate(timestamp);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString();
}

/** Text from elsewhere may hold anything: nothing of it may move the cursor or turn the text round. */
export function shown(text: string): string {
  return text.replaceAll(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

export function cut(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters - 1)}…`;
}

/** A number of an enum in the words of the command line: `created`, `waiting`. */
export function wordOf(values: Readonly<Record<number, string>>, number: number): string {
  return values[number]?.toLowerCase() ?? String(number);
}

/** All words of an enum but "unspecified", in their order. */
export function wordsOf(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, number]) =>
    typeof number === "number" && number !== 0 ? [name.toLowerCase()] : [],
  );
}

/** The number of a word that is among the choices; 0 where there is none. */
export function numberOf<T extends number>(values: Readonly<Record<string, string | T>>, word: string | undefined): T {
  const number = word === undefined ? 0 : values[word.toUpperCase()];
  return (typeof number === "number" ? number : 0) as T;
}

/** So many of a thing: "1 delivery", "2 deliveries". */
export function amount(number: number | bigint, one: string, many = `${one}s`): string {
  return `${number} ${Number(number) === 1 ? one : many}`;
}

/** What the server refused, for the person at the terminal. */
export function refused(reason: unknown): CommandFailed {
  // A list of several pages has said it already.
  if (reason instanceof CommandFailed) return reason;
  return new CommandFailed(ConnectError.from(reason).message, { cause: reason });
}

interface AskedPage {
  readonly pageSize: number;
  readonly pageToken: string;
}

interface ListPage<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

/** A list's items up to `limit`, in as many calls as that takes. */
export async function listed<T>(limit: number, list: (page: AskedPage) => Promise<ListPage<T>>): Promise<readonly T[]> {
  const all: T[] = [];
  let pageToken = "";
  do {
    const page = await list({ pageSize: Math.min(limit - all.length, LIMITS.pageSize), pageToken }).catch((reason) => {
      throw refused(reason);
    });
    all.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && all.length < limit);
  return all;
}
