/**
 * Who has a certificate's private key, and so may say which API key it speaks for. A certificate alone proves nothing: it
 * is shown in every handshake. What is signed begins with words of its own, so that no signature made for anything else
 * (a handshake's, a document's) passes for one, and it names one API key and a time.
 */
import { constants, type KeyObject, sign, verify, type X509Certificate } from "node:crypto";
import { invalidField } from "../kernel/errors.ts";

/** How far the time of a signature may lie from now, in either direction. */
const PROOF_AGE_MS = 5 * 60_000;

/** What came with a certificate to show that its private key is in the caller's hands. */
export interface Possession {
  /** The fingerprint that the call's own TLS connection showed, which proves as much as a signature does. */
  readonly shown?: string | undefined;
  /** Empty where there is none. */
  readonly signature: Uint8Array;
  /** When it was signed; absent where nobody said. */
  readonly signedAtMs?: number | undefined;
}

/** What the private key signs. The time is in whole seconds since 1970. */
export function proofText(keyId: string, signedAtMs: number): string {
  return `passbus:bind-key-certificate:v1:${keyId}:${Math.floor(signedAtMs / 1_000)}`;
}

/**
 * A signature over `proofText`: RSA (PKCS #1 v1.5, or PSS where the key is for that alone) and ECDSA (in DER) with
 * SHA-256, or Ed25519.
 *
 * @throws Error of node:crypto where the key can't sign so.
 */
export function signProof(privateKey: KeyObject, keyId: string, signedAtMs: number): Uint8Array {
  const text = Buffer.from(proofText(keyId, signedAtMs));
  return new Uint8Array(sign(digestOf(privateKey), text, privateKey));
}

/**
 * Until when at the latest the private key was in the caller's hands, in ms: to the end of the second that was signed,
 * or for all time to come where the call's own connection shows it.
 *
 * @throws CodedError `request.invalid` where it is not shown that the caller has the certificate's private key.
 */
export function requirePossession(
  certificate: X509Certificate,
  fingerprint: string,
  keyId: string,
  possession: Possession,
  nowMs: number,
): number {
  const { shown, signature, signedAtMs } = possession;
  if (shown === fingerprint) return Number.MAX_SAFE_INTEGER;
  const told = `"${proofText(keyId, nowMs).replace(/\d+$/, "<unix seconds of signed_at>")}"`;
  if (signature.length === 0) {
    const right = `make the call over a TLS connection that shows it, or sign ${told} with the private key`;
    const means = "`passbus keys bind --private-key` does";
    throw invalidField("signature", `is required: a certificate alone proves nothing; ${right} (${means})`);
  }
  if (signedAtMs === undefined) throw invalidField("signed_at", "is required: it is part of what is signed");
  if (!(Math.abs(nowMs - signedAtMs) <= PROOF_AGE_MS)) {
    throw invalidField("signed_at", `must be within ${PROOF_AGE_MS / 60_000} minutes of now, by this server's clock`);
  }
  if (!isSigned(certificate.publicKey, Buffer.from(proofText(keyId, signedAtMs)), signature)) {
    throw invalidField("signature", `must be made over ${told} with the private key of this certificate`);
  }
  return Math.floor(signedAtMs / 1_000) * 1_000 + 999;
}

function isSigned(key: KeyObject, text: Buffer, signature: Uint8Array): boolean {
  const digest = digestOf(key);
  switch (key.asymmetricKeyType) {
    case "rsa":
      return verifies(digest, text, key, signature) || verifies(digest, text, pss(key), signature);
    case "rsa-pss":
    case "ec":
    case "ed25519":
      return verifies(digest, text, key, signature);
    default:
      return false;
  }
}

const pss = (key: KeyObject) => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_AUTO,
});

/** Ed25519 has its own digest. */
function digestOf({ asymmetricKeyType }: KeyObject): "sha256" | null {
  return asymmetricKeyType === "ed25519" ? null : "sha256";
}

/** A signature that does not parse, or a key for other digests, is one that doesn't verify. */
function verifies(digest: "sha256" | null, text: Buffer, key: Parameters<typeof verify>[2], signature: Uint8Array) {
  try {
    return verify(digest, text, key, signature);
  } catch {
    return false;
  }
}
