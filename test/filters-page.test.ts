import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { EVENT_TYPES } from "../src/domain/event.ts";
import { sampleEvent } from "../src/formats/samples.ts";
import { LIMITS } from "../src/kernel/limits.ts";
import { filterFlaw } from "../src/matching/filter.ts";

const page = readFileSync(new URL("../docs/filters.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/^```cel\n(.*?)\n```$/gms)].map(([, text = ""]) => text);
/** Conditions in the table's column of examples. */
const inTable = [...page.matchAll(/^\|.*\| ([^|]+) \|$/gm)].flatMap(([, cell = ""]) =>
  [...cell.matchAll(/`([^`]*event\.[^`]*)`/g)].map(([, text = ""]) => text),
);
const samples = EVENT_TYPES.flatMap((type) => sampleEvent(type) ?? []);

describe("docs/filters.md", () => {
  test("has examples", () => {
    expect(blocks).toHaveLength(5);
    expect(inTable).toHaveLength(8);
  });

  test.each([...blocks, ...inTable])("%s is a filter for every type", (text) => {
    expect(filterFlaw(text, samples)).toBeUndefined();
  });

  test("says the limits as they are", () => {
    const { filterCharacters, filterNodes, filterDepth, filterCost } = LIMITS;
    for (const limit of [filterCharacters, filterNodes, filterDepth, filterCost]) {
      expect(page).toContain(`| ${limit.toLocaleString("en-US")} |`);
    }
  });
});
