/** The certificate that a client showed when its connection was made (mutual TLS). */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import { fingerprintOf } from "../access/certificates.ts";
import type { Connection } from "./connections.ts";
import type { HttpRequest } from "./port.ts";

interface Shown {
  readonly fingerprint: string;
  readonly endsAtMs: number;
}

const certificateKey = createContextKey<Shown | undefined>(undefined, { description: "client certificate" });

/** By connection. What was seen there first counts until it ends. */
const shownBy = new WeakMap<object, Shown | "none">();

/** To be called before the call is handled, while its connection is known. */
export function rememberCertificate(
  request: Pick<HttpRequest, "headers">,
  { socket }: Pick<Connection, "socket">,
  values: ContextValues,
): void {
  // A browser shows its user's certificate for any page that asks; pages are to carry a key or token of their own.
  if (request.headers.origin !== undefined) return;
  const shown = shownBy.get(socket) ?? look(socket);
  shownBy.set(socket, shown);
  if (shown !== "none") values.set(certificateKey, shown);
}

/** The fingerprint of a certificate that the authorities of the settings vouch for; undefined where there is none. */
export function certificateOf(context: { readonly values: ContextValues }, nowMs: number): string | undefined {
  const shown = context.values.get(certificateKey);
  // A connection, and a stream, may last longer than what it was let in by.
  return shown !== undefined && nowMs < shown.endsAtMs ? shown.fingerprint : undefined;
}

function look(socket: object): Shown | "none" {
  const { authorized, getPeerX509Certificate }: Partial<TLSSocket> = socket;
  if (authorized !== true || getPeerX509Certificate === undefined) return "none";
  const certificate: X509Certificate | undefined = getPeerX509Certificate.call(socket);
  if (certificate === undefined) return "none";
  return { fingerprint: fingerprintOf(certificate), endsAtMs: certificate.validToDate.getTime() };
}
