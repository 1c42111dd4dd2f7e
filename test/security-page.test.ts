/** docs/security.md: every claim names the test that holds it, and that test is there. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const root = new URL("../", import.meta.url);
const page = readFileSync(new URL("docs/security.md", root), "utf8");
const [claims = "", gaps = ""] = page.split("## Not covered");
const rows = [...claims.matchAll(/^\| (?!who wants|---)(.*?) \|(.*)\| (.*) \|$/gm)].map(
  ([, who = "", , held = ""]) => ({
    who,
    files: held.match(/[\w./-]+\.test\.ts/g) ?? [],
  }),
);

describe("docs/security.md", () => {
  test("has its four parts, and says what it does not cover", () => {
    for (const title of ["Who may", "What may leave", "What is kept", "What may come in"])
      expect(claims).toContain(`## ${title}\n`);
    expect(rows.length).toBeGreaterThan(25);
    expect(gaps.match(/^- /gm)?.length).toBeGreaterThan(4);
  });

  test.each(rows)("$who: is held by a test", ({ files }) => {
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const at = new URL(file, root);
      expect(existsSync(at), file).toBe(true);
      expect(readFileSync(at, "utf8")).toMatch(/\b(test|it|describe)(\.\w+)?\(/);
    }
  });
});
