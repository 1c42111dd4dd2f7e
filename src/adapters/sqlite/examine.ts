import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { STEPS, STORE_FILE } from "./schema.ts";

/** A store as it was found, by somebody who changes nothing of it. */
export interface ExaminedStore {
  /** How many steps its schema has had, and how many this passbus knows. */
  readonly version: number;
  readonly newest: number;
  /** What SQLite finds damaged; undefined where it finds nothing, or where the file is too large to be looked through. */
  readonly damage?: string;
}

/** Looking through takes about a second for each GB. */
const LOOKED_THROUGH_BYTES = 512 * 1024 * 1024;

/** Undefined where there is none yet. Throws where the file can't be read, or is no database. */
export function examineStore(directory: string): ExaminedStore | undefined {
  const file = join(directory, STORE_FILE);
  if (!existsSync(file)) return undefined;
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  try {
    const version = Number(database.prepare("PRAGMA user_version").get()?.user_version);
    const isSmall = statSync(file).size <= LOOKED_THROUGH_BYTES;
    const answer = isSmall ? database.prepare("PRAGMA quick_check(1)").get()?.quick_check : "ok";
    return { version, newest: STEPS.length, ...(answer !== "ok" && { damage: String(answer) }) };
  } finally {
    database.close();
  }
}
