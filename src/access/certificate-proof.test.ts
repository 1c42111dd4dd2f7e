import { constants, createPrivateKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { type Possession, proofText, requirePossession, signProof } from "./certificate-proof.ts";

const NOW_MS = 1_800_000_000_400;
const pem = (name: string) => readFileSync(new URL(`../../test/support/tls/proofs/${name}.pem`, import.meta.url));
const privateKey = (name: string) => createPrivateKey(pem(name));

/** "taken", or the field that is refused. */
function judged(name: string, possession: Partial<Possession>, keyId = "key_1"): string {
  try {
    const asked = { signature: new Uint8Array(), ...possession };
    requirePossession(new X509Certificate(pem(name)), "f1", keyId, asked, NOW_MS);
    return "taken";
  } catch (error) {
    if (error instanceof CodedError) return error.violations[0]?.field ?? error.code;
    throw error;
  }
}

const signedBy = (name: string, keyId = "key_1", signedAtMs = NOW_MS): Possession => ({
  signature: signProof(privateKey(name), keyId, signedAtMs),
  signedAtMs,
});

describe.each(["rsa", "rsa-pss", "p384", "ed25519"])("the private key of a certificate: %s", (name) => {
  test("proves itself by its signature, for five minutes", () => {
    expect(judged(name, signedBy(name))).toBe("taken");
    for (const ageMs of [300_000, -300_000])
      expect(judged(name, signedBy(name, "key_1", NOW_MS - ageMs))).toBe("taken");
    for (const ageMs of [300_001, -300_001, 86_400_000]) {
      expect(judged(name, signedBy(name, "key_1", NOW_MS - ageMs))).toBe("signed_at");
    }
  });

  test("proves nothing for another API key, another time, or when a bit was turned", () => {
    expect(judged(name, signedBy(name, "key_2"))).toBe("signature");
    const good = signedBy(name);
    expect(judged(name, good, "key_2")).toBe("signature");
    expect(judged(name, { ...good, signedAtMs: NOW_MS + 1_000 })).toBe("signature");
    for (const at of [0, good.signature.length - 1]) {
      const signature = good.signature.map((byte, index) => (index === at ? byte ^ 1 : byte));
      expect(judged(name, { ...good, signature })).toBe("signature");
    }
    expect(judged(name, { ...good, signature: good.signature.subarray(1) })).toBe("signature");
  });

  test("is not that of somebody else", () => {
    const others = ["rsa", "rsa-pss", "p384", "ed25519"].filter((other) => other !== name);
    for (const other of others) expect(judged(name, signedBy(other))).toBe("signature");
  });
});

test("a certificate without a signature proves nothing, unless the connection showed that very one", () => {
  expect(judged("rsa", {})).toBe("signature");
  expect(judged("rsa", { shown: "f2" })).toBe("signature");
  expect(judged("rsa", { shown: "f1" })).toBe("taken");
  expect(judged("rsa", { signature: signedBy("rsa").signature })).toBe("signed_at");
  expect(judged("rsa", { ...signedBy("rsa"), signedAtMs: Number.NaN })).toBe("signed_at");
});

test("another key of the same kind is not the certificate's", () => {
  const { privateKey: stranger } = generateKeyPairSync("ed25519");
  expect(judged("ed25519", { signature: signProof(stranger, "key_1", NOW_MS), signedAtMs: NOW_MS })).toBe("signature");
});

test("an RSA key may sign with PSS too, as some tools do", () => {
  const key = { key: privateKey("rsa"), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signature = sign("sha256", Buffer.from(proofText("key_1", NOW_MS)), key);
  expect(judged("rsa", { signature, signedAtMs: NOW_MS })).toBe("taken");
});

test("what is signed begins with words of its own", () => {
  expect(proofText("key_1", NOW_MS)).toBe("passbus:bind-key-certificate:v1:key_1:1800000000");
  const signature = sign(null, Buffer.from("key_1:1800000000"), privateKey("ed25519"));
  expect(judged("ed25519", { signature, signedAtMs: NOW_MS })).toBe("signature");
});

test("a kind of key that isn't listed proves nothing", () => {
  const signature = sign(null, Buffer.from(proofText("key_1", NOW_MS)), privateKey("ed448"));
  expect(judged("ed448", { signature, signedAtMs: NOW_MS })).toBe("signature");
});
