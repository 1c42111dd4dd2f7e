import { expect, it } from "vitest";
import { LIMITS } from "../kernel/limits.ts";
import { letterToKeep } from "./dead-letters.ts";

const record = { topic: "pass.events", partition: 0, offset: 1, appendedAtMs: 1, key: null, value: null, headers: {} };
const tenant = { organisation: "acme", environment: "production" };

it("keeps no more of the words than an error may have: a store has to take it", () => {
  const kept = letterToKeep({ record, reason: "event.invalid", message: "x".repeat(20_000_000), tenant });
  expect(kept.message).toBe("x".repeat(LIMITS.messageCharacters));
});
