/**
 * The configuration: environment variables, read by the table in settings.ts. The one place that reads process.env.
 *
 * A variable that is set to nothing counts as not set, so that `PASSBUS_X=` in a compose file is harmless.
 */
import { CodedError, type FieldViolation } from "../kernel/errors.ts";
import type { Setting } from "./setting.ts";
import { SETTINGS } from "./settings.ts";
import type { Shape } from "./shapes.ts";
import { violationsTogether } from "./together.ts";

type Settings = typeof SETTINGS;

type ValueOf<Row> = Row extends { readonly shape: Shape<infer T>; readonly fallback: string }
  ? T
  : Row extends { readonly shape: Shape<infer T> }
    ? T | undefined
    : never;

/** Every setting's value, by its name in the table. Frozen. */
export type Config = { readonly [Name in keyof Settings]: ValueOf<Settings[Name]> };

type Environment = Readonly<Record<string, string | undefined>>;

/** An unknown variable that looks like ours, and the one that was probably meant. */
export interface UnknownSetting {
  readonly variable: string;
  readonly nearest: string;
}

/**
 * Reads every setting. Throws a `config.invalid` that names each variable that is wrong, what its value looks like
 * (never the value of a secret) and what would be right.
 */
export function readConfig(environment: Environment = process.env): Config {
  const wrong: FieldViolation[] = [];
  const values: Record<string, unknown> = {};
  const rows: ReadonlyArray<readonly [string, Setting<unknown>]> = Object.entries(SETTINGS);
  for (const [name, row] of rows) values[name] = readSetting(row, environment, wrong);
  if (wrong.length === 0) wrong.push(...violationsTogether(values as Partial<Config>));
  if (wrong.length > 0) {
    const message = wrong.map((violation) => `${violation.field}: ${violation.description}`).join("\n");
    throw new CodedError("config.invalid", message, { violations: wrong });
  }
  // Each row's own shape made its value, so the record has what the table promises.
  return Object.freeze(values) as unknown as Config;
}

function readSetting(row: Setting<unknown>, environment: Environment, wrong: FieldViolation[]): unknown {
  const given = environment[row.variable];
  const text = isSet(given) ? given.trim() : row.fallback;
  if (text === undefined) return undefined;
  // Only lists have an empty default.
  if (text === "") return Object.freeze([]);
  const value = row.shape.read(text);
  if (value === undefined) {
    wrong.push({
      field: row.variable,
      description: `must be ${row.shape.is}; it is ${looks(text, row)}`,
    });
  }
  return value;
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text.trim() !== "";
}

/** What a wrong value looks like; of a secret no more than its length. */
function looks(text: string, row: Setting<unknown>): string {
  if (row.secret === true) return `a text of ${text.length} characters`;
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(shown);
}

/** Variables that begin with PASSBUS_ and that nothing reads: most likely a slip of the pen. */
export function unknownSettings(environment: Environment = process.env): readonly UnknownSetting[] {
  const known: readonly string[] = Object.values(SETTINGS).map((row) => row.variable);
  return Object.keys(environment)
    .filter((name) => name.startsWith("PASSBUS_") && !known.includes(name))
    .sort()
    .map((variable) => ({ variable, nearest: nearest(variable, known) }));
}

function nearest(name: string, candidates: readonly string[]): string {
  let best = { name: "", distance: Number.POSITIVE_INFINITY };
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < best.distance) best = { name: candidate, distance };
  }
  return best.name;
}

/** Levenshtein's: insertions, deletions and replacements of one character. */
function editDistance(left: string, right: string): number {
  let above = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    above = current;
  }
  return above[right.length] ?? 0;
}
