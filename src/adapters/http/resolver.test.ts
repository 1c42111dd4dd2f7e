import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NameServer, nameServer } from "../../../test/support/name-server.ts";
import { type ResolveHost, systemResolver } from "./resolver.ts";

let server: NameServer;
let asked: readonly string[];
let resolve: ResolveHost;

beforeEach(async () => {
  server = await nameServer((name) => {
    if (name === "silent.test") return "silent";
    return name === "two.test" ? ["10.0.0.1", "8.8.8.8", "2606:4700::1111"] : undefined;
  });
  asked = server.asked;
  resolve = systemResolver({ servers: [server.address], queryTimeoutMs: 50 });
});

afterEach(() => server[Symbol.asyncDispose]());

describe("a host name", () => {
  it("has all the addresses that DNS has", async () => {
    expect((await resolve("two.test")).toSorted()).toEqual(["10.0.0.1", "2606:4700::1111", "8.8.8.8"]);
  });

  it("is asked for once by those who ask at once, and again by those who come later", async () => {
    await Promise.all([resolve("two.test"), resolve("two.test")]);
    // A and AAAA.
    expect(asked).toEqual(["two.test", "two.test"]);
    await resolve("two.test");
    expect(asked).toHaveLength(4);
  });

  it("fails where its name servers are silent, without asking the system", async () => {
    await expect(resolve("silent.test")).rejects.toMatchObject({
      code: "dns.failed",
      message: "silent.test does not resolve (ETIMEOUT)",
    });
  });

  it("is looked up by the system where DNS does not know it, and fails where neither does", async () => {
    await expect(resolve("unknown.invalid")).rejects.toMatchObject({
      code: "dns.failed",
      message: expect.stringMatching(/^unknown\.invalid does not resolve \((ENOTFOUND|EAI_AGAIN)\)$/),
    });
    expect(asked).toContain("unknown.invalid");
  });

  it("is the system's alone where it is local", async () => {
    for (const address of await resolve("localhost")) expect(["127.0.0.1", "::1"]).toContain(address);
    expect(asked).toEqual([]);
  });
});
