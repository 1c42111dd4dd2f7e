import { isIP } from "node:net";
import { isAllowedAddress, type NetworkSet } from "./addresses.ts";
import { CodedError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** What the operator lets endpoints be. */
export interface UrlRules {
  /** Plain http is let through beside https. */
  readonly allowHttp: boolean;
  /** Networks that endpoints may lie in although they are not public. */
  readonly allowedNetworks: NetworkSet;
}

/** An endpoint's URL in its parts. */
export interface EndpointUrl {
  /** The normal form (WHATWG URL): what is requested, and what uniqueness in a scope is decided by. */
  readonly href: string;
  /** Scheme, host and port; a default port is left out. */
  readonly origin: string;
  readonly protocol: "https:" | "http:";
  /** Lower case; an IPv6 address without brackets. */
  readonly host: string;
  /** Path and query, as the request line has them. */
  readonly path: string;
}

/** The error is a `url.invalid`, or a `guard.refused` for an address literal; its message says what would be right. */
export type UrlCheck =
  | { readonly ok: true; readonly url: EndpointUrl }
  | { readonly ok: false; readonly error: CodedError };

/**
 * Judges the text of an endpoint's URL. What the WHATWG parser would quietly repair (tabs, line breaks, backslashes, a
 * missing `//`, credentials) is refused before parsing, so that nobody reads the text otherwise than we do. Numbers in
 * octal, hex or with fewer parts are IPv4 addresses to the parser, so the address rules look at the host it returns.
 * Names are not resolved here: see `endpointCheck` in adapters/http.
 */
export function checkUrl(text: string, rules: UrlRules): UrlCheck {
  const flaw = textFlaw(text);
  if (flaw !== undefined) return refusal("url.invalid", flaw);
  const parsed = URL.parse(text);
  if (parsed === null) return refusal("url.invalid", "is not a URL; right is https://host/path");
  if (parsed.protocol === "http:" && !rules.allowHttp) {
    return refusal("url.invalid", "must begin with https://; plain http is not allowed here");
  }
  if (parsed.href.length > LIMITS.urlCharacters) {
    return refusal("url.invalid", `must have at most ${LIMITS.urlCharacters} characters`);
  }
  if (parsed.port === "0") return refusal("url.invalid", "must not have port 0");
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0) {
    if (!isAllowedAddress(host, rules.allowedNetworks)) {
      return refusal("guard.refused", refusedAddress(host));
    }
  } else if (!isHostName(host)) {
    return refusal("url.invalid", `must name a host; "${host}" is none`);
  }
  return { ok: true, url: endpointUrl(parsed, host) };
}

/** One sentence for the owner of the endpoint. */
export function refusedAddress(address: string): string {
  return `must lead to a public address; ${address} is private, reserved or otherwise special`;
}

function textFlaw(text: string): string | undefined {
  if (text === "") return "must not be empty";
  if (text.length > LIMITS.urlCharacters) {
    return `must have at most ${LIMITS.urlCharacters} characters`;
  }
  if (/[\s\p{Cc}\p{Cf}\p{Cs}]/u.test(text)) {
    return "must not have blanks, line breaks or control characters";
  }
  if (text.includes("\\")) return "must not have a backslash";
  const authority = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1];
  if (authority === undefined) return "must be absolute, as https://host/path";
  if (authority.includes("@")) return "must not have a user name or password";
  if (text.includes("#")) return "must not have a fragment (#…), which is never sent";
  return undefined;
}

/** A host name as DNS has them, with underscores. No dot at the end: `host.` and `host` would be two endpoints. */
function isHostName(host: string): boolean {
  const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return host.length <= 253 && host.split(".").every((part) => label.test(part));
}

function endpointUrl(parsed: URL, host: string): EndpointUrl {
  return {
    href: parsed.href,
    origin: parsed.origin,
    protocol: parsed.protocol === "http:" ? "http:" : "https:",
    host,
    path: parsed.pathname + parsed.search,
  };
}

function refusal(code: "url.invalid" | "guard.refused", message: string): UrlCheck {
  return { ok: false, error: new CodedError(code, message) };
}
