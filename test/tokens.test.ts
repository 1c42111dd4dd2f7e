/** Calls that carry an issuer's token, with an issuer that is a real HTTP server: what counts, and what is forged. */
import { Code, createClient } from "@connectrpc/connect";
import { exportSPKI, importJWK, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AccessService } from "../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../gen/passbus/v1/event_service_pb.js";
import { authenticator } from "../src/access/authenticate.ts";
import { IssuerKeys } from "../src/access/issuer-keys.ts";
import { subjectId, tokenJudge } from "../src/access/tokens.ts";
import { issuerAt } from "../src/adapters/http/issuer.ts";
import { composeAccess } from "../src/compose/access.ts";
import { readConfig } from "../src/config/config.ts";
import { systemClock } from "../src/kernel/clock.ts";
import { type LogFields, silentLog } from "../src/kernel/log.ts";
import { ManualClock } from "../src/kernel/manual-clock.ts";
import { type TestApi, testApi } from "./support/api.ts";
import { embeddedStore } from "./support/embedded-store.ts";
import { failureOf, grpcWithKey } from "./support/grpc.ts";
import { type IssuerKey, issuerKey, TestIssuer } from "./support/issuer.ts";
import { eventually, within } from "./support/within.ts";

const AUDIENCE = "https://passbus.example";
const CLAIMS = { aud: AUDIENCE, sub: "ada@example.com", tenant: { name: "acme", stage: "test" }, groups: ["bus-ops"] };

let issuer: TestIssuer;
let key: IssuerKey;
beforeAll(async () => {
  issuer = await TestIssuer.start();
  key = await issuerKey("ES256", "one");
  issuer.published.push(key.jwk);
});
afterAll(() => issuer[Symbol.asyncDispose]());

const settings = (over: Readonly<Record<string, string>> = {}) =>
  readConfig({
    PASSBUS_JWT_ISSUER: issuer.url,
    PASSBUS_JWT_AUDIENCE: AUDIENCE,
    PASSBUS_JWT_ORGANISATION_CLAIM: "tenant.name",
    PASSBUS_JWT_ENVIRONMENT_CLAIM: "tenant.stage",
    PASSBUS_JWT_ROLE_CLAIM: "groups",
    PASSBUS_JWT_ROLES: "bus-admins=admin,bus-ops=operator",
    ...over,
  });

describe("as the settings say", () => {
  let api: TestApi;
  let access: ReturnType<typeof composeAccess>;
  const lines: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  beforeAll(async () => {
    const note = (event: string, fields?: LogFields) => void lines.push({ event, fields });
    access = composeAccess(settings(), embeddedStore().access, { ...silentLog, warn: note, error: note });
    api = await testApi(access);
  });
  afterAll(async () => {
    await api.stop(0);
    await access.stop();
  });

  const accessWith = (token: string) => createClient(AccessService, grpcWithKey(api.url, token));
  const signed = (claims: Readonly<Record<string, unknown>> = {}, by = key) =>
    issuer.sign(by, { ...CLAIMS, ...claims }, systemClock.now());

  test("a token has the rights of its role, in its organisation and environment", async () => {
    const operator = accessWith(await signed());
    await operator.createPortalSession({ entityId: "shop" });
    const limits = { limits: { entitySubscriptions: 3 } };
    expect((await failureOf(operator.setLimits(limits))).code).toBe(Code.PermissionDenied);
    await accessWith(await signed({ tenant: { name: "acme", stage: "production" } })).setLimits(limits);
    expect((await failureOf(operator.listKeys({}))).code).toBe(Code.PermissionDenied);
    const admin = accessWith(await signed({ groups: ["bus-ops", "bus-admins"] }));
    const { key: made } = await admin.createKey({ key: { role: 5 } });
    expect(made?.environment).toBe("test");
    const elsewhere = accessWith(await signed({ groups: ["bus-admins"], tenant: { name: "acme", stage: "staging" } }));
    expect((await elsewhere.listKeys({})).keys).toEqual([]);
  });

  test("who it was stands in the audit log, without a name", async () => {
    const admin = accessWith(await signed({ groups: ["bus-admins"] }));
    const { session } = await admin.createPortalSession({ entityId: "shop" });
    const { records } = await admin.listAuditRecords({ target: session?.id ?? "" });
    expect(records.map(({ actor }) => actor)).toEqual([subjectId(issuer.url, "ada@example.com")]);
    expect(JSON.stringify(records, (_, value) => (typeof value === "bigint" ? Number(value) : value))).not.toContain(
      "ada",
    );
  });

  test("what is forged, stale or somebody else's is refused in the same words, whatever is wrong with it", async () => {
    const now = Math.floor(systemClock.now() / 1_000);
    const stranger = await issuerKey("ES256", "one");
    const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const good = { iss: issuer.url, ...CLAIMS, groups: ["bus-admins"], iat: now, exp: now + 60 };
    const published = await importJWK({ ...key.jwk, ext: true }, "ES256");
    if (published instanceof Uint8Array) throw new Error("a key of no pair");
    const spki = Buffer.from(await exportSPKI(published));
    const forged = [
      `${base64url({ alg: "none", kid: "one" })}.${base64url(good)}.`,
      await new SignJWT(good).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(spki),
      await signed(good, stranger),
      await signed(good, { ...stranger, jwk: { ...stranger.jwk, kid: "two" } }),
      await signed({ ...good, iat: now - 600, exp: now - 60 }),
      await signed({ ...good, nbf: now + 600 }),
      await signed({ ...good, aud: "https://other.example" }),
      await signed({ ...good, iss: "https://other.example" }),
      await signed({ ...good, tenant: {} }),
      await signed({ ...good, groups: ["strangers"] }),
      await signed({ ...good, exp: now + 25 * 3_600 }),
      await signed({ ...good, more: "x".repeat(7_000) }),
    ];
    const errors = [];
    for (const token of forged) errors.push(await failureOf(accessWith(token).getLimits({})));
    // The first ten are answered at once, then each a little later: none so often that it is told to wait.
    expect(errors.map(({ code }) => code)).toEqual(forged.map(() => Code.Unauthenticated));
    expect(new Set(errors.map(({ rawMessage }) => rawMessage))).toEqual(
      new Set(["authorization: the token does not count"]),
    );
    const reasons = lines.filter(({ event }) => event === "access.token_refused").map(({ fields }) => fields?.reason);
    expect(new Set(reasons)).toEqual(
      new Set([
        "algorithm not allowed",
        "signature",
        "no such key",
        "expired",
        "not valid yet",
        "claim aud: check_failed",
        "claim iss: check_failed",
        "claim tenant.name: missing, or no name",
        "claim groups: missing, or no role",
        "lives too long",
        "too long",
      ]),
    );
    const said = JSON.stringify(lines);
    for (const token of forged) for (const part of token.split(".")) if (part !== "") expect(said).not.toContain(part);
    expect(said).not.toContain("ada@example.com");
  });
});

