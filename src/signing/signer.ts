/**
 * Signs webhooks. Every webhook, in every format, carries the three headers of Standard Webhooks 1.0 with a signature
 * per live secret, newest first, and after them one per ed25519 key where the subscription has such; a vendor's format
 * adds the vendor's own, by the newest secret alone, since its receivers compare one value, or the static
 * `authorization` that the subscriber stored. Keys are opened once per version of a subscription and kept as KeyObjects.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import type { Subscription } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import { sameTenant } from "../kernel/tenant.ts";
import { bodySignature } from "./body-signature.ts";
import { type ConnectionTlsOf, connectionTls } from "./connection-tls.ts";
import { type Ed25519Key, ed25519Signature } from "./ed25519.ts";
import type { Keyring } from "./keyring.ts";
import { openAuthorization, openSecret, secretBytes } from "./secrets.ts";
import { standardSignature } from "./standard-webhooks.ts";

export interface Signer {
  /**
   * The signature headers and `authorization`, names in lower case. `webhookId` is the delivery's id, `timestampMs` the attempt's time:
   * secrets that have expired by then don't sign.
   * @throws CodedError of the keyring, or `internal` where no secret is live.
   */
  sign(
    subscription: Subscription,
    format: SignedFormat,
    webhookId: string,
    timestampMs: number,
    body: Uint8Array,
  ): Record<string, string>;
  /** What the subscription's connections trust and show. @throws CodedError of the keyring. */
  readonly tlsOf: ConnectionTlsOf;
}

/** What the signer must know of a `Format`. */
export interface SignedFormat {
  readonly bodySignatureHeader?: string;
  readonly sendsAuthorization?: true;
}

interface SigningKey {
  /** From the decoded bytes: Standard Webhooks. */
  readonly bytes: KeyObject;
  /** From the text as the subscriber sees it: the vendors. */
  readonly text: KeyObject;
  readonly expiresAtMs: number;
}

interface OpenedKeys {
  readonly subscription: Pick<Subscription, "tenant" | "version">;
  readonly keys: readonly SigningKey[];
  readonly ed25519Keys: readonly Ed25519Key[];
  readonly authorization?: string;
}

export interface SignerOptions {
  /** Subscriptions whose keys are kept opened; the one used longest ago goes first. Default 10,000. */
  readonly cacheSize?: number;
  /** Asked once per version of a subscription; each key adds a `v1a` signature. Default: none. */
  readonly ed25519Keys?: (subscription: Subscription) => readonly Ed25519Key[];
}

export function signer(keyring: Keyring, options: SignerOptions = {}): Signer {
  const { cacheSize = 10_000, ed25519Keys = () => [] } = options;
  const opened = new Map<string, OpenedKeys>();

  function keysOf(subscription: Subscription): OpenedKeys {
    const known = opened.get(subscription.id);
    const isCurrent =
      known?.subscription.version === subscription.version &&
      sameTenant(known.subscription.tenant, subscription.tenant);
    const entry = isCurrent ? known : openKeys(keyring, subscription, ed25519Keys(subscription));
    // A Map keeps the order of insertion: moved to its end, the first is the one used longest ago.
    opened.delete(subscription.id);
    opened.set(subscription.id, entry);
    if (opened.size > cacheSize) {
      for (const oldest of opened.keys()) {
        opened.delete(oldest);
        break;
      }
    }
    return entry;
  }

  return {
    tlsOf: connectionTls(keyring),
    sign(subscription, format, webhookId, timestampMs, body) {
      const { keys, ed25519Keys, authorization } = keysOf(subscription);
      const newest = keys.find((key) => isLive(key, timestampMs));
      if (newest === undefined) {
        throw new CodedError("internal", `subscription ${subscription.id} has no live secret`);
      }
      const seconds = Math.floor(timestampMs / 1_000);
      let signatures = "";
      for (const key of keys) {
        if (!isLive(key, timestampMs)) continue;
        const signature = standardSignature(key.bytes, webhookId, seconds, body);
        signatures += signatures === "" ? signature : ` ${signature}`;
      }
      for (const key of ed25519Keys) signatures += ` ${ed25519Signature(key, webhookId, seconds, body)}`;
      const headers: Record<string, string> = {
        "webhook-id": webhookId,
        "webhook-timestamp": String(seconds),
        "webhook-signature": signatures,
      };
      if (format.bodySignatureHeader !== undefined) {
        headers[format.bodySignatureHeader] = bodySignature(newest.text, body);
      }
      if (format.sendsAuthorization === true && authorization !== undefined) headers.authorization = authorization;
      return headers;
    },
  };
}

function isLive(key: SigningKey, nowMs: number): boolean {
  return key.expiresAtMs > nowMs;
}

function openKeys(keyring: Keyring, subscription: Subscription, ed25519Keys: readonly Ed25519Key[]): OpenedKeys {
  const { tenant, version, secrets } = subscription;
  const { sealedEthpassAuthorization: sealed } = subscription.formatOptions;
  const keys = secrets.map((secret) => {
    const text = openSecret(keyring, subscription, secret);
    return {
      bytes: createSecretKey(secretBytes(text)),
      text: createSecretKey(Buffer.from(text, "utf8")),
      expiresAtMs: secret.expiresAtMs ?? Number.POSITIVE_INFINITY,
    };
  });
  const authorization = sealed === undefined ? {} : { authorization: openAuthorization(keyring, subscription, sealed) };
  return { subscription: { tenant, version }, keys, ed25519Keys, ...authorization };
}
