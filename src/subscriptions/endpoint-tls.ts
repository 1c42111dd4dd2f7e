/**
 * What a subscription's https connections trust and show (`EndpointTls`): judged when it is written, so that an endpoint
 * doesn't fail later for a certificate that nobody can read. The private key is sealed, and shown never.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { EndpointTls as EndpointTlsMessage } from "../../gen/passbus/v1/subscription_pb.js";
import type { EndpointTls } from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Keyring } from "../signing/keyring.ts";
import { type SecretOwner, sealClientKey } from "../signing/secrets.ts";
import type { Violations } from "./violations.ts";

/** What a request asks for. Without `key`, the stored one stays. */
export interface AskedTls {
  readonly caCertificates?: string;
  readonly client?: { readonly certificates: string; readonly key?: string };
}

/** `stored` is what an update starts from. */
export function readTls(
  { url, tls }: { readonly url: string; readonly tls?: EndpointTlsMessage | undefined },
  stored: EndpointTls | undefined,
  wrong: Violations,
): AskedTls | undefined {
  const { caCertificates = "", clientCertificate = "", clientKey = "" } = tls ?? {};
  if (caCertificates === "" && clientCertificate === "" && clientKey === "") return undefined;
  if (URL.parse(url)?.protocol === "http:") wrong.add("tls", "needs an https URL");
  if (caCertificates !== "") certificatesOf(caCertificates, "tls.ca_certificates", wrong);
  const client = readClient(clientCertificate, clientKey, stored?.client, wrong);
  return {
    ...(caCertificates === "" ? {} : { caCertificates: normal(caCertificates) }),
    ...(client === undefined ? {} : { client }),
  };
}

function readClient(
  certificates: string,
  key: string,
  stored: EndpointTls["client"],
  wrong: Violations,
): AskedTls["client"] | undefined {
  if (certificates === "") {
    if (key !== "") wrong.add("tls.client_certificate", "is required beside tls.client_key");
    return undefined;
  }
  const [leaf] = certificatesOf(certificates, "tls.client_certificate", wrong);
  const text = normal(certificates);
  if (key === "") {
    if (stored?.certificates === text) return { certificates: text };
    wrong.add("tls.client_key", "is required with a new tls.client_certificate");
    return undefined;
  }
  const read = privateKeyOf(key, wrong);
  if (leaf === undefined || read === undefined) return undefined;
  if (!leaf.checkPrivateKey(read)) {
    wrong.add("tls.client_key", "is not the private key of the first certificate in tls.client_certificate");
  }
  return { certificates: text, key: normal(key) };
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

function certificatesOf(text: string, field: string, wrong: Violations): readonly X509Certificate[] {
  const flaw = `must be certificates in PEM, ${LIMITS.pemCharacters / 1_024} KiB at most`;
  const blocks = text.length > LIMITS.pemCharacters ? [] : (text.match(BLOCK) ?? []);
  // Nothing but certificates: a private key that was pasted along would be stored in the clear.
  const isClean = blocks.length > 0 && text.replace(BLOCK, "").trim() === "";
  try {
    if (isClean) return blocks.map((block) => new X509Certificate(block));
  } catch {
    // Said below.
  }
  wrong.add(field, flaw);
  return [];
}

function privateKeyOf(text: string, wrong: Violations): KeyObject | undefined {
  try {
    if (text.length <= LIMITS.pemCharacters) return createPrivateKey(text);
  } catch {
    // Said below, without what OpenSSL says of the text.
  }
  wrong.add(
    "tls.client_key",
    `must be a private key in PEM without a passphrase, ${LIMITS.pemCharacters / 1_024} KiB at most`,
  );
  return undefined;
}

function normal(pem: string): string {
  return `${pem.trim().replaceAll("\r\n", "\n")}\n`;
}

/** What is stored after the change, to be spread into the subscription. */
export function withTls(
  keyring: Keyring,
  owner: SecretOwner,
  asked: AskedTls | undefined,
  stored: EndpointTls | undefined,
): { readonly tls?: EndpointTls } {
  if (asked === undefined) return {};
  const { client, ...trusted } = asked;
  if (client === undefined) return { tls: trusted };
  const { certificates, key } = client;
  const sealedKey = key === undefined ? stored?.client?.sealedKey : sealClientKey(keyring, owner, key);
  return { tls: sealedKey === undefined ? trusted : { ...trusted, client: { certificates, sealedKey } } };
}
