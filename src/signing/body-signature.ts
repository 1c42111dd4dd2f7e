import { createHmac, type KeyObject } from "node:crypto";

/** The vendors' signature: HMAC-SHA256 over the body alone, in lower-case hex. docs/decisions/signing.md. */
export function bodySignature(key: KeyObject, body: Uint8Array): string {
  return createHmac("sha256", key).update(body).digest("hex");
}
