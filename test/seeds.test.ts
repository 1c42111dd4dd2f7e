/** docs/seeds.md: what stands there exists, and the tests that it names name the document. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/seeds.md"), "utf8");

interface Row {
  readonly seed: string;
  readonly cells: readonly string[];
}

/** The rows of each seed's table, less its head. */
function rows(): readonly Row[] {
  return page
    .split(/^## Seed /m)
    .slice(1)
    .flatMap((section) => {
      const [, , ...body] = section.split("\n").filter((line) => line.startsWith("|"));
      const cellsOf = (line: string) => line.split("|").slice(1, -1);
      return body.map((line) => ({ seed: section.slice(0, 3), cells: cellsOf(line).map((cell) => cell.trim()) }));
    });
}

/** The tests that a row names, as `file` › "title". */
function citations(cell: string): readonly (readonly [file: string, title: string])[] {
  return cell.split("<br>").map((each) => {
    const [, file, title] = /^`(.+)` › "(.+)"$/.exec(each) ?? [];
    if (file === undefined || title === undefined) throw new Error(`not a file and a title: ${each}`);
    return [file, title];
  });
}

/** The line that the test or suite of this title begins on, by its string literal; -1 where there is none. */
function lineOf(lines: readonly string[], title: string): number {
  const literals = ['"', "'", "`"].map((quote) => `${quote}${title}${quote}`);
  return lines.findIndex((line, at) => {
    const literal = literals.find((each) => line.includes(each));
    if (literal === undefined) return false;
    const before = line.slice(0, line.indexOf(literal));
    // Long arguments stand on lines of their own.
    return before.endsWith("(") || (before.trim() === "" && lines[at - 1]?.endsWith("(") === true);
  });
}

/** Numbers in "seed 001", "seeds 000 and 002", "seeds 000, 002 and 003", "seeds 000 to 003". */
function seedsIn(text: string): readonly string[] {
  return [...text.matchAll(/\bseeds? (\d{3})((?:(?:, | and )\d{3})*)(?: to (\d{3}))?/gi)].flatMap(
    ([, first = "", more = "", last]) => {
      if (last === undefined) return [first, ...(more.match(/\d{3}/g) ?? [])];
      const count = Number(last) - Number(first) + 1;
      return Array.from({ length: count }, (_, at) => String(Number(first) + at).padStart(3, "0"));
    },
  );
}

/** The seeds that a test names: in its title, in the comment above it or above its suite, or at the head of its file. */
function namedBy(lines: readonly string[], at: number): readonly string[] {
  const suite = lines.slice(0, at).findLastIndex((line) => /^\s*describe\b/.test(line));
  const [head = ""] = /^\/\*\*.*?\*\//s.exec(lines.join("\n")) ?? [];
  const withComment = (line: number) => [commentAbove(lines, line), lines[line] ?? ""];
  const places = [head, ...withComment(at), ...(suite < 0 ? [] : withComment(suite))];
  return places.flatMap(seedsIn);
}

function commentAbove(lines: readonly string[], at: number): string {
  const above = lines[at - 1]?.trim() ?? "";
  return above.startsWith("//") ? above : "";
}

const all = rows();
const done = all.filter(({ cells }) => cells[2] !== "–");

describe("docs/seeds.md", () => {
  test("has a table for each of the four documents", () => {
    const counts = Object.groupBy(all, ({ seed }) => seed);
    expect(Object.keys(counts)).toEqual(["000", "001", "002", "003"]);
    for (const table of Object.values(counts)) expect(table?.length).toBeGreaterThanOrEqual(10);
  });

  test.each(all)("seed $seed: $cells.0 | is whole", ({ cells }) => {
    expect(cells).toHaveLength(3);
    for (const cell of cells) expect(cell).not.toBe("");
    const [, where = "", shown] = cells;
    expect(where).toMatch(/`(?:src|proto)\/|\*\*not yet\*\*/);
    for (const [, path = ""] of where.matchAll(/`((?:src|proto)\/[^`]+)`/g))
      expect(existsSync(join(root, path))).toBe(true);
    if (shown === "–") expect(where).toContain("**not yet**");
    if (where.includes("**not yet**")) expect(where).toMatch(/\bissue [678]\b/);
  });

  test.each(done)("seed $seed: $cells.0 | is shown by tests that are there and name it", ({ seed, cells }) => {
    for (const [file, title] of citations(cells[2] ?? "")) {
      const lines = readFileSync(join(root, file), "utf8").split("\n");
      const at = lineOf(lines, title);
      expect(at, `${file} has no test "${title}"`).toBeGreaterThanOrEqual(0);
      expect(namedBy(lines, at), `${file}: "${title}" names another document`).toContain(seed);
    }
  });
});
