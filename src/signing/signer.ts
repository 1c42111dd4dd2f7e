/**
 * Signs webhooks. Every webhook, in every format, carries the three headers of Standard Webhooks 1.0 with a signature
 * per live secret, newest first; a vendor's format adds the vendor's own, by the newest secret alone, since its receivers
 * compare one value. Keys are opened once per version of a subscription and kept as KeyObjects.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import type { Subscription } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import { sameTenant } from "../kernel/tenant.ts";
import { bodySignature } from "./body-signature.ts";
import type { Keyring } from "./keyring.ts";
import { openSecret, secretBytes } from "./secrets.ts";
import { standardSignature } from "./standard-webhooks.ts";

export interface Signer {
  /**
   * The signature headers, names in lower case. `webhookId` is the delivery's id, `timestampMs` the attempt's time:
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
}

/** What the signer must know of a `Format`. */
export interface SignedFormat {
  readonly bodySignatureHeader?: string;
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
}

/** `cacheSize`: subscriptions whose keys are kept opened; the one used longest ago goes first. Default 10,000. */
export function signer(keyring: Keyring, options: { readonly cacheSize?: number } = {}): Signer {
  const { cacheSize = 10_000 } = options;
  const opened = new Map<string, OpenedKeys>();

  function keysOf(subscription: Subscription): readonly SigningKey[] {
    const known = opened.get(subscription.id);
    const isCurrent =
      known?.subscription.version === subscription.version &&
      sameTenant(known.subscription.tenant, subscription.tenant);
    const entry = isCurrent ? known : openKeys(keyring, subscription);
    // A Map keeps the order of insertion: moved to its end, the first is the one used longest ago.
    opened.delete(subscription.id);
    opened.set(subscription.id, entry);
    if (opened.size > cacheSize) {
      for (const oldest of opened.keys()) {
        opened.delete(oldest);
        break;
      }
    }
    return entry.keys;
  }

  return {
    sign(subscription, format, webhookId, timestampMs, body) {
      const keys = keysOf(subscription);
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
      const headers: Record<string, string> = {
        "webhook-id": webhookId,
        "webhook-timestamp": String(seconds),
        "webhook-signature": signatures,
      };
      if (format.bodySignatureHeader !== undefined) {
        headers[format.bodySignatureHeader] = bodySignature(newest.text, body);
      }
      return headers;
    },
  };
}

function isLive(key: SigningKey, nowMs: number): boolean {
  return key.expiresAtMs > nowMs;
}

function openKeys(keyring: Keyring, subscription: Subscription): OpenedKeys {
  const { tenant, version, secrets } = subscription;
  const keys = secrets.map((secret) => {
    const text = openSecret(keyring, subscription, secret);
    return {
      bytes: createSecretKey(secretBytes(text)),
      text: createSecretKey(Buffer.from(text, "utf8")),
      expiresAtMs: secret.expiresAtMs ?? Number.POSITIVE_INFINITY,
    };
  });
  return { subscription: { tenant, version }, keys };
}
