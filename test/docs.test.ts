import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { generatedPages } from "../scripts/pages.ts";

const root = join(import.meta.dirname, "..");

describe("the generated pages", () => {
  test.each(generatedPages())("$path says what the sources say (write it anew: npm run docs)", async (page) => {
    expect(await readFile(join(root, page.path), "utf8")).toBe(page.text);
  });
});
