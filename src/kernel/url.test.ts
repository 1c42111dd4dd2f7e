import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAllowedAddress, networkSet } from "./addresses.ts";
import { LIMITS } from "./limits.ts";
import { checkUrl, type UrlRules } from "./url.ts";

const strict: UrlRules = { allowHttp: false, allowedNetworks: networkSet([]) };

function verdict(text: string, rules: Partial<UrlRules> = {}): string {
  const check = checkUrl(text, { ...strict, ...rules });
  return check.ok ? check.url.href : `${check.error.code} ${check.error.message}`;
}

function keyOf(text: string): string {
  const check = checkUrl(text, strict);
  return check.ok ? check.url.urlKey : check.error.code;
}

describe("the key of an endpoint's URL", () => {
  it.each([
    ["https://h.example/hook?", "https://h.example/hook"],
    ["https://h.example?", "https://h.example/"],
    ["https://h.example/%68ook", "https://h.example/hook"],
    ["https://h.example/a%2fb", "https://h.example/a%2Fb"],
    ["https://h.example/%7e", "https://h.example/~"],
    ["https://h.example/?q=%7E%c3%bc", "https://h.example/?q=~%C3%BC"],
    // Undone once: what is written was an escaped percent sign.
    ["https://h.example/%257e", "https://h.example/%257e"],
    ["https://h.example/%7", "https://h.example/%7"],
  ])("is one for all spellings: %s", (text, key) => {
    expect(keyOf(text)).toBe(key);
    expect(keyOf(key)).toBe(key);
  });

  it.each([
    ["https://h.example/a%2Fb", "https://h.example/a/b"],
    ["https://h.example/Hook", "https://h.example/hook"],
    ["https://h.example/hook/", "https://h.example/hook"],
    ["https://h.example/?a=%26", "https://h.example/?a=&"],
  ])("differs where another resource may answer: %s", (left, right) => {
    expect(keyOf(left)).not.toBe(keyOf(right));
  });
});

