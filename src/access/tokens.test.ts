import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type LogFields, silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { IssuerKeys } from "./issuer-keys.ts";
import { looksLikeToken, subjectId, type TokenRules, tokenJudge } from "./tokens.ts";

const ISSUER = "https://issuer.example/";
const AUDIENCE = "https://passbus.example";
const RULES: TokenRules = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ["RS256", "ES256", "EdDSA"],
  organisationClaim: "organisation",
  environmentClaim: undefined,
  roleClaim: "role",
  roles: [],
  maxLifetimeMs: 3_600_000,
};
const CLAIMS: JWTPayload = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: "ada@example.com",
  organisation: "acme",
  role: "operator",
};

interface Pair {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
  readonly alg: string;
}

async function pair(alg: string, kid: string): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" }, alg };
}

let es: Pair;
let ed: Pair;
let rs: Pair;
let stranger: Pair;
beforeAll(async () => {
  [es, ed, rs, stranger] = await Promise.all([
    pair("ES256", "es"),
    pair("EdDSA", "ed"),
    pair("RS256", "rs"),
    pair("ES256", "es"),
  ]);
});

/** Over what a good token has; undefined takes it away. */
type Over = Readonly<Record<string, unknown>>;

const whole = (fields: Over): JWTPayload =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

class Stage {
  readonly clock = new ManualClock();
  readonly lines: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  reads = 0;
  published: readonly JWK[] = [es.jwk, ed.jwk, rs.jwk];
  down = false;
  hanging: Promise<void> | undefined;
  readonly judge;

  constructor(over: Partial<TokenRules> = {}) {
    const log = { ...silentLog, warn: (event: string, fields?: LogFields) => void this.lines.push({ event, fields }) };
    const read = async () => {
      this.reads += 1;
      await this.hanging;
      if (this.down) throw new Error("connect ECONNREFUSED");
      return { keys: [...this.published] };
    };
    const keys = new IssuerKeys({ read, clock: this.clock, log });
    this.judge = tokenJudge({ rules: { ...RULES, ...over }, find: keys.find, clock: this.clock, log });
  }

  get seconds(): number {
    return Math.floor(this.clock.now() / 1_000);
  }

  sign(claims: Over = {}, by: Pair = es, header: Over = {}): Promise<string> {
    const times = { iat: this.seconds, exp: this.seconds + 600 };
    return new SignJWT(whole({ ...CLAIMS, ...times, ...claims }))
      .setProtectedHeader({ alg: by.alg, ...whole({ kid: by.jwk.kid, ...header }) })
      .sign(by.privateKey);
  }

