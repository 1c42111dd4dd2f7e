import { LIMITS } from "../kernel/limits.ts";
import type { Violations } from "./violations.ts";

/**
 * Names that a subscription may not set, in lower case: the transport's own (RFC 9110, RFC 9112), what says who sends
 * and what the body is, and what the receiver takes for proof.
 */
const OWNED_NAMES: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "authorization",
  "cookie",
  "user-agent",
  "x-passkit-signature",
  "x-webhook-signature",
]);

const OWNED_PREFIXES = ["webhook-", "ce-", "proxy-"] as const;

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110 §5.5, without the obsolete bytes above ASCII, and without blanks at the ends, which get lost on the way. */
export const HEADER_VALUE = /^(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?$/;

/** The headers with their names in lower case, which is all the same to HTTP. */
export function readHeaders(
  headers: Readonly<Record<string, string>>,
  wrong: Violations,
): Readonly<Record<string, string>> {
  const read = new Map<string, string>();
  let bytes = 0;
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase();
    const field = `headers[${JSON.stringify(given)}]`;
    if (!TOKEN.test(given)) {
      wrong.add(field, "the name must be one of HTTP: letters, digits and !#$%&'*+-.^_`|~");
    } else if (OWNED_NAMES.has(name) || OWNED_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      wrong.add(field, `passbus sets ${name} itself`);
    } else if (read.has(name)) {
      wrong.add(field, `${name} is there twice, in other letters`);
    }
    if (!HEADER_VALUE.test(value)) {
      wrong.add(field, "the value must be visible ASCII, with blanks and tabs inside alone");
    }
    bytes += given.length + value.length;
    read.set(name, value);
  }
  if (read.size > LIMITS.customHeaders) wrong.add("headers", `must be at most ${LIMITS.customHeaders}`);
  if (bytes > LIMITS.customHeaderBytes) {
    wrong.add("headers", `must have at most ${LIMITS.customHeaderBytes} bytes in all, names and values`);
  }
  return Object.fromEntries(read);
}
