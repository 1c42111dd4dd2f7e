/**
 * Asks an endpoint, before it has a subscription, whether it wants one: whoever can't make it echo a random text doesn't
 * run it. docs/delivery.md has the rules for receivers.
 */
import type { ConnectionTls } from "../domain/connection-tls.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import type { Random } from "../kernel/random.ts";
import type { Signer } from "../signing/signer.ts";

/** What came back. */
export type ChallengeAnswer =
  | {
      readonly kind: "response";
      readonly status: number;
      /** Names in lower case. */
      readonly headers: Readonly<Record<string, string>>;
      /** The body's first bytes. */
      readonly excerpt: Uint8Array;
    }
  | { readonly kind: "failure"; readonly reason: string; readonly message: string };

export interface EndpointChallengeDeps {
  /** Sends through the guard, and never rejects. */
  readonly sender: {
    send(request: {
      readonly method: string;
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer;
      readonly timeoutMs: number;
      readonly tls?: ConnectionTls;
    }): Promise<{ readonly exchange: ChallengeAnswer }>;
  };
  readonly signer: Signer;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly random: Random;
  readonly userAgent: string;
}

/** Rejects with `endpoint.unverified`. */
export type EndpointChallenge = (subscription: Subscription) => Promise<void>;

const CHALLENGE_BYTES = 24;

/** Of what came back, shown to whoever asked. */
const SHOWN_CHARACTERS = 200;

export function endpointChallenge(deps: EndpointChallengeDeps): EndpointChallenge {
  const { sender, signer, clock, ids, random, userAgent } = deps;
  return async (subscription) => {
    const challenge = Buffer.from(random.bytes(CHALLENGE_BYTES)).toString("base64url");
    const body = Buffer.from(JSON.stringify({ type: "webhook.verification", challenge }));
    const { url, headers, policy, format } = subscription;
    const tls = signer.tlsOf(subscription);
    const { exchange } = await sender.send({
      method: "POST",
      url,
      ...(tls === undefined ? {} : { tls }),
      // As every webhook: what stands before the endpoint may ask for any of it.
      headers: {
        ...headers,
        "user-agent": userAgent,
        "content-type": "application/json",
        ...signer.sign(subscription, formatOf(format), ids.next("chl"), clock.now(), body),
      },
      body,
      timeoutMs: policy.attemptTimeoutMs,
    });
    const flaw = flawOf(exchange, challenge);
    if (flaw === undefined) return;
    const field = "subscription.url";
    const description = `the endpoint did not echo the challenge: ${flaw}`;
    throw new CodedError("endpoint.unverified", `${field}: ${description}`, { violations: [{ field, description }] });
  };
}

/** Why the answer is no echo of the challenge, or undefined where it is. */
export function flawOf(answer: ChallengeAnswer, challenge: string): string | undefined {
  if (answer.kind === "failure") return `${answer.reason}, ${answer.message}`;
  const text = Buffer.from(answer.excerpt).toString("utf8");
  const body = text === "" ? "no body" : `the body ${JSON.stringify(text.slice(0, SHOWN_CHARACTERS))}`;
  if (answer.status < 200 || answer.status > 299) return `it answered ${answer.status} with ${body}`;
  const echoes = [answer.headers["webhook-challenge"], text.trim(), challengeIn(text)];
  return echoes.includes(challenge) ? undefined : `it answered ${answer.status} with ${body}`;
}

function challengeIn(text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "string") return parsed;
    return typeof parsed === "object" && parsed !== null && "challenge" in parsed ? parsed.challenge : undefined;
  } catch {
    return undefined;
  }
}