  reasons(): readonly unknown[] {
    return this.lines.filter(({ event }) => event === "access.token_refused").map(({ fields }) => fields?.reason);
  }
}

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("tokens that count", () => {
  test.each(["es", "ed", "rs"])("are signed by a key of the issuer's: %s", async (kid) => {
    const stage = new Stage();
    const by = [es, ed, rs].find(({ jwk }) => jwk.kid === kid) ?? es;
    expect(await stage.judge(await stage.sign({}, by))).toEqual({
      tenant: { organisation: "acme", environment: "production" },
      role: "operator",
      keyId: subjectId(ISSUER, "ada@example.com"),
      expiresAtMs: expect.any(Number),
    });
    expect(stage.reads).toBe(1);
  });

  test("hold the tenant and the role where the settings say, and the strongest of several", async () => {
    const stage = new Stage({
      organisationClaim: "https://passbus.example/org",
      environmentClaim: "realm.stage",
      roleClaim: "realm.groups",
      roles: [
        { value: "readers", role: "viewer" },
        { value: "bus admins", role: "admin" },
      ],
    });
    const claims = { "https://passbus.example/org": "globex", realm: { stage: "test", groups: ["x", "readers"] } };
    expect(await stage.judge(await stage.sign(claims))).toMatchObject({
      tenant: { organisation: "globex", environment: "test" },
      role: "viewer",
    });
    claims.realm.groups.push("bus admins");
    expect(await stage.judge(await stage.sign(claims))).toMatchObject({ role: "admin" });
    claims.realm.groups = ["admin"];
    expect(await stage.judge(await stage.sign(claims))).toBeUndefined();
  });

  test("name among others the audience; clocks may differ by 30 s", async () => {
    const stage = new Stage();
    expect(await stage.judge(await stage.sign({ aud: ["other", AUDIENCE] }))).toBeDefined();
    const ahead = { iat: stage.seconds + 29, nbf: stage.seconds + 29, exp: stage.seconds + 100 };
    expect(await stage.judge(await stage.sign(ahead))).toBeDefined();
    expect(await stage.judge(await stage.sign({ iat: stage.seconds - 99, exp: stage.seconds - 29 }))).toBeDefined();
  });

  test("are verified again after ten seconds, and never count beyond their end", async () => {
    const stage = new Stage();
    const token = await stage.sign({ exp: stage.seconds + 1 });
    const other = await stage.sign({ exp: stage.seconds + 500 });
    expect(await stage.judge(token)).toBeDefined();
    expect(await stage.judge(other)).toBeDefined();
    stage.published = [];
    stage.clock.advance(9_999);
    expect(await stage.judge(other)).toBeDefined();
    stage.clock.step(25_000);
    expect(await stage.judge(token)).toBeUndefined();
    expect(stage.reasons()).toEqual(["expired"]);
  });

  test("are told from keys by their shape", () => {
    expect(looksLikeToken("e30.e30.")).toBe(true);
    expect(looksLikeToken(`pb_production_${"0".repeat(32)}_${"0".repeat(64)}`)).toBe(false);
  });
});

