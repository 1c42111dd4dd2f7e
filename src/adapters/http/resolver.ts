import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { CodedError } from "../../kernel/errors.ts";

/** All addresses of a host name. Rejects with a CodedError `dns.failed`. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

export interface SystemResolverOptions {
  /** Name servers to ask instead of the system's, as `address:port`. */
  readonly servers?: readonly string[];
  /** Default 2,000. */
  readonly queryTimeoutMs?: number;
}

/** One query's wait, and how often it is asked: with both, an answer or an error comes within the connect timeout. */
const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;

/** A server that answers these is alive, so asking the system too is quick. */
const NOT_THERE = new Set(["ENOTFOUND", "ENODATA", "ECONNREFUSED", "EREFUSED"]);

/**
 * Asks DNS without a thread (c-ares), and the system's resolver (getaddrinfo: hosts file, search domains) for local
 * names and for what DNS does not know. Never the system first: getaddrinfo runs on libuv's pool, two at a time, so two
 * endpoints whose name servers are silent would hold up the lookups of all others. Simultaneous questions for one name
 * are one question; nothing is kept beyond its answer.
 */
export function systemResolver(options: SystemResolverOptions = {}): ResolveHost {
  const { servers, queryTimeoutMs = QUERY_TIMEOUT_MS } = options;
  const dns = new Resolver({ timeout: queryTimeoutMs, tries: QUERY_TRIES });
  if (servers !== undefined) dns.setServers(servers);
  const asked = new Map<string, Promise<readonly string[]>>();
  return (host) => {
    const running = asked.get(host);
    if (running !== undefined) return running;
    const answer = resolveHost(dns, host).finally(() => asked.delete(host));
    asked.set(host, answer);
    return answer;
  };
}

async function resolveHost(dns: Resolver, host: string): Promise<readonly string[]> {
  if (!isLocalName(host)) {
    // IPv4 first: where a machine has no IPv6 the connection isn't first tried there.
    const answers = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    for (const answer of answers) {
      if (answer.status === "rejected" && !NOT_THERE.has(codeOf(answer.reason))) {
        throw dnsFailed(host, answer.reason);
      }
    }
  }
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => address);
  } catch (error) {
    throw dnsFailed(host, error);
  }
}

/** RFC 6761 §6.3 and single labels, which DNS has only by way of search domains. */
function isLocalName(host: string): boolean {
  return !host.includes(".") || host.endsWith(".localhost") || isIP(host) !== 0;
}

function dnsFailed(host: string, cause: unknown): CodedError {
  return new CodedError("dns.failed", `${host} does not resolve (${codeOf(cause)})`, { cause });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
