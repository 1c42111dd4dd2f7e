import { expect, it } from "vitest";
import { namesOf } from "./subscriptions.ts";

it("calls a subscription by its description, and by its address where that alone tells it from others", () => {
  const names = namesOf([
    { id: "a", url: "https://hooks.test/a", description: "the tills" },
    { id: "b", url: "https://hooks.test/b", description: "both" },
    { id: "c", url: "http://hooks.test/c", description: "both" },
    { id: "d", url: "https://hooks.test/d", description: "" },
  ]);
  expect(Object.fromEntries(names)).toEqual({
    a: "the tills",
    b: "both (hooks.test/b)",
    c: "both (hooks.test/c)",
    d: "hooks.test/d",
  });
});
