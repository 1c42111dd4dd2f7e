/** How a command reaches a running passbus: `--url` and `--key`, and a connection that ends with the command. */
import type { ClientSessionOptions } from "node:http2";
import type { SocketConstructorOpts } from "node:net";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager, type Http2SessionOptions } from "@connectrpc/connect-node";
import type { Command } from "commander";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";

export interface ConnectionOptions {
  readonly url?: string;
  readonly key?: string;
}

const LOCAL_URL = "http://127.0.0.1:8080";

export function addConnectionOptions(command: Command): Command {
  return command
    .option("--url <url>", `where passbus listens (default: PASSBUS_URL, else ${LOCAL_URL})`)
    .option("--key <key>", "an API key; better in PASSBUS_KEY, since other processes can see arguments");
}

/** Of a command that answers something. */
export interface OutputOptions extends ConnectionOptions {
  readonly json?: true;
}

export function addOutputOptions(command: Command, json = "one in JSON a line, for programs"): Command {
  return addConnectionOptions(command).option("--json", json);
}

/** What `--json` is of a command that shows nothing. */
export const DONE_JSON = "say what was done in JSON, for programs";

/** What a command has done that shows nothing: a sentence for people, or its facts for programs. */
export function done(
  terminal: Terminal,
  { json }: Pick<OutputOptions, "json">,
  sentence: string,
  facts: Readonly<Record<string, unknown>>,
): void {
  // As protojson has numbers of 64 bits.
  const plain = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
  if (json === true) terminal.out(`${JSON.stringify(facts, plain)}\n`);
  else terminal.err(`${sentence}\n`);
}

/** Each call carries the key. */
export function withKey(key: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
}

/**
 * A connection that is gone without a word (a laptop that slept, a gateway that forgot it) is noticed within 20 s by a
 * ping that nobody answers; what is open over it then fails with UNAVAILABLE.
 */
const PINGS: Pings = { pingIntervalMs: 10_000, pingTimeoutMs: 10_000 };

export type Pings = Required<Pick<Http2SessionOptions, "pingIntervalMs" | "pingTimeoutMs">>;

/** Runs `use` with a connection whose calls carry the key, and ends the connection. */
export async function connected<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (transport: Transport) => Promise<T>,
  pings = PINGS,
): Promise<T> {
  const key = options.key ?? terminal.settings().clientKey;
  if (key === undefined)
    throw new CommandFailed("needs a key: set PASSBUS_KEY, or say --key", { exitCode: EXIT.usage });
  const url = options.url ?? terminal.settings().clientUrl ?? LOCAL_URL;
  if (!/^https?:\/\//.test(url))
    throw new CommandFailed("--url: must begin with http:// or https://", { exitCode: EXIT.usage });
  const ending = new AbortController();
  // As any option of `net.connect` (node:http2); its type knows fewer.
  const sockets: ClientSessionOptions & Pick<SocketConstructorOpts, "signal"> = { signal: ending.signal };
  const sessionManager = new Http2SessionManager(url, pings, sockets);
  try {
    return await use(createGrpcTransport({ baseUrl: url, sessionManager, interceptors: [withKey(key)] }));
  } finally {
    // An idle connection would keep the process; so would one to a host that drops packets, for minutes, which the
    // manager can't end before it stands.
    sessionManager.abort();
    ending.abort();
  }
}
