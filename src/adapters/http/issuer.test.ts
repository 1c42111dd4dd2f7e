import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuerKey, TestIssuer } from "../../../test/support/issuer.ts";
import { type Issuer, issuerAt } from "./issuer.ts";

let server: TestIssuer;
let issuer: Issuer;
beforeEach(async () => {
  server = await TestIssuer.start();
  server.published.push((await issuerKey("ES256", "one")).jwk);
  issuer = issuerAt({ issuer: server.url, jwksUrl: undefined });
});
afterEach(async () => {
  await issuer.close();
  await server[Symbol.asyncDispose]();
});

describe("the issuer's keys", () => {
  test("are where its discovery document says", async () => {
    expect(await issuer.read()).toEqual({ keys: server.published });
    expect(server.asked).toEqual(["/.well-known/openid-configuration", "/keys"]);
  });

  test("are where the settings say, where they do; the discovery document is not asked for then", async () => {
    await issuer.close();
    issuer = issuerAt({ issuer: server.url, jwksUrl: `${server.url}/keys` });
    expect((await issuer.read()).keys).toHaveLength(1);
    expect(server.asked).toEqual(["/keys"]);
  });

  test.each([
    ["a document without keys", "/keys", "{}"],
    ["no JSON", "/keys", "<html>"],
    ["null", "/keys", "null"],
    ["more than 256 KiB", "/keys", JSON.stringify({ keys: [], more: "x".repeat(300_000) })],
  ])("are not read from %s", async (_, path, body) => {
    server.instead = (request, response) => {
      if (request.url !== path) return false;
      response.end(body);
      return true;
    };
    await expect(issuer.read()).rejects.toThrow();
  });

  test.each([["file:///etc/passwd"], ["ftp://127.0.0.1/keys"], ["nonsense"]])(
    "are not read from %s, which the document names",
    async (jwksUri) => {
      server.instead = (request, response) => {
        if (request.url === "/keys") return false;
        response.end(JSON.stringify({ issuer: server.url, jwks_uri: jwksUri }));
        return true;
      };
      await expect(issuer.read()).rejects.toThrow();
    },
  );

  test("are not read where the document is another issuer's", async () => {
    server.instead = (request, response) => {
      if (request.url === "/keys") return false;
      response.end(JSON.stringify({ issuer: `${server.url}/`, jwks_uri: `${server.url}/keys` }));
      return true;
    };
    await expect(issuer.read()).rejects.toThrow("another issuer's");
    expect(server.asked).not.toContain("/keys");
  });

  test.each([302, 404, 500])("are not read from an answer %i, and no redirect is followed", async (status) => {
    server.instead = (request, response) => {
      if (request.url !== "/keys") return false;
      response.writeHead(status, { location: "/elsewhere" }).end(JSON.stringify({ keys: server.published }));
      return true;
    };
    await expect(issuer.read()).rejects.toThrow(`answered ${status}`);
    expect(server.asked).not.toContain("/elsewhere");
  });
});
