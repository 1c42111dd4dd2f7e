import { expect, it } from "vitest";
import { FORMATS, formatOf } from "./registry.ts";

it("finds each format by its name", () => {
  expect(FORMATS.map(({ name }) => name)).toEqual(["STANDARD", "PASSKIT", "PASSENTRY", "ETHPASS", "CLOUDEVENTS"]);
  for (const format of FORMATS) expect(formatOf(format.name)).toBe(format);
});
