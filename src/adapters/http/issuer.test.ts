import { readFileSync } from "node:fs";
import tls from "node:tls";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { issuerKey, TestIssuer } from "../../../test/support/issuer.ts";
import { httpsServer } from "../../../test/support/receiver.ts";
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

describe("over TLS, whatever the process was started with", () => {
  const pem = (name: string) => readFileSync(new URL(`../../../test/support/tls/${name}`, import.meta.url), "utf8");
  const pair = { cert: pem("cert.pem"), key: pem("key.pem") };
  const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS, getCACertificates, setDefaultCACertificates } = tls;
  const trusted = getCACertificates("default");
  afterEach(() => {
    vi.unstubAllEnvs();
    Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS });
    setDefaultCACertificates(trusted);
  });

  async function read(options: tls.TlsOptions): Promise<{ readonly keys: readonly unknown[] }> {
    await using keys = await httpsServer({ ...pair, ...options }, (_, response) => response.end('{"keys":[]}'));
    const url = `https://127.0.0.1:${keys.port}`;
    const over = issuerAt({ issuer: url, jwksUrl: `${url}/keys` });
    return await over.read().finally(() => over.close());
  }

  test("the certificate counts", async () => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    await expect(read({})).rejects.toThrow("self-signed certificate");
    setDefaultCACertificates([pair.cert]);
    expect(await read({})).toEqual({ keys: [] });
  });

  test("TLS is 1.2 at least", async () => {
    setDefaultCACertificates([pair.cert]);
    Object.assign(tls, { DEFAULT_MIN_VERSION: "TLSv1", DEFAULT_CIPHERS: "DEFAULT@SECLEVEL=0" });
    await expect(read({ minVersion: "TLSv1", maxVersion: "TLSv1.1" })).rejects.toThrow(/version/);
    expect(await read({ maxVersion: "TLSv1.2" })).toEqual({ keys: [] });
  });
});
