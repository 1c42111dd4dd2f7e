import { expect, it } from "vitest";
import { isBarredFromPortal } from "./navigation.ts";

it.each([
  ["/access", true],
  ["/access/keys", true],
  ["/inspector/bin_1", true],
  ["/accessible", false],
  ["/", false],
  ["/subscriptions/new", false],
  ["/dead-letters", false],
])("bars a portal from %s: %s", (path, isBarred) => {
  expect(isBarredFromPortal(path)).toBe(isBarred);
});