describe("an endpoint's URL", () => {
  it.each([
    ["https://example.com/hook", "https://example.com/hook"],
    ["HTTPS://EXAMPLE.com:443", "https://example.com/"],
    ["https://example.com:8443/a/../b?c=d&e", "https://example.com:8443/b?c=d&e"],
    ["https://example.com/%7e?q=%20", "https://example.com/%7e?q=%20"],
    ["https://münchen.example/ü", "https://xn--mnchen-3ya.example/%C3%BC"],
    ["https://8.8.8.8/", "https://8.8.8.8/"],
    ["https://134744072/", "https://8.8.8.8/"],
    ["https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"],
    ["https://under_score.example/", "https://under_score.example/"],
    ["https://example.com/@user", "https://example.com/@user"],
    ["https://intranet/", "https://intranet/"],
  ])("is good, and has one form: %s", (text, href) => {
    expect(verdict(text)).toBe(href);
  });

  it.each([
    ["", "must not be empty"],
    ["example.com/hook", "must be absolute"],
    ["//example.com/", "must be absolute"],
    ["https:example.com", "must be absolute"],
    ["https:/example.com", "must be absolute"],
    ["https:///example.com", "must be absolute"],
    ["https://", "must be absolute"],
    ["https://?a", "must be absolute"],
    ["ftp://example.com/", "must begin with https://, and not with ftp://"],
    ["javascript:alert(1)", "must be absolute"],
    ["https://user@example.com/", "user name"],
    ["https://user:pass@example.com/", "user name"],
    ["https://@example.com/", "user name"],
    ["https://example.com#@10.0.0.1/", "fragment"],
    ["https://example.com/#", "fragment"],
    ["https://example.com\\@10.0.0.1/", "backslash"],
    ["https:\\\\example.com/", "backslash"],
    [" https://example.com/", "blanks"],
    ["https://example.com/a b", "blanks"],
    ["https://exa\tmple.com/", "blanks"],
    ["https://example.com/\r\nhost: evil", "blanks"],
    ["https://example.com/\u0000", "blanks"],
    ["https://example.com/\u200b", "blanks"],
    ["https://example.com/\u00a0", "blanks"],
    ["https://example.com/\ud800", "blanks"],
    ["https://example.com:0/", "port 0"],
    ["https://example.com:22/", "port 22"],
    ["https://example.com:6667/", "port 6667"],
    ["https://example.com:99999/", "is not a URL"],
    ["https://example.com:port/", "is not a URL"],
    ["https://example.com./", "must name a host"],
    ["https://.example.com/", "must name a host"],
    ["https://a..example.com/", "must name a host"],
    ["https://-a.example.com/", "must name a host"],
    ["https://a!b.example.com/", "must name a host"],
    ["https://*.example.com/", "must name a host"],
    [`https://${"a".repeat(64)}.example.com/`, "must name a host"],
    [`https://${"a.".repeat(130)}com/`, "must name a host"],
    ["https://256.256.256.256/", "is not a URL"],
    ["https://[::1%25eth0]/", "is not a URL"],
    ["http://example.com/", "must begin with https://"],
  ])("is refused: %j", (text, flaw) => {
    expect(verdict(text)).toContain(flaw);
    expect(verdict(text)).toMatch(/^url\.invalid /);
  });

  it.each([
    "https://127.0.0.1/",
    "https://127.1/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://2130706433/",
    "https://%31%32%37.0.0.1/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://10.0.0.1:8443/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1]/",
    "https://169.254.169.254/latest/meta-data",
  ])("is refused by its address, however it is written: %s", (text) => {
    expect(verdict(text)).toMatch(/^guard\.refused must lead to a public address; /);
  });

  it.each([
    "https://localhost/",
    "https://LOCALHOST:8443/",
    "https://a.localhost/",
    "https://printer.local/",
    "https://vault.internal/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://metadata/",
    "https://router.home.arpa/",
  ])("is refused by its name, which needn't resolve yet: %s", (text) => {
    expect(verdict(text)).toMatch(/^guard\.refused must lead to a public address; /);
  });

  it("may have such a name where the operator has networks of his own, but for the clouds' metadata", () => {
    const rules = { allowedNetworks: networkSet(["10.0.0.0/8"]) };
    expect(verdict("https://hooks.internal/", rules)).toBe("https://hooks.internal/");
    expect(verdict("https://metadata.google.internal/", rules)).toMatch(/^guard\.refused/);
  });

  it("has one of the ports that the operator lists, where he does", () => {
    const rules = { allowedPorts: [443, 8443] };
    expect(verdict("https://example.com/", rules)).toBe("https://example.com/");
    expect(verdict("https://example.com:8443/", rules)).toBe("https://example.com:8443/");
    expect(verdict("https://example.com:8080/", rules)).toContain("one of the ports 443, 8443; 8080 is none");
  });

  it("may be plain http, and lie in a network, where the operator lets it", () => {
    const rules = { allowHttp: true, allowedNetworks: networkSet(["127.0.0.0/8"]) };
    expect(verdict("http://127.0.0.1:8080", rules)).toBe("http://127.0.0.1:8080/");
    expect(verdict("http://10.0.0.1/", rules)).toMatch(/^guard\.refused/);
  });

  it("has a length that is bounded, before and after it is put in its form", () => {
    const root = "https://example.com/";
    const longest = root + "a".repeat(LIMITS.urlCharacters - root.length);
    expect(verdict(longest)).toBe(longest);
    expect(verdict(`${longest}a`)).toContain("at most 2048");
    expect(verdict(root + "ü".repeat(1_000))).toContain("at most 2048");
  });

  it("comes in its parts", () => {
    const check = checkUrl("https://[2606:4700::1111]:8443?a=b", strict);
    expect(check.ok && check.url).toEqual({
      href: "https://[2606:4700::1111]:8443/?a=b",
      urlKey: "https://[2606:4700::1111]:8443/?a=b",
      origin: "https://[2606:4700::1111]:8443",
      protocol: "https:",
      host: "2606:4700::1111",
      path: "/?a=b",
    });
  });

  it("never throws, and what passes passes again, in the same form and to an allowed host", () => {
    const host = fc.oneof(fc.ipV4Extended(), fc.ipV6(), fc.domain(), fc.string());
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.tuple(host, fc.string()).map(([name, rest]) => `https://${name}${rest}`),
      fc.tuple(host, fc.string()).map(([name, rest]) => `https://[${name}]/${rest}`),
    );
    const property = fc.property(text, (candidate) => {
      const check = checkUrl(candidate, strict);
      if (!check.ok) return;
      const { href, host: name } = check.url;
      expect(checkUrl(href, strict)).toEqual(check);
      const isAddress = /^[\d.]+$|:/.test(name);
      if (isAddress) expect(isAllowedAddress(name, strict.allowedNetworks)).toBe(true);
    });
    fc.assert(property, { numRuns: 2_000 });
  });
});
