/**
 * How the text of an environment variable becomes a value. A reader answers the value, or undefined where the text is
 * not of its shape; `is` then tells the person what would be right.
 */
import { isIP } from "node:net";
import { networkSet } from "../kernel/addresses.ts";
import { LOG_LEVELS, type LogLevel } from "../kernel/log.ts";
import { isTenantName } from "../kernel/tenant.ts";
import { isTopicName, readTenantBinding, type TenantBinding } from "../kernel/tenant-binding.ts";

/** One shape of value: what it looks like, and how it is read. */
export interface Shape<T> {
  /** Follows "must be": what would be right. */
  readonly is: string;
  read(text: string): T | undefined;
}

/** An address to listen at. Port 0 asks the system for a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export const ROLES = ["api", "worker"] as const;
export type ProcessRole = (typeof ROLES)[number];

/** Every item of a comma list in the item's shape, none empty; undefined as soon as one is not. */
function readList<T>(text: string, read: (item: string) => T | undefined): readonly T[] | undefined {
  const values: T[] = [];
  for (const item of text.split(",")) {
    const value = read(item.trim());
    if (value === undefined) return undefined;
    values.push(value);
  }
  return Object.freeze(values);
}

function unique<T>(values: readonly T[] | undefined, key: (value: T) => unknown): readonly T[] | undefined {
  if (values === undefined) return undefined;
  return new Set(values.map(key)).size === values.length ? values : undefined;
}

function oneOf<T extends string>(names: readonly T[]): Shape<T> {
  return {
    is: `one of ${names.join(", ")}`,
    read: (text) => names.find((name) => name === text),
  };
}

