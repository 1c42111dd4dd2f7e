import { isIP, type LookupFunction, Socket } from "node:net";
import { buildConnector, errors } from "undici";
import type { ConnectionTls } from "../../domain/connection-tls.ts";
import { isAllowedAddress, type NetworkSet } from "../../kernel/addresses.ts";
import { CodedError } from "../../kernel/errors.ts";
import { refusedAddress } from "../../kernel/url.ts";
import type { Line } from "./line.ts";
import { type OutboundProxy, openTunnel } from "./proxy.ts";
import type { ResolveHost } from "./resolver.ts";

export interface ConnectorOptions {
  readonly allowedNetworks: NetworkSet;
  readonly resolve: ResolveHost;
  readonly connectTimeoutMs: number;
  /** Certificate authorities to trust instead of Node's own, in PEM. */
  readonly ca?: string | undefined;
  /** What these connections trust in place of `ca`, and what they show. */
  readonly tls?: ConnectionTls | undefined;
  /** Webhooks leave through it. */
  readonly proxy?: OutboundProxy | undefined;
  /** The address of this machine that connections leave from. */
  readonly egressAddress?: string | undefined;
  /** Is shown each socket as it begins to connect. */
  readonly watch?: (socket: Socket) => void;
}

/** Undici's, which tells a line of the connection that it makes for it. */
export type GuardedConnector = (target: buildConnector.Options, callback: buildConnector.Callback, line?: Line) => void;

/**
 * The guard at the door: makes undici's connections, to allowed addresses alone. Each connection resolves its host anew
 * and connects to an address that was checked in that very answer, so a name that turns to another address between two
 * looks (DNS rebinding) gains nothing. A kept-alive connection stays with the address it was made to.
 */
export function guardedConnector(options: ConnectorOptions): GuardedConnector {
  const { allowedNetworks, resolve, connectTimeoutMs, tls, watch, proxy, egressAddress } = options;
  const ca = tls?.ca ?? options.ca;
  const client = tls?.client;
  const lookup = guardedLookup(resolve, allowedNetworks);
  const connect = buildConnector({
    // HTTP/1.1 alone: one slow response can't hold up others on its connection.
    allowH2: false,
    timeout: connectTimeoutMs,
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED can't switch it off.
    rejectUnauthorized: true,
    // Likewise, against --tls-min-v1.0.
    minVersion: "TLSv1.2",
    lookup,
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined ? {} : { cert: client.certificates, key: client.key }),
  });
  return (target, callback, line) => {
    line?.begin();
    // An address literal is never looked up.
    if (isIP(target.hostname) !== 0 && !isAllowedAddress(target.hostname, allowedNetworks)) {
      queueMicrotask(() => callback(refused(target.hostname), null));
      return;
    }
    const connected: buildConnector.Callback = (...[error, socket]) => {
      if (error !== null) return callback(withoutAddress(error, target), null);
      socket.on("error", (reason) => noteReuse(reason, socket));
      return callback(null, socket);
    };
    const dialled = egressAddress === undefined ? target : { ...target, localAddress: egressAddress };
    if (proxy !== undefined) {
      tunnelled(dialled, proxy, lookup, connectTimeoutMs).then(
        (socket) => {
          line?.tunnelled();
          if (target.protocol !== "https:") return connected(null, socket);
          const begun: unknown = connect({ ...dialled, httpSocket: socket }, connected);
          if (begun instanceof Socket) line?.watchTls(begun);
        },
        (error) => callback(error, null),
      );
      return;
    }
    // undici 8.12 answers the socket, which its types don't say.
    const begun: unknown = connect(dialled, connected);
    if (!(begun instanceof Socket)) return;
    watch?.(begun);
    line?.watch(begun);
  };
}

/** The way through the proxy, to an address that is looked up and checked here. */
async function tunnelled(
  target: buildConnector.Options,
  proxy: OutboundProxy,
  lookup: LookupFunction,
  timeoutMs: number,
): Promise<Socket> {
  const { hostname, protocol, localAddress } = target;
  const port = Number(target.port || (protocol === "https:" ? 443 : 80));
  const address = isIP(hostname) === 0 ? await firstAddress(hostname, lookup) : hostname;
  return openTunnel(proxy, { address, port }, { timeoutMs, localAddress: localAddress ?? undefined });
}

function firstAddress(hostname: string, lookup: LookupFunction): Promise<string> {
  return new Promise((resolve, reject) => {
    lookup(hostname, {}, (error, address) => {
      if (error === null && typeof address === "string") resolve(address);
      else reject(error ?? refused(hostname));
    });
  });
}

/** Answers node:net with the allowed addresses of a name; where it has none but forbidden ones, it is refused. */
export function guardedLookup(resolve: ResolveHost, allowed: NetworkSet): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (addresses) => {
        const good = addresses.filter((address) => isAllowedAddress(address, allowed));
        const [first] = good;
        if (first === undefined) return callback(refused(`every address that ${host} resolves to`), []);
        if (options.all !== true) return callback(null, first, isIP(first));
        return callback(
          null,
          good.map((address) => ({ address, family: isIP(address) })),
        );
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

function refused(address: string): CodedError {
  return new CodedError("guard.refused", `the endpoint ${refusedAddress(address)}`);
}

/**
 * Of a connection that did not come about, in the words of the endpoint's URL. Node's and undici's name the addresses
 * that the host resolved to and the one that was to be left from, which are not for its owner to learn.
 */
function withoutAddress(error: Error, { hostname, port, protocol }: buildConnector.Options): Error {
  const isOfSocket = "syscall" in error && (error.syscall === "connect" || error.syscall === "bind");
  const isLate = error instanceof errors.ConnectTimeoutError;
  if (!isOfSocket && !isLate && !(error instanceof AggregateError)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "failed";
  const authority = `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
  const message = isLate ? `no connection to ${authority} in time` : `connect ${code} ${authority}`;
  return Object.assign(new Error(message, { cause: error }), { code });
}

const reused = new WeakSet<Error>();

function noteReuse(error: Error, socket: Socket): void {
  if (socket.bytesRead > 0) reused.add(error);
}

/** Did the error end a connection that had brought an earlier response? Such a one the receiver may just have dropped. */
export function endedReusedConnection(error: Error): boolean {
  return reused.has(error);
}
