import { describe, expect, test } from "vitest";
import { readTenantBinding, type TenantBinding } from "../kernel/tenant-binding.ts";
import { tenantRule } from "./tenants.ts";

const tenant = (organisation: string, environment = "production") => ({ organisation, environment });

function rule(...texts: readonly string[]) {
  const bindings = texts.map((text) => readTenantBinding(text)).filter((each): each is TenantBinding => !!each);
  expect(bindings).toHaveLength(texts.length);
  return tenantRule(bindings, "default");
}

describe("whom a topic may speak for", () => {
  test.each([
    ["acme=acme/production", { topic: "acme", organisation: "acme", environment: "production" }],
    ["acme=acme/*", { topic: "acme", organisation: "acme" }],
    ["acme=*/*", { topic: "acme" }],
    ["acme=*", { topic: "acme" }],
    ["*", {}],
  ])("%s is read", (text, binding) => {
    expect(readTenantBinding(text)).toEqual(binding);
  });

  test.each([
    "",
    "acme",
    "acme=",
    "=acme/production",
    "acme=acme",
    "acme=*/production",
    "a b=x/y",
    "a=x/y/z",
    "a=-x/y",
  ])("%j is refused", (text) => {
    expect(readTenantBinding(text)).toBeUndefined();
  });

  test("any topic may speak for anyone by the default, and for the bootstrap organisation where it doesn't say", () => {
    const any = rule("*");
    expect(any.allows("pass.events", tenant("globex", "test"))).toBe(true);
    expect(any.fallback("pass.events")).toEqual(tenant("default"));
  });

  test("a bound topic speaks for its organisation and environment alone", () => {
    const bound = rule("acme=acme/test", "acme=acme/staging", "pass.events=*");
    expect(bound.allows("acme", tenant("acme", "test"))).toBe(true);
    expect(bound.allows("acme", tenant("acme", "staging"))).toBe(true);
    expect(bound.allows("acme", tenant("acme"))).toBe(false);
    expect(bound.allows("acme", tenant("globex", "test"))).toBe(false);
    expect(bound.allows("pass.events", tenant("globex"))).toBe(true);
    expect(bound.fallback("acme")).toEqual(tenant("acme", "test"));
    expect(bound.fallback("pass.events")).toEqual(tenant("default"));
  });

  test("an entry for every topic does not widen one that is bound by name", () => {
    const mixed = rule("*", "acme=acme/production");
    expect(mixed.allows("acme", tenant("globex"))).toBe(false);
    expect(mixed.fallback("acme")).toEqual(tenant("acme"));
    expect(mixed.allows("pass.events", tenant("globex"))).toBe(true);
  });

  test("a topic that no entry names speaks for nobody", () => {
    expect(rule("acme=acme/test").allows("other", tenant("acme", "test"))).toBe(false);
  });
});
