/** Verified with Node's crypto from what is published, never with ours: neither npm library knows v1a. */
import { createHash, createPublicKey, type JsonWebKey, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../kernel/random.ts";
import { ed25519Key, ed25519KeysFrom, ed25519Signature, jsonWebKeySet, publicKeyText } from "./ed25519.ts";
import { makeEncryptionKey } from "./keyring.ts";

const random = seededRandom(5);
const older = makeEncryptionKey("2025", random);
const newer = makeEncryptionKey("2026", random);
const acme = { organisation: "acme", environment: "production" };
const id = "dlv_0123456789abcdefghijkl";
const body = Buffer.from('{"name":"Grüße & 😀"}');

/** As a receiver does it, who has the text of the key set and of the headers. */
function verifies(published: string, signature: string, signedBody: Buffer = body, seconds = 1_700_000_000): boolean {
  const { keys } = JSON.parse(published) as { keys: JsonWebKey[] };
  const [version, encoded = ""] = signature.split(",");
  expect(version).toBe("v1a");
  const signed = Buffer.concat([Buffer.from(`${id}.${seconds}.`), signedBody]);
  return keys.some((jwk) =>
    verify(null, signed, createPublicKey({ key: jwk, format: "jwk" }), Buffer.from(encoded, "base64")),
  );
}

const published = (keys: Parameters<typeof jsonWebKeySet>[0]) => JSON.stringify(jsonWebKeySet(keys));

describe("an ed25519 signature", () => {
  it("is the one that the Go library of Standard Webhooks makes (webhook_asymmetric_test.go)", () => {
    const key = ed25519Key(Buffer.from("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=", "base64"));
    const payload = Buffer.from('{"test": 2432232314}');
    expect(ed25519Signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, payload)).toBe(
      "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
    );
  });

  it("verifies from the published text, and not with another body, time or key", () => {
    const [key] = ed25519KeysFrom(newer)(acme);
    if (key === undefined) throw new Error("no key");
    const signature = ed25519Signature(key, id, 1_700_000_000, body);
    expect(verifies(published([key]), signature)).toBe(true);
    expect(verifies(published([key]), signature, Buffer.from("{}"))).toBe(false);
    expect(verifies(published([key]), signature, body, 1_700_000_001)).toBe(false);
    expect(verifies(published(ed25519KeysFrom(older)(acme)), signature)).toBe(false);
  });
});

describe("the key set", () => {
  it("publishes no more than a receiver needs, named by its thumbprint", () => {
    const keys = ed25519KeysFrom(newer)(acme);
    const set = jsonWebKeySet(keys);
    expect(set.keys).toHaveLength(1);
    const [jwk] = set.keys;
    expect(Object.keys(jwk ?? {})).toEqual(["kty", "crv", "x", "kid", "use", "alg"]);
    const thumbprint = createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${jwk?.x}"}`);
    expect(jwk?.kid).toBe(thumbprint.digest("base64url"));
    expect(JSON.stringify(set)).not.toContain(newer.slice(5, 20));
  });

  it("has RFC 8037's thumbprint and public key for RFC 8037's key (appendix A)", () => {
    const key = ed25519Key(Buffer.from("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "base64url"));
    expect(key.publicKey).toBe("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    expect(key.kid).toBe("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    expect(publicKeyText(key)).toBe("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  });

  it("is the same after a restart, and another for each organisation and environment", () => {
    const kids = (seeds: string, tenant = acme) => ed25519KeysFrom(seeds)(tenant).map(({ kid }) => kid);
    expect(kids(newer)).toEqual(kids(newer));
    const all = [acme, { ...acme, environment: "test" }, { ...acme, organisation: "other" }];
    expect(new Set(all.flatMap((tenant) => kids(newer, tenant))).size).toBe(3);
  });

  it("holds old and new while the seed is rotated, newest first", () => {
    const [before] = ed25519KeysFrom(older)(acme);
    const during = ed25519KeysFrom(`${newer},${older}`)(acme);
    const [after] = ed25519KeysFrom(newer)(acme);
    expect(during.map(({ kid }) => kid)).toEqual([after?.kid, before?.kid]);
    if (before === undefined) throw new Error("no key");
    expect(verifies(published(during), ed25519Signature(before, id, 1_700_000_000, body))).toBe(true);
  });

  it("is refused without a seed, with a wrong one, and with too many", () => {
    const many = Array.from({ length: 5 }, (_, at) => makeEncryptionKey(`k${at}`, random)).join(",");
    for (const seeds of ["", "k1", "k1:AAAA", many]) {
      expect(() => ed25519KeysFrom(seeds)).toThrow(expect.objectContaining({ code: "config.invalid" }));
    }
  });
});
