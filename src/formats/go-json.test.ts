import { describe, expect, it } from "vitest";
import { goNumber, goString } from "./go-json.ts";

/** What Go itself writes is held by test/golden/go-json.test.ts; here is what Go has no value for. */
describe("JSON as Go writes it", () => {
  it("replaces half a surrogate pair, as Go does with what is not UTF-8, and keeps a whole one", () => {
    expect(goString("a\ud83db\ude00c\ud83d\ude00")).toBe('"a\\ufffdb\\ufffdc\ud83d\ude00"');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("refuses %s, as Go does", (value) => {
    expect(() => goNumber(value)).toThrow(expect.objectContaining({ code: "format.failed" }));
  });
});
