/**
 * Checks a webhook as a subscriber would: by what arrived and the secret that creating the subscription returned, with
 * nothing of passbus's own signing code.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { Webhook } from "standardwebhooks";

/** One webhook as it came over the wire. */
export interface ArrivedWebhook {
  readonly method: string;
  readonly path: string;
  /** Names in lower case, in the order in which they came. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** How an endpoint's webhooks can be checked. */
export interface SigningTerms {
  /** `whsec_…`, as CreateSubscription returned it. */
  readonly secret: string;
  /** The vendor's own header beside those of Standard Webhooks, where the subscription's format has one. */
  readonly bodySignatureHeader?: string;
}

export type Verdict =
  /** The headers whose signatures fit. */
  { readonly ok: true; readonly checked: readonly string[] } | { readonly ok: false; readonly reason: string };

/** Every signature that the format promises must be there and fit. */
export function verifyWebhook(webhook: ArrivedWebhook, terms: SigningTerms): Verdict {
  const { headers, body } = webhook;
  try {
    // Also refuses a timestamp that is more than five minutes off (Standard Webhooks 1.0, "Verifying").
    new Webhook(terms.secret).verify(body, headers, { jsonParse: false });
  } catch (error) {
    return { ok: false, reason: `webhook-signature: ${error instanceof Error ? error.message : String(error)}` };
  }
  const vendor = terms.bodySignatureHeader;
  if (vendor === undefined) return { ok: true, checked: ["webhook-signature"] };
  const given = headers[vendor];
  if (given === undefined) return { ok: false, reason: `${vendor} is missing` };
  if (!isBodySignature(given, body, terms.secret)) return { ok: false, reason: `${vendor} does not fit the body` };
  return { ok: true, checked: ["webhook-signature", vendor] };
}

/** Hex HMAC-SHA256 of the body, keyed with the secret's whole text (docs/decisions/signing.md). */
function isBodySignature(given: string, body: Buffer, secret: string): boolean {
  const right = createHmac("sha256", secret).update(body).digest("hex");
  return given.length === right.length && timingSafeEqual(Buffer.from(given), Buffer.from(right));
}
