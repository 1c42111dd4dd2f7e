import { errors } from "undici";
import type { UnreachableReason } from "../../domain/outcome.ts";
import { CodedError } from "../../kernel/errors.ts";

/** What a failed exchange is put down to. */
export type FailureReason = UnreachableReason | "attempt.cancelled";

/** How far an exchange was when it failed. The same ECONNRESET is another story before and after. */
export type Stage = "connecting" | "sent";

const BY_CODE: Readonly<Record<string, FailureReason>> = {
  ECONNREFUSED: "connect.refused",
  UND_ERR_CONNECT_TIMEOUT: "connect.timeout",
  UND_ERR_HEADERS_OVERFLOW: "response.invalid",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "response.invalid",
  EPROTO: "tls.failed",
  SELF_SIGNED_CERT_IN_CHAIN: "tls.failed",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls.failed",
  HOSTNAME_MISMATCH: "tls.failed",
  INVALID_CA: "tls.failed",
  INVALID_PURPOSE: "tls.failed",
  PATH_LENGTH_EXCEEDED: "tls.failed",
};

/** Families of codes, OpenSSL's and Node's for TLS. */
const BY_PREFIX: readonly (readonly [prefix: string, reason: FailureReason])[] = [
  ["ERR_TLS_", "tls.failed"],
  ["ERR_SSL_", "tls.failed"],
  ["CERT_", "tls.failed"],
  ["CRL_", "tls.failed"],
  ["UNABLE_TO_", "tls.failed"],
  ["ERROR_IN_CERT_", "tls.failed"],
];

/** Never told by the error's message. */
export function failureReason(error: Error, stage: Stage, isTls: boolean): FailureReason {
  if (error instanceof CodedError) {
    return error.code === "guard.refused" ? "guard.refused" : "dns.failed";
  }
  // Told by its class: undici 8.12 leaves its code (HPE_…) empty.
  if (error instanceof errors.HTTPParserError) return "response.invalid";
  const code = codeOf(error);
  const known = BY_CODE[code] ?? BY_PREFIX.find(([prefix]) => code.startsWith(prefix))?.[1];
  if (known !== undefined) return known;
  if (stage === "sent") return "connection.closed";
  if (code === "ETIMEDOUT") return "connect.timeout";
  // TCP connects or is refused; a reset after that, before the first byte of HTTP, is the handshake's.
  if (isTls && (code === "ECONNRESET" || code === "EPIPE")) return "tls.failed";
  return "connect.failed";
}

/** For the attempt's record: the code is enough for one who knows it, the message for the others. */
export function failureMessage(error: Error): string {
  const code = error instanceof CodedError ? "" : codeOf(error);
  return code === "" || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}

/** Of an error with several causes (all addresses of a name failed) Node sets the first one's code. */
function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
