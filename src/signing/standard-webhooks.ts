import { createHmac, type KeyObject } from "node:crypto";

/**
 * One signature of Standard Webhooks 1.0, "Signature scheme": HMAC-SHA256 over `id.timestamp.body`.
 * createHmac with a KeyObject that is kept takes 3.5 µs for 1.2 KB; two `crypto.hash` with pads made once 3.1 µs, which
 * does not pay for a hand-made HMAC (docs/decisions/signing.md).
 */
export function standardSignature(
  key: KeyObject,
  webhookId: string,
  timestampSeconds: number,
  body: Uint8Array,
): string {
  const mac = createHmac("sha256", key).update(`${webhookId}.${timestampSeconds}.`).update(body);
  return `v1,${mac.digest("base64")}`;
}
