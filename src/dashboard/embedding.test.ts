import { expect, it } from "vitest";
import { tokenIn } from "./embedding.ts";

it.each([
  [{ type: "passbus.token", token: "pbs_production_a_b" }, "pbs_production_a_b"],
  [{ type: "passbus.token", token: "pb_production_a_b" }, undefined],
  [{ type: "other", token: "pbs_production_a_b" }, undefined],
  [{ type: "passbus.token", token: 7 }, undefined],
  ["pbs_production_a_b", undefined],
  [null, undefined],
])("takes a portal session's token alone from an embedding page: %j", (data, token) => {
  expect(tokenIn(data)).toBe(token);
});
