import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../test/support/api.ts";
import { pageHeaders } from "./page-headers.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

/** A directive's sources in a policy. */
function sources(policy: string | null, directive: string): string | undefined {
  const found = policy?.split("; ").find((each) => each.startsWith(`${directive} `));
  return found?.slice(directive.length + 1);
}

describe("every answer that is no RPC's", () => {
  test.each([
    ["GET", "/"],
    ["GET", "/healthz"],
    ["HEAD", "/readyz"],
    ["POST", "/healthz"],
    ["GET", "/.well-known/jwks.json"],
    ["GET", "/.well-known/jwks.json?organisation=%00"],
    ["GET", "/nothing"],
    ["GET", "/subscriptions/sub_1"],
    ["POST", "/passbus.v1.EventService/Nothing"],
    ["DELETE", "/../../etc/passwd"],
  ])("%s %s carries them", async (method, path) => {
    const { headers } = await fetch(api.url + path, { method });
    const policy = headers.get("content-security-policy");
    expect(sources(policy, "default-src")).toBe("'none'");
    expect(sources(policy, "script-src")).toBe("'self'");
    expect(sources(policy, "frame-ancestors")).toBe("'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:|http/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(headers.get("x-frame-options")).toBe("DENY");
  });

  test("says who may frame it, where the settings name them", async () => {
    await using framed = await testApi({ frameAncestors: ["https://wallets.example", "https://b.example"] });
    const { headers } = await fetch(`${framed.url}/`);
    const policy = headers.get("content-security-policy");
    expect(sources(policy, "frame-ancestors")).toBe("https://wallets.example https://b.example");
    // Browsers that know only this one would let nobody frame it.
    expect(headers.get("x-frame-options")).toBeNull();
  });
});

test("anybody may frame it where the setting is *", () => {
  expect(sources(pageHeaders(["*"])["content-security-policy"] ?? "", "frame-ancestors")).toBe("*");
});
