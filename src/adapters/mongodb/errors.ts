/** What the driver throws, in the words of the rooms; and never with the password of the URI. */
import { MongoError, MongoServerError } from "mongodb";
import { CodedError } from "../../kernel/errors.ts";

/**
 * A driver's error, or a socket's, which the driver lets through when a server dies, becomes `store.unavailable`. One that
 * is coded already, or is a mistake of ours, stays what it is.
 */
export function storeError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CodedError) return error;
  const code = "code" in error ? error.code : undefined;
  if (!(error instanceof MongoError) && typeof code !== "string") return error;
  return new CodedError(
    "store.unavailable",
    `MongoDB did not answer as it should${code === undefined ? "" : ` (code ${code})`}: ${error.message}`,
    { cause: error },
  );
}

const AUTHENTICATION_FAILED = 18;

/** Why no connection came about. The cause is left out: it may quote what it was given. */
export function connectError(error: unknown, uri: string, waitedMs: number): unknown {
  if (!(error instanceof Error) || error instanceof CodedError) return error;
  const reason = withoutPassword(error.message, uri);
  if (error instanceof MongoServerError && error.code === AUTHENTICATION_FAILED) {
    return new CodedError(
      "config.invalid",
      `MongoDB at ${hostsOf(uri)} refused the user name or the password: check both, and the URI's authSource (${reason})`,
    );
  }
  if (error instanceof MongoError && error.name === "MongoServerSelectionError") {
    return new CodedError(
      "store.unavailable",
      `no MongoDB server answered at ${hostsOf(uri)} within ${waitedMs / 1_000} s: ${reason}. ` +
        "Every member's host name must resolve and be reachable from here, as rs.conf() of the replica set has them; " +
        "where they can't be, add directConnection=true to the URI of a replica set with one member",
    );
  }
  return new CodedError("store.unavailable", `MongoDB at ${hostsOf(uri)} can't be used: ${reason}`);
}

/** The URI does not parse, or names options that don't fit together. */
export function uriError(error: unknown, uri: string): unknown {
  if (!(error instanceof Error)) return error;
  return new CodedError(
    "config.invalid",
    `the MongoDB URI can't be used: ${withoutPassword(error.message, uri)} (expected mongodb://host:port/database?replicaSet=name)`,
  );
}

/** Everything between the scheme and the last "@", which a password with an unescaped "@" or "/" may hold too. */
const userInfoOf = (uri: string): string => /^[^:]*:\/\/(.*)@/s.exec(uri)?.[1] ?? "";

/** Hosts and ports of a URI, for messages. */
export function hostsOf(uri: string): string {
  const userInfo = userInfoOf(uri);
  const rest = uri.replace(/^[^:]*:\/\//, "").slice(userInfo === "" ? 0 : userInfo.length + 1);
  return rest.split(/[/?]/)[0] || "an unnamed host";
}

/** The text with whatever of the URI's user name and password it quotes blotted out. */
export function withoutPassword(text: string, uri: string): string {
  const userInfo = userInfoOf(uri);
  if (userInfo === "") return text;
  const colon = userInfo.indexOf(":");
  const secrets = colon < 0 ? [userInfo] : [userInfo, userInfo.slice(colon + 1)];
  return secrets
    .flatMap((secret) => [secret, decoded(secret)])
    .filter((secret) => secret !== "")
    .toSorted((left, right) => right.length - left.length)
    .reduce((clean, secret) => clean.replaceAll(secret, "***"), text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
