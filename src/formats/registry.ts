import type { FormatName } from "../domain/subscription.ts";
import type { Format } from "./format.ts";
import { passkit } from "./passkit.ts";
import { standard } from "./standard.ts";

/** The formats that this version can write. To add one: a file beside this, and a line here. */
export const FORMATS: readonly Format[] = [standard, passkit];

const byName: ReadonlyMap<FormatName, Format> = new Map(FORMATS.map((format) => [format.name, format]));

/** Undefined for a format of the API that this version cannot write yet. */
export function formatOf(name: FormatName): Format | undefined {
  return byName.get(name);
}
