/** docs/security.md: every claim names the tests that hold it, by file and title, and they are there. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const root = new URL("../", import.meta.url);
const page = readFileSync(new URL("docs/security.md", root), "utf8");
const [claims = "", gaps = ""] = page.split("## Not covered");

/** `file "a part of a title", "of another's"`. */
const HELD = /([\w./-]+\.(?:test|contract)\.ts)((?:,? "[^"]+")*)/g;

const rows = [...claims.matchAll(/^\| (?!who wants|---)(.*?) \|(.*)\| (.*) \|$/gm)].map(
  ([, who = "", , held = ""]) => ({
    who,
    tests: [...held.matchAll(HELD)].map(([, file = "", quoted = ""]) => ({
      file,
      titles: [...quoted.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title),
    })),
  }),
);

/** Whether it stands in the first argument of a call that begins a line, which no comment does. */
function isTitled(source: string, part: string): boolean {
  return source.split(part).some((before, at, { length }) => {
    const call = /(?:^|\n)[ \t]*(?:\]|(?:test|it|describe)\b)[^\n]*\(\n?[ \t]*["'`][^"`\n]*$/;
    return at < length - 1 && call.test(before.slice(-600));
  });
}

describe("docs/security.md", () => {
  test("has its four parts, and says what it does not cover", () => {
    for (const title of ["Who may", "What may leave", "What is kept", "What may come in"])
      expect(claims).toContain(`## ${title}\n`);
    expect(rows.length).toBeGreaterThan(25);
    expect(gaps.match(/^- /gm)?.length).toBeGreaterThan(4);
  });

  test.each(rows)("$who: is held by tests of these titles", ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    for (const { file, titles } of tests) {
      const source = readFileSync(new URL(file, root), "utf8");
      expect(titles.length, `${file}: the page names no title of it, in quotes behind the file`).toBeGreaterThan(0);
      for (const title of titles) expect(isTitled(source, title), `${file} has no test called "${title}"`).toBe(true);
    }
  });
});
