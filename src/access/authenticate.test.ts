import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { idSource } from "../kernel/ids.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import type { AccessStore, CertificateRecord, KeyRecord, SessionRecord } from "./access-store.ts";
import { type AuthenticatorDeps, authenticator } from "./authenticate.ts";
import { makeKey, makeSession } from "./keys.ts";

const tenant = { organisation: "acme", environment: "staging" };
const bootstrap = { text: "0123456789abcdef", organisation: "default" };

/** Keys in memory, and how often they were asked for. */
class Keys implements Pick<AccessStore, "findKey" | "findSession" | "findCertificate"> {
  readonly records = new Map<string, KeyRecord>();
  readonly certificates = new Map<string, CertificateRecord>();
  readonly sessions = new Map<string, SessionRecord>();
  lookUps = 0;
  failure: Error | undefined;

  async findKey(id: string): Promise<KeyRecord | undefined> {
    this.lookUps++;
    if (this.failure !== undefined) throw this.failure;
    return this.records.get(id);
  }

  async findSession(id: string): Promise<SessionRecord | undefined> {
    this.lookUps++;
    return this.sessions.get(id);
  }

  async findCertificate(fingerprint: string): Promise<CertificateRecord | undefined> {
    this.lookUps++;
    return this.certificates.get(fingerprint);
  }
}

function setUp(options: Partial<AuthenticatorDeps> = {}) {
  const clock = new ManualClock();
  const random = seededRandom(7);
  const store = new Keys();
  const { record, text } = makeKey(tenant, "operator", { clock, random, ids: idSource(clock, random) });
  store.records.set(record.id, record);
  const authenticate = authenticator({ store, clock, bootstrap, ...options });
  return { authenticate, clock, store, record, text };
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof CodedError ? error.code : `no error of ours: ${String(error)}`;
}

describe("authenticator", () => {
  test("the bootstrap key is an admin of its organisation's production environment", async () => {
    const { authenticate, store } = setUp();
    expect(await authenticate(`Bearer ${bootstrap.text}`)).toEqual({
      tenant: { organisation: "default", environment: "production" },
      role: "admin",
      keyId: "bootstrap",
    });
    expect(store.lookUps).toBe(0);
  });

  test("a stored key speaks for its record's tenant and role", async () => {
    const { authenticate, record, text } = setUp();
    expect(await authenticate(`bearer  ${text}`)).toEqual({ tenant, role: "operator", keyId: record.id });
  });

  test("a portal session speaks for its entity, until its end, and for no role", async () => {
    const { authenticate, clock, store } = setUp();
    const random = seededRandom(9);
    const made = makeSession(tenant, "shop", 60_000, { clock, random, ids: idSource(clock, random) });
    store.sessions.set(made.record.id, made.record);
    const { id: keyId, expiresAtMs } = made.record;
    const principal = { tenant, role: "portal", keyId, entityId: "shop", expiresAtMs };
    expect(await authenticate(`Bearer ${made.text}`)).toEqual(principal);
    // The same id and secret as a key's text, and in another environment, are another text.
    expect(await codeOf(authenticate(`Bearer ${made.text.replace("pbs_", "pb_")}`))).toBe("auth.invalid");
    expect(await codeOf(authenticate(`Bearer ${made.text.replace("staging", "production")}`))).toBe("auth.invalid");
    clock.advance(60_000);
    expect(await codeOf(authenticate(`Bearer ${made.text}`))).toBe("auth.invalid");
  });

  test.each([undefined, null, ""])("without a header (%j) the key is missing", async (header) => {
    expect(await codeOf(setUp().authenticate(header))).toBe("auth.missing");
  });

  test.each([
    "Bearer",
    "Bearer ",
    "Basic 0123456789abcdef",
    "0123456789abcdef",
    "Bearer 0123456789abcdef x",
    "Bearer 0123456789abcdeF",
    "Bearer 0123456789abcde",
    `Bearer ${"x".repeat(5_000)}`,
  ])("%j is no valid key", async (header) => {
    const { authenticate, store } = setUp();
    expect(await codeOf(authenticate(header))).toBe("auth.invalid");
    expect(store.lookUps).toBe(0);
  });

  test("without a bootstrap key in the configuration there is none", async () => {
    const { authenticate } = setUp({ bootstrap: undefined });
    expect(await codeOf(authenticate(`Bearer ${bootstrap.text}`))).toBe("auth.invalid");
  });

  test("another secret, or another environment, under a known id is refused", async () => {
    const { authenticate, text } = setUp();
    const last = text.endsWith("0") ? "1" : "0";
    expect(await codeOf(authenticate(`Bearer ${text.slice(0, -1)}${last}`))).toBe("auth.invalid");
    expect(await codeOf(authenticate(`Bearer ${text.replace("staging", "production")}`))).toBe("auth.invalid");
  });

  test("a key counts until the moment it expires, whatever the cache says", async () => {
    const { authenticate, clock, store, record, text } = setUp();
    store.records.set(record.id, { ...record, expiresAtMs: clock.now() + 500 });
    clock.advance(499);
    expect((await authenticate(`Bearer ${text}`)).keyId).toBe(record.id);
    clock.advance(1);
    expect(await codeOf(authenticate(`Bearer ${text}`))).toBe("auth.invalid");
  });

  test("a revocation counts half a second later at the latest", async () => {
    const { authenticate, clock, store, record, text } = setUp({ cacheMs: 60_000 });
    await authenticate(`Bearer ${text}`);
    store.records.set(record.id, { ...record, revokedAtMs: clock.now() });
    clock.advance(500);
    expect(await codeOf(authenticate(`Bearer ${text}`))).toBe("auth.invalid");
  });

  test("calls within half a second share one look-up, found or not", async () => {
    const { authenticate, clock, store, text } = setUp();
    await Promise.all([authenticate(`Bearer ${text}`), authenticate(`Bearer ${text}`)]);
    clock.advance(499);
    await authenticate(`Bearer ${text}`);
    expect(store.lookUps).toBe(1);
    const unknown = `Bearer pb_production_${"0".repeat(32)}_${"0".repeat(64)}`;
    expect(await codeOf(authenticate(unknown))).toBe("auth.invalid");
    expect(await codeOf(authenticate(unknown))).toBe("auth.invalid");
    expect(store.lookUps).toBe(2);
  });

  test("the cache holds no more than its size; the oldest is asked for again", async () => {
    const { authenticate, store } = setUp({ cacheSize: 2 });
    const header = (digit: string) => `Bearer pb_production_${digit.repeat(32)}_${"0".repeat(64)}`;
    for (const digit of ["1", "2", "3", "2", "3"]) await codeOf(authenticate(header(digit)));
    expect(store.lookUps).toBe(3);
    await codeOf(authenticate(header("1")));
    expect(store.lookUps).toBe(4);
  });

  test("a store that failed is asked again by the next call", async () => {
    const { authenticate, store, record, text } = setUp();
    store.failure = new CodedError("store.unavailable", "no answer");
    expect(await codeOf(authenticate(`Bearer ${text}`))).toBe("store.unavailable");
    store.failure = undefined;
    expect((await authenticate(`Bearer ${text}`)).keyId).toBe(record.id);
  });
});

