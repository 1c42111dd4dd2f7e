import { expect, it } from "vitest";
import { FORMATS, formatOf } from "./registry.ts";

it("finds each format by its name, and none for those that don't exist yet", () => {
  for (const format of FORMATS) expect(formatOf(format.name)).toBe(format);
  expect(formatOf("PASSKIT")?.name).toBe("PASSKIT");
  expect(formatOf("STANDARD")?.name).toBe("STANDARD");
  expect(formatOf("ETHPASS")).toBeUndefined();
});
