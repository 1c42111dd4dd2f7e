/**
 * The asymmetric signature of Standard Webhooks 1.0 ("Signature scheme"): ed25519 over `id.timestamp.body`, written
 * `v1a,<base64>`. A receiver verifies it with a public key and holds no secret. docs/decisions/signing.md.
 *
 * A deployment has one or more seeds, newest first; each organisation and environment has a key pair of its own for each
 * of them, derived, so that nothing has to be stored. A key pair that customers shared would let one of them pass its
 * webhooks off as another's.
 *
 * Rotation: put a new seed first, and both sign and are published; take the old one away when receivers have read the
 * new key.
 */
import { createPrivateKey, createPublicKey, hash, hkdfSync, type KeyObject, sign } from "node:crypto";
import { CodedError } from "../kernel/errors.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { parseKeys } from "./keyring.ts";

export interface Ed25519Key {
  /** RFC 7638: the thumbprint of the public key. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** The 32 bytes of RFC 8032 in base64url. */
  readonly publicKey: string;
}

/** The key pairs of an organisation's environment, newest first. */
export type Ed25519Keys = (tenant: Tenant) => readonly Ed25519Key[];

/** RFC 7517, with the members that RFC 8037 gives an Ed25519 key. */
export interface JsonWebKeySet {
  readonly keys: readonly {
    readonly kty: "OKP";
    readonly crv: "Ed25519";
    readonly x: string;
    readonly kid: string;
    readonly use: "sig";
    readonly alg: "EdDSA";
  }[];
}

/** Each costs a signature a webhook and 93 bytes of a header. */
const MAX_SEEDS = 4;
const KEY_BYTES = 32;
/** PKCS #8 (RFC 8410 §7) round the 32 bytes of an Ed25519 private key. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * `seeds` as a setting has them: `id:base64` of 32 bytes, comma-separated, newest first. The ids only tell them apart.
 * @throws CodedError `config.invalid`. No seed is in its message.
 */
export function ed25519KeysFrom(seeds: string): Ed25519Keys {
  const parsed = parseKeys(seeds);
  if (parsed.length > MAX_SEEDS) throw new CodedError("config.invalid", `at most ${MAX_SEEDS} signing seeds are used`);
  return ({ organisation, environment }) =>
    parsed.map(([, seed]) => {
      // RFC 5869. Neither name holds a slash.
      const info = `passbus v1a/${organisation}/${environment}`;
      return ed25519Key(new Uint8Array(hkdfSync("sha256", seed, "", info, KEY_BYTES)));
    });
}

/** The key pair of 32 bytes of an Ed25519 private key (RFC 8032 §5.1.5): what Standard Webhooks writes as `whsk_…`. */
export function ed25519Key(bytes: Uint8Array): Ed25519Key {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, bytes]), format: "der", type: "pkcs8" });
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  if (x === undefined) throw new CodedError("internal", "an Ed25519 key without a public part");
  // RFC 7638 §3.2 and RFC 8037 §2: these members, in this order.
  const kid = hash("sha256", JSON.stringify({ crv: "Ed25519", kty: "OKP", x }), "base64url");
  return { kid, privateKey, publicKey: x };
}

/** One signature, as it stands in `webhook-signature`. */
export function ed25519Signature(
  key: Ed25519Key,
  webhookId: string,
  timestampSeconds: number,
  body: Uint8Array,
): string {
  const signed = Buffer.concat([Buffer.from(`${webhookId}.${timestampSeconds}.`), body]);
  return `v1a,${sign(null, signed, key.privateKey).toString("base64")}`;
}

/** As Standard Webhooks shows a public key to receivers: `whpk_` and base64. */
export function publicKeyText({ publicKey }: Ed25519Key): string {
  return `whpk_${Buffer.from(publicKey, "base64url").toString("base64")}`;
}

/** What `/.well-known/jwks.json` answers. */
export function jsonWebKeySet(keys: readonly Ed25519Key[]): JsonWebKeySet {
  return {
    keys: keys.map(({ kid, publicKey }) => ({
      kty: "OKP",
      crv: "Ed25519",
      x: publicKey,
      kid,
      use: "sig",
      alg: "EdDSA",
    })),
  };
}
