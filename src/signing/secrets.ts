import type { SealedSecret, Subscription } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Random } from "../kernel/random.ts";
import type { Keyring } from "./keyring.ts";

const PREFIX = "whsec_";

/** Standard Webhooks 1.0, "Signature scheme": between 24 bytes and 64 bytes. */
const MIN_BYTES = 24;
const MAX_BYTES = 64;
const MADE_BYTES = 32;

/** Whose secret it is. Sealed with it: a secret copied into another row, or another tenant's, does not open there. */
export type SecretOwner = Pick<Subscription, "tenant" | "id">;

/** A new signing secret: `whsec_` and the base64 of 32 random bytes. */
export function makeSecret(random: Random): string {
  return PREFIX + Buffer.from(random.bytes(MADE_BYTES)).toString("base64");
}

/**
 * The bytes that Standard Webhooks signs with.
 * @throws CodedError `request.invalid` where the text is not `whsec_` and base64 of 24 to 64 bytes. The text is not in it.
 */
export function secretBytes(text: string): Buffer {
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, "base64");
  // Node skips what is not base64; only what comes back the same was base64 throughout.
  const isBase64 = bytes.toString("base64").replace(/=+$/, "") === encoded.replace(/={1,2}$/, "");
  const isLong = bytes.length >= MIN_BYTES && bytes.length <= MAX_BYTES;
  if (!text.startsWith(PREFIX) || !isBase64 || !isLong) {
    throw new CodedError(
      "request.invalid",
      `a signing secret must be ${PREFIX} and the base64 of ${MIN_BYTES} to ${MAX_BYTES} bytes`,
    );
  }
  return bytes;
}

/** Encrypts a secret for the store. */
export function sealSecret(keyring: Keyring, owner: SecretOwner, secretId: string, text: string): string {
  return keyring.seal(text, associatedData(owner, secretId));
}

/** @throws CodedError as `Keyring.open` does. */
export function openSecret(keyring: Keyring, owner: SecretOwner, secret: SealedSecret): string {
  return keyring.open(secret.sealed, associatedData(owner, secret.id));
}

/** Encrypts the static `authorization` that a subscription sends, for the store. */
export function sealAuthorization(keyring: Keyring, owner: SecretOwner, text: string): string {
  return keyring.seal(text, authorizationData(owner));
}

/** @throws CodedError as `Keyring.open` does. */
export function openAuthorization(keyring: Keyring, owner: SecretOwner, sealed: string): string {
  return keyring.open(sealed, authorizationData(owner));
}

/** Encrypts the private key of the certificate that a subscription's connections show, for the store. */
export function sealClientKey(keyring: Keyring, owner: SecretOwner, text: string): string {
  return keyring.seal(text, clientKeyData(owner));
}

/** @throws CodedError as `Keyring.open` does. */
export function openClientKey(keyring: Keyring, owner: SecretOwner, sealed: string): string {
  return keyring.open(sealed, clientKeyData(owner));
}

function clientKeyData({ tenant, id }: SecretOwner): string {
  return `client-key/${tenant.organisation}/${tenant.environment}/${id}`;
}

function authorizationData({ tenant, id }: SecretOwner): string {
  return `authorization/${tenant.organisation}/${tenant.environment}/${id}`;
}

/** None of the parts may hold a slash, except the last two, which passbus makes itself. */
function associatedData(owner: SecretOwner, secretId: string): string {
  const { organisation, environment } = owner.tenant;
  return `secret/${organisation}/${environment}/${owner.id}/${secretId}`;
}