describe("while the issuer changes", { timeout: 90_000 }, () => {
  const clock = new ManualClock(systemClock.now());
  const at = () => issuerAt({ issuer: issuer.url, jwksUrl: undefined });

  function started(lines: string[] = []) {
    const source = at();
    const log = { ...silentLog, warn: (event: string) => void lines.push(event) };
    const keys = new IssuerKeys({ read: source.read, clock, log });
    const rules = {
      issuer: issuer.url,
      audience: AUDIENCE,
      algorithms: ["ES256"],
      organisationClaim: "tenant.name",
      environmentClaim: undefined,
      roleClaim: "role",
      roles: [],
      maxLifetimeMs: 86_400_000,
    };
    const judgeToken = tokenJudge({ rules, find: keys.find, clock, log });
    const authenticate = authenticator({ store: embeddedStore().access, clock: systemClock, judgeToken });
    return { authenticate, close: () => source.close() };
  }

  const signed = (by: IssuerKey, claims: Readonly<Record<string, unknown>> = {}) =>
    issuer.sign(by, { ...CLAIMS, role: "viewer", ...claims }, clock.now());

  test("a new key is picked up, and a stream ends with its token", async () => {
    const { authenticate, close } = started();
    await using api = await testApi({ authenticate });
    const limits = async (token: string) => createClient(AccessService, grpcWithKey(api.url, token)).getLimits({});
    await limits(await signed(key));
    const next = await issuerKey("ES256", "next");
    issuer.published.splice(0, 1, next.jwk);
    clock.advance(30_000);
    await limits(await signed(next));
    expect((await failureOf(limits(await signed(key, { sub: "grace" })))).code).toBe(Code.Unauthenticated);

    const tail = createClient(EventService, grpcWithKey(api.url, await signed(next))).tailEvents({});
    const readOn = async () => {
      for await (const { event } of tail) expect(event).toBeUndefined();
    };
    const over = failureOf(readOn());
    clock.advance(700_000);
    expect((await within(30_000, "the end of the stream", over)).code).toBe(Code.Unauthenticated);
    issuer.published.splice(0, 1, key.jwk);
    await close();
  });

  test("an issuer that is away is told as UNAVAILABLE once its keys are an hour old, and the log says so", async () => {
    const lines: string[] = [];
    const { authenticate, close } = started(lines);
    await using api = await testApi({ authenticate });
    const limits = async (token: string) => createClient(AccessService, grpcWithKey(api.url, token)).getLimits({});
    const token = await signed(key, { exp: Math.floor(clock.now() / 1_000) + 20_000 });
    await limits(token);
    issuer.instead = (_, response) => {
      response.statusCode = 503;
      response.end();
      return true;
    };
    clock.advance(3_600_000);
    await limits(token);
    await eventually(30_000, "the log's line", () => (lines.includes("access.issuer_unreachable") ? true : undefined));
    clock.advance(20_000);
    const away = await failureOf(limits(token));
    expect([away.code, away.rawMessage]).toEqual([
      Code.Unavailable,
      "The issuer of tokens does not answer, so that nobody can say whether a token counts; try again later.",
    ]);
    issuer.instead = () => false;
    clock.advance(5_000);
    await limits(token);
    await close();
  });
});
