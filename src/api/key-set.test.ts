import { afterAll, beforeAll, expect, it } from "vitest";
import { type TestApi, testApi } from "../../test/support/api.ts";
import { ed25519KeysFrom, type JsonWebKeySet, jsonWebKeySet } from "../signing/ed25519.ts";
import { keySets } from "./key-set.ts";

const SEEDS = `new:${Buffer.alloc(32, 1).toString("base64")},old:${Buffer.alloc(32, 2).toString("base64")}`;
const keysOf = ed25519KeysFrom(SEEDS);
const bootstrap = { organisation: "acme", environment: "production" };

let api: TestApi;
beforeAll(async () => {
  api = await testApi({ publicKeys: { of: keysOf, tenant: bootstrap } });
});
afterAll(() => api.stop(0));

const get = (query = "", init?: RequestInit) => fetch(`${api.url}/.well-known/jwks.json${query}`, init);

it("publishes the bootstrap tenant's keys without a key of ours, those of every seed", async () => {
  const answer = await get();
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("application/jwk-set+json");
  expect(answer.headers.get("cache-control")).toBe("public, max-age=300");
  const published = (await answer.json()) as JsonWebKeySet;
  expect(published).toEqual(jsonWebKeySet(keysOf(bootstrap)));
  expect(published.keys).toHaveLength(2);
});

it("publishes those of the organisation and environment that the query names", async () => {
  const others = { organisation: "globex", environment: "staging" };
  const read = async (query: string) => (await (await get(query)).json()) as JsonWebKeySet;
  const named = await read("?organisation=globex&environment=staging");
  expect(named).toEqual(jsonWebKeySet(keysOf(others)));
  const half = await read("?environment=staging");
  expect(half).toEqual(jsonWebKeySet(keysOf({ ...bootstrap, environment: "staging" })));
  const kids = [named, half].flatMap(({ keys }) => keys.map(({ kid }) => kid));
  expect(new Set(kids).size).toBe(4);
});

it.each(["?organisation=", "?organisation=a/b", "?environment=..%2f", "?organisation=%00"])(
  "refuses what is no name: %s",
  async (query) => {
    expect((await get(query)).status).toBe(400);
  },
);

it("derives a tenant's keys once, for the thousand asked for last", () => {
  const derived: string[] = [];
  const of = (tenant: typeof bootstrap) => {
    derived.push(tenant.environment);
    return keysOf(tenant);
  };
  const ask = keySets({ of, tenant: bootstrap });
  const environment = (name: string) => ask(new URLSearchParams({ environment: name }));
  const first = environment("first");
  expect(first).toEqual(jsonWebKeySet(keysOf({ ...bootstrap, environment: "first" })));
  environment("second");
  expect(environment("first")).toEqual(first);
  expect(derived).toEqual(["first", "second"]);
  for (let at = 0; at < 999; at += 1) environment(`e${at}`);
  derived.length = 0;
  environment("first");
  environment("second");
  expect(derived).toEqual(["second"]);
});

it("is only read", async () => {
  const posted = await get("", { method: "POST", body: "{}" });
  expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  const head = await get("", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});
