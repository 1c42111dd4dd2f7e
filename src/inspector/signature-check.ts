/**
 * Holds the signatures of a request that arrived in a bin against the secrets of the subscription that points there, as
 * its receiver would: each signature header by itself, and why it is so.
 */
import { createPublicKey, createSecretKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { liveSecrets, type Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { bodySignature } from "../signing/body-signature.ts";
import type { Ed25519Keys } from "../signing/ed25519.ts";
import type { Keyring } from "../signing/keyring.ts";
import { openAuthorization, openSecret, secretBytes } from "../signing/secrets.ts";
import { standardSignature } from "../signing/standard-webhooks.ts";

export type Verdict = "valid" | "invalid" | "unknown";

export interface SignatureCheck {
  /** In lower case. */
  readonly header: string;
  readonly scheme: "v1" | "v1a" | "passkit" | "passentry" | "ethpass";
  readonly verdict: Verdict;
  /** For people. */
  readonly reason: string;
  /** Empty where no subscription points to the bin. */
  readonly subscriptionId: string;
}

export interface Judged {
  /** Invalid where a check is, else valid where one is. */
  readonly verdict: Verdict;
  readonly reason: string;
  readonly checks: readonly SignatureCheck[];
}

export interface SignedRequest {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface JudgeDeps {
  readonly keyring: Keyring;
  readonly ed25519Keys: Ed25519Keys;
}

/** Standard Webhooks' libraries refuse what is older, or newer. */
const TOLERANCE_S = 300;

/** Of subscriptions that point to one bin, so many are tried. */
const TRIED = 5;

/** @param pointing the subscriptions whose URL is the bin's. */
export function judgeSignatures(
  deps: JudgeDeps,
  request: SignedRequest,
  pointing: readonly Subscription[],
  nowMs: number,
): Judged {
  if (pointing.length === 0) {
    return { verdict: "unknown", reason: "no subscription of this organisation points to this bin", checks: [] };
  }
  const judged = pointing.slice(0, TRIED).map((subscription) => judgeBy(deps, request, subscription, nowMs));
  // Several may point here; the one that sent it is the one whose secrets fit.
  return judged.toSorted((one, other) => rank(one) - rank(other))[0] ?? judgeNothing();
}

function rank({ verdict }: Judged): number {
  return ["valid", "invalid", "unknown"].indexOf(verdict);
}

function judgeNothing(): Judged {
  return { verdict: "unknown", reason: "it has no signature header", checks: [] };
}

function judgeBy(deps: JudgeDeps, request: SignedRequest, subscription: Subscription, nowMs: number): Judged {
  const secrets = liveSecrets(subscription, nowMs).map((secret) => openSecret(deps.keyring, subscription, secret));
  const checks = [
    ...standardChecks(deps, request, subscription, secrets, nowMs),
    ...bodyChecks(request, subscription, secrets),
    ...authorizationChecks(deps, request, subscription),
  ];
  const wrong = checks.find(({ verdict }) => verdict === "invalid");
  if (wrong !== undefined) return { verdict: "invalid", reason: `${wrong.header}: ${wrong.reason}`, checks };
  const right = checks.filter(({ verdict }) => verdict === "valid");
  if (right.length === 0) return judgeNothing();
  const named = right.map(({ scheme, header }) => `${header} (${scheme})`).join(", ");
  return { verdict: "valid", reason: `signed with a secret of ${subscription.id}: ${named}`, checks };
}

type Check = Pick<SignatureCheck, "verdict" | "reason">;

function standardChecks(
  { ed25519Keys }: JudgeDeps,
  { headers, body }: SignedRequest,
  subscription: Subscription,
  secrets: readonly string[],
  nowMs: number,
): SignatureCheck[] {
  const header = "webhook-signature";
  const text = headers[header];
  if (text === undefined) return [];
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  const signatures = text.split(" ");
  const of = (scheme: "v1" | "v1a", { verdict, reason }: Check): SignatureCheck => {
    return { header, scheme, verdict, reason, subscriptionId: subscription.id };
  };
  const broken = brokenReason(id, timestamp, nowMs);
  if (broken !== undefined) return [of("v1", { verdict: "invalid", reason: broken })];
  const seconds = Number(timestamp);
  const expected = secrets.map((secret) => standardSignature(createSecretKey(secretBytes(secret)), id, seconds, body));
  const checks = [of("v1", symmetricCheck(signatures, expected))];
  if (subscription.ed25519Signature === true) {
    const keys = ed25519Keys(subscription.tenant).map(({ privateKey }) => createPublicKey(privateKey));
    checks.push(of("v1a", asymmetricCheck(signatures, keys, Buffer.concat([Buffer.from(`${id}.${seconds}.`), body]))));
  }
  return checks;
}

function brokenReason(id: string, timestamp: string, nowMs: number): string | undefined {
  if (id === "") return "there is no webhook-id, which is signed with the body";
  if (!/^\d{1,12}$/.test(timestamp)) return "webhook-timestamp is no number of seconds since 1970";
  const offS = Math.round(nowMs / 1_000) - Number(timestamp);
  if (Math.abs(offS) <= TOLERANCE_S) return undefined;
  return `webhook-timestamp is ${Math.abs(offS)} s ${offS > 0 ? "old" : "ahead"}; receivers take up to ${TOLERANCE_S} s`;
}

function symmetricCheck(signatures: readonly string[], expected: readonly string[]): Check {
  const given = signatures.filter((each) => each.startsWith("v1,"));
  if (given.length === 0) return { verdict: "invalid", reason: "there is no v1 signature in it" };
  if (given.some((each) => expected.some((right) => isSame(each, right)))) {
    return { verdict: "valid", reason: "HMAC-SHA256 over id, timestamp and body" };
  }
  return { verdict: "invalid", reason: "no v1 signature fits: another secret, or a changed id, timestamp or body" };
}

function asymmetricCheck(signatures: readonly string[], keys: readonly KeyObject[], signed: Buffer): Check {
  const given = signatures
    .filter((each) => each.startsWith("v1a,"))
    .map((each) => Buffer.from(each.slice(4), "base64"));
  if (given.length === 0) return { verdict: "invalid", reason: "there is no v1a signature in it" };
  if (given.some((each) => keys.some((key) => verify(null, signed, key, each)))) {
    return { verdict: "valid", reason: "ed25519 over id, timestamp and body" };
  }
  return { verdict: "invalid", reason: "no v1a signature fits: another key, or a changed id, timestamp or body" };
}

function bodyChecks({ headers, body }: SignedRequest, subscription: Subscription, secrets: readonly string[]) {
  const header = formatOf(subscription.format).bodySignatureHeader;
  const given = header === undefined ? undefined : headers[header];
  if (header === undefined || given === undefined) return [];
  const scheme = header === "x-passkit-signature" ? ("passkit" as const) : ("passentry" as const);
  const expected = secrets.map((secret) => bodySignature(createSecretKey(Buffer.from(secret, "utf8")), body));
  const fits = expected.some((right) => isSame(given, right));
  const reason = fits ? "HMAC-SHA256 over the body, in hex" : "it does not fit: another secret, or a changed body";
  const verdict: Verdict = fits ? "valid" : "invalid";
  return [{ header, scheme, verdict, reason, subscriptionId: subscription.id }];
}

/** The static header of ETHPASS is no signature, but what its receiver checks. */
function authorizationChecks({ keyring }: JudgeDeps, { headers }: SignedRequest, subscription: Subscription) {
  const { sealedEthpassAuthorization: sealed } = subscription.formatOptions;
  const given = headers.authorization;
  if (sealed === undefined || given === undefined) return [];
  const fits = isSame(given, openAuthorization(keyring, subscription, sealed));
  const reason = fits ? "the text that the subscription stores" : "not the text that the subscription stores";
  const verdict: Verdict = fits ? "valid" : "invalid";
  return [{ header: "authorization", scheme: "ethpass" as const, verdict, reason, subscriptionId: subscription.id }];
}

function isSame(given: string, right: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(right)];
  return one.length === other.length && timingSafeEqual(one, other);
}
