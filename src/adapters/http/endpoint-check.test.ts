import { describe, expect, it } from "vitest";
import { networkSet } from "../../kernel/addresses.ts";
import { CodedError } from "../../kernel/errors.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { endpointCheck } from "./endpoint-check.ts";
import type { ResolveHost } from "./resolver.ts";

const clock = new ManualClock();

function check(resolve: ResolveHost, networks: readonly string[] = []) {
  return endpointCheck({
    clock,
    resolve,
    allowHttp: false,
    allowedNetworks: networkSet(networks),
  });
}

const fails: ResolveHost = async () => {
  throw new CodedError("dns.failed", "does not resolve");
};

async function refusal(answer: Promise<unknown>): Promise<CodedError> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CodedError)) throw new Error("was not refused");
  return error;
}

describe("an endpoint at its creation", () => {
  it("is accepted with an address that is allowed, in its normal form", async () => {
    const url = await check(async () => ["10.0.0.1", "93.184.216.34"])("HTTPS://Example.com:443");
    expect(url).toEqual({
      href: "https://example.com/",
      urlKey: "https://example.com/",
      origin: "https://example.com",
      protocol: "https:",
      host: "example.com",
      path: "/",
    });
  });

  it("is refused where all its addresses are forbidden, and hears of none that it didn't write", async () => {
    const error = await refusal(check(async () => ["10.0.0.1", "fd00::1"])("https://inner.test/"));
    expect([error.code, error.message]).toEqual([
      "guard.refused",
      "must lead to a public address; every address that inner.test resolves to is private, reserved or otherwise special",
    ]);
    const literal = await refusal(check(fails)("https://10.0.0.1/"));
    expect(literal.message).toContain("10.0.0.1 is private");
  });

  it("is accepted there where the operator lets the network through", async () => {
    const url = await check(async () => ["10.0.0.1"], ["10.0.0.0/8"])("https://inner.test/");
    expect(url.host).toBe("inner.test");
  });

  it("is refused for its text before anything is resolved", async () => {
    let asked = 0;
    const never: ResolveHost = async () => {
      asked += 1;
      return [];
    };
    expect((await refusal(check(never)("http://a.test/"))).code).toBe("url.invalid");
    expect((await refusal(check(never)("https://127.1/"))).code).toBe("guard.refused");
    expect((await check(never)("https://93.184.216.34/")).host).toBe("93.184.216.34");
    expect(asked).toBe(0);
  });

  it("is judged by its text alone while it is a draft", async () => {
    const inner: ResolveHost = async () => ["10.0.0.1"];
    expect((await check(inner)("https://inner.test/", true)).host).toBe("inner.test");
    expect((await refusal(check(inner)("https://10.0.0.1/x", true))).code).toBe("guard.refused");
  });

  it("is accepted where its name does not resolve yet", async () => {
    expect((await check(fails)("https://soon.test/")).host).toBe("soon.test");
  });

  it("is accepted where the answer takes too long, and leaves no timer behind", async () => {
    const silent: ResolveHost = () => new Promise(() => {});
    const answer = check(silent)("https://silent.test/");
    expect(clock.pending).toBe(1);
    clock.advance(5_000);
    expect((await answer).host).toBe("silent.test");
    await check(fails)("https://soon.test/");
    expect(clock.pending).toBe(0);
  });
});
