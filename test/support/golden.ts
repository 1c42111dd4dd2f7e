/** Payloads as vendors document them: files under test/golden whose text is the document's, letter for letter. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Takes out white space between tokens. Not by JSON.parse, which would lose escapes, number forms and key order. */
export function compact(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_match, text: string | undefined) => text ?? "");
}

/** `path` in test/golden, without white space between tokens. */
export function golden(path: string): string {
  return compact(readFileSync(join(import.meta.dirname, "../golden", path), "utf8"));
}
