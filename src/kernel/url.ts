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
  /** The only ports that endpoints may have; left out or empty: any but those of `REFUSED_PORTS`. */
  readonly allowedPorts?: readonly number[];
}

/** An endpoint's URL in its parts. */
export interface EndpointUrl {
  /** As the WHATWG parser writes it: what is requested. */
  readonly href: string;
  /** What uniqueness in a scope is decided by; nothing is requested by it. */
  readonly urlKey: string;
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
  const read = readUrl(text);
  if (!read.ok) return read;
  const { host, protocol, href } = read.url;
  if (protocol === "http:" && !rules.allowHttp) {
    return refusal("url.invalid", "must begin with https://; plain http is not allowed here");
  }
  const portRefusal = portFlaw(new URL(href), rules.allowedPorts ?? []);
  if (portRefusal !== undefined) return refusal("url.invalid", portRefusal);
  if (isIP(host) !== 0) {
    if (!isAllowedAddress(host, rules.allowedNetworks)) {
      return refusal("guard.refused", refusedAddress(host));
    }
  } else if (!isHostName(host)) {
    return refusal("url.invalid", `must name a host; "${host}" is none`);
  } else if (isInternalName(host, rules.allowedNetworks)) {
    return refusal("guard.refused", `must lead to a public address; ${host} is a name for inside a network`);
  }
  return read;
}

/** The text alone is judged, and not where it leads. */
export function readUrl(text: string): UrlCheck {
  const flaw = textFlaw(text);
  if (flaw !== undefined) return refusal("url.invalid", flaw);
  const parsed = URL.parse(text);
  if (parsed === null) return refusal("url.invalid", "is not a URL; right is https://host/path");
  if (parsed.href.length > LIMITS.urlCharacters) {
    return refusal("url.invalid", `must have at most ${LIMITS.urlCharacters} characters`);
  }
  return { ok: true, url: endpointUrl(parsed) };
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
  if (authority === undefined) {
    const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
    const isOther = scheme !== undefined && !/^https?:/i.test(scheme);
    return isOther ? `must begin with https://, and not with ${scheme}` : "must be absolute, as https://host/path";
  }
  if (authority.includes("@")) return "must not have a user name or password";
  if (text.includes("#")) return "must not have a fragment (#…), which is never sent";
  return undefined;
}

/**
 * Ports of services that a POST could do harm to, from the Fetch standard ("bad port"): what browsers don't connect to.
 */
const REFUSED_PORTS: ReadonlySet<number> = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

function portFlaw({ port: text, protocol }: URL, allowed: readonly number[]): string | undefined {
  const port = text === "" ? (protocol === "https:" ? 443 : 80) : Number(text);
  if (allowed.length > 0) {
    return allowed.includes(port) ? undefined : `must have one of the ports ${allowed.join(", ")}; ${port} is none`;
  }
  return REFUSED_PORTS.has(port) ? `must not have port ${port}, which belongs to another protocol` : undefined;
}

/** Where clouds serve their machines' credentials: by name in no case. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  "metadata",
  "metadata.google.internal",
  "metadata.goog",
  "metadata.azure.internal",
  "metadata.azure.com",
  "metadata.packet.net",
  "metadata.platformequinix.com",
  "metadata.tencentyun.com",
  "instance-data",
  "instance-data.ec2.internal",
  "rancher-metadata",
]);

/** Names that never are public: RFC 6761, 6762, 7686, 8375, and ICANN's resolution 2024.07.29.06 (.internal). */
const INTERNAL_SUFFIXES = ["localhost", "localdomain", "local", "internal", "home.arpa", "onion", "invalid"] as const;
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(["ip6-localhost", "ip6-loopback", "broadcasthost"]);

/** Told by the name alone, for at creation it may not resolve yet. An operator with networks of his own may have such. */
function isInternalName(host: string, allowedNetworks: NetworkSet): boolean {
  if (METADATA_NAMES.has(host)) return true;
  if (!allowedNetworks.isEmpty) return false;
  return LOOPBACK_NAMES.has(host) || INTERNAL_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

/** A host name as DNS has them, with underscores. No dot at the end: `host.` and `host` would be two endpoints. */
function isHostName(host: string): boolean {
  const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return host.length <= 253 && host.split(".").every((part) => label.test(part));
}

function endpointUrl(parsed: URL): EndpointUrl {
  return {
    href: parsed.href,
    urlKey: urlKeyOf(parsed),
    origin: parsed.origin,
    protocol: parsed.protocol === "http:" ? "http:" : "https:",
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    path: parsed.pathname + parsed.search,
  };
}

/**
 * `href` in the normal form of RFC 3986 §6.2.2, of which the WHATWG parser does the half: escapes of what needs none are
 * undone, the others are in upper case, and an empty query is none.
 */
function urlKeyOf({ origin, pathname, search }: URL): string {
  return (origin + pathname + search).replace(/%[0-9a-f]{2}/gi, (written) => {
    const character = String.fromCharCode(Number.parseInt(written.slice(1), 16));
    return /[a-z0-9._~-]/i.test(character) ? character : written.toUpperCase();
  });
}

function refusal(code: "url.invalid" | "guard.refused", message: string): UrlCheck {
  return { ok: false, error: new CodedError(code, message) };
}