export const listenAddress: Shape<ListenAddress> = {
  is: "host:port with a port from 0 to 65535, for example 127.0.0.1:8080 or [::1]:8080",
  read(text) {
    const [, bracketed, plain, digits] = /^(?:\[([^[\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? [];
    const host = bracketed ?? plain;
    const port = Number(digits);
    if (host === undefined || port > 65_535) return undefined;
    if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
    return Object.freeze({ host, port });
  },
};

export const listenOrOff: Shape<ListenAddress | "off"> = {
  is: `${listenAddress.is}; or off`,
  read: (text) => (text === "off" ? text : listenAddress.read(text)),
};

/** Without a slash at the end. */
export const publicUrl: Shape<string> = {
  is: "https://host or http://host, with a port and a path if need be, and no query",
  read(text) {
    const url = URL.parse(text);
    const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search + url.hash + url.username === "";
    return isPlain && !text.includes("?") && !text.includes("#") ? url.href.replace(/\/+$/, "") : undefined;
  },
};

export const path: Shape<string> = {
  is: "a path",
  read: (text) => (text.includes("\0") ? undefined : text),
};

export const processRoles: Shape<readonly ProcessRole[]> = {
  is: `a comma list of ${ROLES.join(" and ")}, each at most once`,
  read: (text) =>
    unique(
      readList(text, (item) => ROLES.find((role) => role === item)),
      (role) => role,
    ),
};

/** A key that goes into an `authorization` header as it is, so visible ASCII without blanks. */
export const bearerKey: Shape<string> = {
  is: "16 to 256 visible ASCII characters without blanks",
  read: (text) => (/^[\x21-\x7e]{16,256}$/.test(text) ? text : undefined),
};

/** A key, or a token as an issuer makes it. */
export const bearerText: Shape<string> = {
  is: "16 to 8192 visible ASCII characters without blanks",
  read: (text) => (/^[\x21-\x7e]{16,8192}$/.test(text) ? text : undefined),
};

/** Stays text: an issuer is compared character by character. */
export const issuerUrl: Shape<string> = {
  is: "an https:// URL without a query, a fragment or a user, or http:// at 127.0.0.1, [::1] or localhost",
  read(text) {
    const url = URL.parse(text);
    if (url === null || url.search + url.hash + url.username + url.password !== "" || /\s/.test(text)) return undefined;
    const isOwn = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
    return url.protocol === "https:" || (url.protocol === "http:" && isOwn) ? text : undefined;
  },
};

const JWT_ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
] as const;

export const jwtAlgorithms: Shape<readonly string[]> = {
  is: `a comma list of ${JWT_ALGORITHMS.join(", ")}: those with a public key`,
  read: (text) => readList(text, (item) => JWT_ALGORITHMS.find((algorithm) => algorithm === item)),
};

const JWT_ROLES = ["admin", "operator", "publisher", "subscriber", "viewer"] as const;

/** A value of a token's claim, and the role that it means. */
export interface JwtRole {
  readonly value: string;
  readonly role: (typeof JWT_ROLES)[number];
}

export const jwtRoles: Shape<readonly JwtRole[]> = {
  is: `a comma list of value=role, with the roles ${JWT_ROLES.join(", ")}, for example bus-admins=admin,everyone=viewer`,
  read: (text) =>
    unique(
      readList(text, (item) => {
        const [, value, name] = /^(.+)=([a-z]+)$/.exec(item) ?? [];
        const role = JWT_ROLES.find((each) => each === name);
        return value === undefined || role === undefined ? undefined : Object.freeze({ value, role });
      }),
      ({ value }) => value,
    ),
};

export const tenantName: Shape<string> = {
  is: "1 to 64 letters, digits, dots, underscores and dashes, beginning with a letter or digit",
  read: (text) => (isTenantName(text) ? text : undefined),
};

export const networks: Shape<readonly string[]> = {
  is: "a comma list of networks in CIDR form, or of single addresses, for example 10.0.0.0/8,fd00::/8",
  read: (text) => readList(text, (item) => (isNetwork(item) ? item : undefined)),
};

export const ports: Shape<readonly number[]> = {
  is: "a comma list of ports from 1 to 65535, for example 443,8443",
  read: (text) =>
    readList(text, (item) => (/^[1-9]\d{0,4}$/.test(item) && Number(item) <= 65_535 ? Number(item) : undefined)),
};

/** Stays text: it may hold a password. */
export const proxyUrl: Shape<string> = {
  is: "http://host:port, or http://user:password@host:port",
  read(text) {
    const url = URL.parse(text);
    const isProxy =
      url?.protocol === "http:" && url.port !== "" && url.pathname === "/" && url.search + url.hash === "";
    return isProxy && /^http:\/\/[^/?#\\\s]+\/?$/.test(text) ? text : undefined;
  },
};

export const ownAddress: Shape<string> = {
  is: "an IPv4 or IPv6 address",
  read: (text) => (isIP(text) === 0 || text.includes("%") ? undefined : text),
};

function isNetwork(text: string): boolean {
  try {
    networkSet([text]);
    return true;
  } catch {
    return false;
  }
}

export const yesOrNo: Shape<boolean> = {
  is: "true or false",
  read: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

const KEY_LIST =
  "id:base64 of 32 bytes, the newest first, each id once (1 to 32 letters, digits, dashes and underscores); `openssl rand -base64 32` makes one";

/** Stays text: signing/keyring.ts reads it, and nothing else ought to see the keys. */
export const encryptionKeys: Shape<string> = {
  is: `a comma list of ${KEY_LIST}`,
  read: (text) => (idsOfKeys(text) === undefined ? undefined : text),
};

/** As many as signing/ed25519.ts takes: each costs every webhook a signature. */
const MAX_SIGNING_SEEDS = 4;

/** Stays text, as the encryption keys. */
export const signingSeeds: Shape<string> = {
  is: `a comma list of at most ${MAX_SIGNING_SEEDS} ${KEY_LIST}`,
  read: (text) => ((idsOfKeys(text)?.length ?? Number.POSITIVE_INFINITY) > MAX_SIGNING_SEEDS ? undefined : text),
};

function idsOfKeys(text: string): readonly string[] | undefined {
  return unique(readList(text, idOfEncryptionKey), (id) => id);
}

function idOfEncryptionKey(item: string): string | undefined {
  const [, id, base64 = ""] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(item) ?? [];
  return Buffer.from(base64, "base64").toString("base64") === base64 ? id : undefined;
}

export const origins: Shape<readonly string[]> = {
  is: "a comma list of origins such as https://dashboard.example.com, or * for any",
  read: (text) =>
    readList(text, (item) => {
      if (item === "*") return item;
      return URL.canParse(item) && /^https?:/.test(item) && new URL(item).origin === item ? item : undefined;
    }),
};

export const logLevel: Shape<LogLevel> = oneOf(LOG_LEVELS);

/** A name that Kafka takes too, so that moving to it changes no setting. */
export const topicName: Shape<string> = {
  is: "1 to 249 letters, digits, dots, underscores and dashes",
  read: (text) => (isTopicName(text) ? text : undefined),
};

export const tenantBindings: Shape<readonly TenantBinding[]> = {
  is: "a comma list of topic=organisation/environment, where both or the environment may be *, or * alone for any topic and tenant",
  read: (text) => readList(text, readTenantBinding),
};

/** Stays text: the driver reads it, and nothing else ought to see the password in it. */
export const mongodbUri: Shape<string> = {
  is: "a MongoDB connection string that begins with mongodb:// or mongodb+srv://",
  read: (text) => (/^mongodb(\+srv)?:\/\/[^\s/]+/.test(text) ? text : undefined),
};

export const brokers: Shape<readonly string[]> = {
  is: "a comma list of host:port, for example kafka-1:9092,kafka-2:9092",
  read: (text) =>
    readList(text, (item) => (/^(?:\[[0-9A-Fa-f:.]+\]|[^:[\]\s/@]+):\d{1,5}$/.test(item) ? item : undefined)),
};

/** A consumer group, or whatever else is named to Kafka. */
export const kafkaName: Shape<string> = {
  is: "1 to 249 visible ASCII characters without blanks",
  read: (text) => (/^[\x21-\x7e]{1,249}$/.test(text) ? text : undefined),
};

export const SASL_MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];
export const saslMechanism: Shape<SaslMechanism> = oneOf(SASL_MECHANISMS);

export const anyText: Shape<string> = { is: "a text", read: (text) => text };

export function wholeNumber(least: number, most: number): Shape<number> {
  return {
    is: `a whole number from ${least} to ${most}`,
    read: (text) =>
      /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most ? Number(text) : undefined,
  };
}

const DAY_MS = 86_400_000;

/** How long finished work is kept, in milliseconds. */
export const retentionMs: Shape<number> = {
  is: "a whole number of days or hours from 1h to 3650d, for example 30d",
  read(text) {
    const [, digits, unit] = /^(\d{1,6})([dh])$/.exec(text) ?? [];
    if (digits === undefined) return undefined;
    const value = Number(digits) * (unit === "d" ? DAY_MS : UNIT_MS.h);
    return value >= UNIT_MS.h && value <= 3_650 * DAY_MS ? value : undefined;
  },
};

/** A span of time in milliseconds; 0 where it never ends. */
export const durationOrNeverMs: Shape<number> = {
  is: "a whole number with a unit (s, m, h or d) of at most 365d, for example 5d, or 0 for never",
  read(text) {
    if (text === "0") return 0;
    const [, digits, unit] = /^(\d{1,8})(s|m|h|d)$/.exec(text) ?? [];
    if (digits === undefined || unit === undefined) return undefined;
    const value = Number(digits) * (unit === "d" ? DAY_MS : UNIT_MS[unit as Unit]);
    return value <= 365 * DAY_MS ? value : undefined;
  },
};

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
type Unit = keyof typeof UNIT_MS;

/** A span of time, in milliseconds. */
export const durationMs: Shape<number> = {
  is: "a whole number with a unit (ms, s, m or h) of at most 24h, for example 10s or 500ms",
  read(text) {
    const [, digits, unit] = /^(\d{1,8})(ms|s|m|h)$/.exec(text) ?? [];
    if (digits === undefined || unit === undefined) return undefined;
    const value = Number(digits) * UNIT_MS[unit as Unit];
    return value <= 24 * UNIT_MS.h ? value : undefined;
  },
};
