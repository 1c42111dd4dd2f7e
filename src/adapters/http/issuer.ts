/**
 * Reads the public keys of the issuer of tokens: its discovery document (OpenID Connect Discovery 1.0, §4) names where
 * they are, unless the settings do. The issuer is the operator's choice, so it may lie in any network; its answers are
 * bounded, and no redirect is followed.
 */
import { Agent, type Dispatcher, request } from "undici";
import type { ReadIssuerKeys } from "../../access/issuer-keys.ts";
import { CodedError } from "../../kernel/errors.ts";

export interface IssuerOptions {
  readonly issuer: string;
  /** Undefined: where the discovery document says. */
  readonly jwksUrl: string | undefined;
}

export interface Issuer {
  readonly read: ReadIssuerKeys;
  close(): Promise<void>;
}

/** Of each document. */
const DOCUMENT_BYTES = 256 * 1_024;
const TIMEOUT_MS = 5_000;

export function issuerAt({ issuer, jwksUrl }: IssuerOptions): Issuer {
  // Its own, and so never a proxy of the environment's. It is asked once in minutes: no connection is kept.
  // Said outright, so that neither NODE_TLS_REJECT_UNAUTHORIZED nor --tls-min-v1.0 has a say: who answers in the
  // issuer's place could sign as anybody.
  const connect = { timeout: TIMEOUT_MS, rejectUnauthorized: true, minVersion: "TLSv1.2" } as const;
  const dispatcher = new Agent({ pipelining: 0, connect });
  return {
    async read() {
      const keys = await readDocument(jwksUrl ?? (await discover(issuer, dispatcher)), dispatcher);
      if (!Array.isArray(keys.keys)) throw unusable("the key set has no `keys`");
      return { ...keys, keys: keys.keys };
    },
    close: () => dispatcher.destroy(),
  };
}

async function discover(issuer: string, dispatcher: Dispatcher): Promise<string> {
  const document = await readDocument(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, dispatcher);
  if (document.issuer !== issuer) throw unusable("the discovery document is another issuer's");
  const { jwks_uri: url } = document;
  const isAllowed = typeof url === "string" && (url.startsWith("https://") || issuer.startsWith("http://"));
  if (!isAllowed || !URL.canParse(url)) throw unusable("the discovery document's `jwks_uri` is no https URL");
  return url;
}

async function readDocument(url: string, dispatcher: Dispatcher): Promise<Readonly<Record<string, unknown>>> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const { statusCode, body } = await request(url, { dispatcher, signal, headers: { accept: "application/json" } });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES) throw unusable(`${url} answered more than ${DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (statusCode !== 200) throw unusable(`${url} answered ${statusCode}`);
  const document: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  if (typeof document !== "object" || document === null) throw unusable(`${url} answered no JSON object`);
  return document as Readonly<Record<string, unknown>>;
}

function unusable(why: string): CodedError {
  return new CodedError("issuer.unavailable", why);
}