describe("tokens that don't count, and what the log says of them", () => {
  const none = () => `${base64url({ alg: "none" })}.${base64url({ ...CLAIMS, iat: 0, exp: 2e9 })}.`;
  const later = (stage: Stage) => ({ nbf: stage.seconds + 31 });
  const rows: readonly (readonly [string, (stage: Stage) => Promise<string> | string, string])[] = [
    ["algorithm none", none, "algorithm not allowed"],
    ["unsigned under a good header", async (s) => `${(await s.sign()).replace(/[^.]*$/, "")}`, "signature"],
    [
      "HS256 with the public key's text",
      async (stage) => {
        const published = (await importJWK({ ...es.jwk, ext: true }, "ES256")) as CryptoKey;
        const secret = Buffer.from(await exportSPKI(published));
        return new SignJWT({ ...CLAIMS, iat: stage.seconds, exp: stage.seconds + 60 })
          .setProtectedHeader({ alg: "HS256", kid: "es" })
          .sign(secret);
      },
      "algorithm not allowed",
    ],
    [
      "an algorithm that the settings leave out",
      async (s) => s.sign({}, await pair("ES384", "es")),
      "algorithm not allowed",
    ],
    ["another's key of the same name", (stage) => stage.sign({}, stranger), "signature"],
    ["a key that the issuer hasn't", (stage) => stage.sign({}, es, { kid: "nobody's" }), "no such key"],
    [
      "a key that the token brings along",
      (s) => s.sign({}, stranger, { jwk: stranger.jwk, kid: "mine" }),
      "no such key",
    ],
    ["a changed claim", async (s) => swapped(await s.sign(), { role: "admin" }), "signature"],
    ["expired", (stage) => stage.sign({ iat: stage.seconds - 99, exp: stage.seconds - 30 }), "expired"],
    ["not valid yet", (stage) => stage.sign(later(stage)), "not valid yet"],
    ["issued in the future", (s) => s.sign({ iat: s.seconds + 31, exp: s.seconds + 99 }), "issued in the future"],
    ["without an end", (stage) => stage.sign({ exp: undefined }), "claim exp: missing"],
    ["without a beginning", (stage) => stage.sign({ iat: undefined }), "claim iat: missing"],
    ["of too long a life", (stage) => stage.sign({ exp: stage.seconds + 3_601 }), "lives too long"],
    ["another issuer's", (stage) => stage.sign({ iss: "https://issuer.example" }), "claim iss: check_failed"],
    ["for another audience", (stage) => stage.sign({ aud: "other" }), "claim aud: check_failed"],
    ["for no audience", (stage) => stage.sign({ aud: undefined }), "claim aud: missing"],
    ["of nobody", (stage) => stage.sign({ sub: "" }), "claim sub: empty"],
    ["without an organisation", (s) => s.sign({ organisation: undefined }), "claim organisation: missing, or no name"],
    [
      "of an organisation that is no name",
      (s) => s.sign({ organisation: "a b" }),
      "claim organisation: missing, or no name",
    ],
    ["of an unknown role", (stage) => stage.sign({ role: "root" }), "claim role: missing, or no role"],
    ["of a portal's role", (stage) => stage.sign({ role: "portal" }), "claim role: missing, or no role"],
    ["without a role", (stage) => stage.sign({ role: undefined }), "claim role: missing, or no role"],
    ["of another type", (stage) => stage.sign({}, es, { typ: "logout+jwt" }), "not an access token"],
    ["longer than 8 KiB", (stage) => stage.sign({ more: "x".repeat(LIMITS.tokenCharacters * 0.75) }), "too long"],
    ["no JSON", () => "e30.e.e30", "malformed"],
  ];

  test.each(rows)("%s", async (_, make, reason) => {
    const stage = new Stage();
    const token = await make(stage);
    expect(await stage.judge(token)).toBeUndefined();
    expect(stage.reasons()).toEqual([reason]);
    for (const part of [...token.split("."), "ada@example.com"].filter(({ length }) => length > 4)) {
      expect(JSON.stringify(stage.lines)).not.toContain(part);
    }
  });

  test("what a prototype holds is no claim", async () => {
    const stage = new Stage({ roleClaim: "realm.role" });
    const token = await stage.sign({ organisation: undefined, realm: { role: "viewer" } });
    const polluted = { organisation: "acme", role: "admin", realm: { role: "admin" } };
    try {
      for (const [name, value] of Object.entries(polluted)) {
        Object.defineProperty(Object.prototype, name, { value, configurable: true });
      }
      expect(await stage.judge(token)).toBeUndefined();
      expect(await stage.judge(await stage.sign({ realm: {} }))).toBeUndefined();
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  test("a flood of one reason is one line in ten seconds, which counts the others", async () => {
    const stage = new Stage();
    for (let tried = 0; tried < 5; tried += 1) await stage.judge("e30.e30.");
    stage.clock.advance(10_000);
    await stage.judge("e30.e30.");
    expect(stage.lines.map(({ fields }) => fields?.before)).toEqual([0, 4]);
  });
});

/** The same signature over other claims. */
function swapped(token: string, over: JWTPayload): string {
  const [header, payload = "", signature] = token.split(".");
  return [header, base64url({ ...JSON.parse(Buffer.from(payload, "base64url").toString()), ...over }), signature].join(
    ".",
  );
}

describe("the issuer's keys", () => {
  test("that are new are read when a token names one, once in 30 s at most", async () => {
    const stage = new Stage();
    await stage.judge(await stage.sign());
    const next = await pair("ES256", "es2");
    stage.published = [es.jwk, next.jwk];
    const token = await stage.sign({}, next);
    expect(await stage.judge(token)).toBeUndefined();
    stage.clock.advance(30_000);
    const another = await stage.sign({ sub: "grace" }, next);
    const [first, second] = await Promise.all([stage.judge(token), stage.judge(another)]);
    expect([first, second]).not.toContain(undefined);
    expect(stage.reads).toBe(2);
    for (let tried = 0; tried < 50; tried += 1) await stage.judge(await stage.sign({}, es, { kid: `no ${tried}` }));
    expect(stage.reads).toBe(2);
  });

  test.each([5 * 60_000 + 1, 59 * 60_000, 3_600_000])(
    "that were withdrawn count no more after five minutes, also where the first call comes after %d ms of silence",
    async (silenceMs) => {
      const stage = new Stage({ maxLifetimeMs: 7_200_000 });
      const token = await stage.sign({ exp: stage.seconds + 7_000 });
      expect(await stage.judge(token)).toBeDefined();
      stage.published = [ed.jwk];
      stage.clock.advance(silenceMs);
      const others = Array.from({ length: 5 }, (_, at) => stage.sign({ sub: `caller ${at}` }));
      const calls = [token, ...(await Promise.all(others))].map((each) => stage.judge(each));
      expect(new Set(await Promise.all(calls))).toEqual(new Set([undefined]));
      expect(await stage.judge(await stage.sign({}, ed))).toBeDefined();
      // One for all who waited.
      expect(stage.reads).toBe(2);
    },
  );

  test("hold up calls once while the issuer hangs, and are waited for again when half a minute has passed", async () => {
    const stage = new Stage({ maxLifetimeMs: 7_200_000 });
    const token = await stage.sign({ exp: stage.seconds + 7_000 });
    await stage.judge(token);
    stage.down = true;
    stage.clock.advance(6 * 60_000);
    expect(await stage.judge(token)).toBeDefined();
    let answer = (): void => undefined;
    stage.hanging = new Promise((resolve) => {
      answer = resolve;
    });
    stage.clock.advance(11_000);
    expect(await stage.judge(token)).toBeDefined();
    expect(stage.reads).toBe(3);
    stage.published = [ed.jwk];
    stage.clock.advance(30_000);
    const waits = stage.judge(token);
    stage.down = false;
    answer();
    expect(await waits).toBeUndefined();
    expect(stage.reads).toBe(3);
  });

  test("count for an hour while the issuer is away; then nobody can say, and the log does", async () => {
    const stage = new Stage({ maxLifetimeMs: 7_200_000 });
    const token = await stage.sign({ exp: stage.seconds + 7_000 });
    expect(await stage.judge(token)).toBeDefined();
    stage.down = true;
    stage.clock.advance(3_600_000);
    expect(await stage.judge(token)).toBeDefined();
    stage.clock.advance(10_001);
    await expect(stage.judge(token)).rejects.toThrow(CodedError);
    await expect(stage.judge(token)).rejects.toMatchObject({ code: "issuer.unavailable", kind: "unavailable" });
    // One try for the first, none for the second.
    expect(stage.reads).toBe(3);
    expect(stage.lines.at(-1)).toMatchObject({ event: "access.issuer_unreachable", fields: { keptForMs: 0 } });
    stage.down = false;
    stage.clock.advance(5_000);
    expect(await stage.judge(token)).toBeDefined();
  });

  test("that can't be read at first refuse nobody for good", async () => {
    const stage = new Stage();
    stage.down = true;
    const token = await stage.sign();
    await expect(stage.judge(token)).rejects.toMatchObject({ code: "issuer.unavailable" });
    stage.down = false;
    await expect(stage.judge(token)).rejects.toMatchObject({ code: "issuer.unavailable" });
    stage.clock.advance(5_000);
    expect(await stage.judge(token)).toBeDefined();
  });

  test("must be named by the token where there are several of a kind", async () => {
    const stage = new Stage();
    const token = await stage.sign({}, es, { kid: undefined });
    expect(await stage.judge(token)).toBeDefined();
    const another = new Stage();
    another.published = [es.jwk, stranger.jwk].map(({ kid: _, ...jwk }) => jwk);
    expect(await another.judge(token)).toBeUndefined();
    expect(another.reasons()).toEqual(["names no key, and the issuer has several"]);
  });
});