describe("a client's certificate", () => {
  const bind = (store: Keys, keyId: string) =>
    store.certificates.set("aa", { fingerprint: "aa", tenant, keyId, boundAtMs: 0 });

  test("speaks for its key where the call carries nothing else", async () => {
    const { authenticate, store, record } = setUp();
    bind(store, record.id);
    expect(await authenticate(null, "", "aa")).toEqual({ tenant, role: "operator", keyId: record.id });
    expect(await codeOf(authenticate("Bearer nonsense", "", "aa"))).toBe("auth.invalid");
    expect((await authenticate(`Bearer ${bootstrap.text}`, "", "aa")).keyId).toBe("bootstrap");
    expect(await codeOf(authenticate(null, "", "bb"))).toBe("auth.invalid");
    expect(await codeOf(authenticate(null, ""))).toBe("auth.missing");
  });

  test("ends with its key, and with its binding, in half a second", async () => {
    const { authenticate, clock, store, record } = setUp();
    bind(store, record.id);
    await authenticate(null, "", "aa");
    store.records.set(record.id, { ...record, revokedAtMs: clock.now() });
    clock.advance(500);
    expect(await codeOf(authenticate(null, "", "aa"))).toBe("auth.invalid");
    store.records.set(record.id, record);
    clock.advance(500);
    expect((await authenticate(null, "", "aa")).keyId).toBe(record.id);
    store.certificates.clear();
    clock.advance(500);
    expect(await codeOf(authenticate(null, "", "aa"))).toBe("auth.invalid");
  });
});

describe("an issuer's token", () => {
  const token = "e30.e30.c2ln";

  test("is for the issuer's rules alone, and says no more than that it doesn't count", async () => {
    const principal = { tenant, role: "viewer" as const, keyId: "jwt_1" };
    const judged: string[] = [];
    const judgeToken = async (text: string) => {
      judged.push(text);
      return text === token ? principal : undefined;
    };
    const { authenticate, store, text } = setUp({ judgeToken });
    expect(await authenticate(`Bearer ${token}`)).toBe(principal);
    await expect(authenticate("Bearer e30.e30.")).rejects.toMatchObject({
      code: "auth.invalid",
      message: "authorization: the token does not count",
    });
    expect(store.lookUps).toBe(0);
    expect((await authenticate(`Bearer ${text}`)).role).toBe("operator");
    expect(judged).toEqual([token, "e30.e30."]);
  });

  test("is a key that there isn't, where the settings name no issuer", async () => {
    expect(await codeOf(setUp().authenticate(`Bearer ${token}`))).toBe("auth.invalid");
  });
});
