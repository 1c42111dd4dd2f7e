import { once } from "node:events";
import { connect, isIPv6, type Socket } from "node:net";

/** An HTTP proxy that webhooks leave through (RFC 9110 §9.3.6). */
export interface OutboundProxy {
  readonly host: string;
  readonly port: number;
  /** The value of `proxy-authorization`. */
  readonly authorization?: string;
}

export interface TunnelTarget {
  /** An address that the guard has checked, never a name: the proxy would resolve it once more, and otherwise. */
  readonly address: string;
  readonly port: number;
}

export interface TunnelOptions {
  /** For the connection to the proxy and its answer. */
  readonly timeoutMs: number;
  /** The address of this machine that connections leave from. */
  readonly localAddress?: string | undefined;
}

/**
 * The proxy did not make the connection: the endpoint is as unreachable as without one. Its owner sees the message, which
 * names no address: where the proxy is, is the operator's. The socket's own error is its cause, and gives it its code.
 */
export class ProxyRefused extends Error {
  override readonly name = "ProxyRefused";
  readonly code: string | undefined;

  constructor(message: string, options: ErrorOptions & { readonly code?: string } = {}) {
    super(message, options);
    this.code = options.code;
  }
}

/** Of an answer's head. What is longer is no proxy's. */
const MOST_HEAD_BYTES = 16 * 1_024;
const HEAD_END = "\r\n\r\n";

/** A connection through the proxy to the target: what is written goes there, unread. */
export async function openTunnel(proxy: OutboundProxy, target: TunnelTarget, options: TunnelOptions): Promise<Socket> {
  const { timeoutMs, localAddress } = options;
  const socket = connect({
    host: proxy.host,
    port: proxy.port,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  const late = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, "connect", { signal: late });
    const authority = `${isIPv6(target.address) ? `[${target.address}]` : target.address}:${target.port}`;
    const authorization = proxy.authorization === undefined ? "" : `proxy-authorization: ${proxy.authorization}\r\n`;
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${authorization}\r\n`);
    const head = await headOf(socket, late);
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
    if (status?.startsWith("2") !== true) {
      throw new ProxyRefused(status === undefined ? "the proxy's answer is no HTTP" : `the proxy answered ${status}`);
    }
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof ProxyRefused) throw error;
    if (late.aborted) throw new ProxyRefused(`the proxy made no connection within ${timeoutMs} ms`, { cause: error });
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new ProxyRefused(`the connection to the proxy failed (${code})`, { cause: error, code });
  }
}

/** Reads up to the end of the head and leaves the rest in the socket. */
async function headOf(socket: Socket, signal: AbortSignal): Promise<string> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(HEAD_END);
      if (end >= 0) {
        const rest = head.subarray(end + HEAD_END.length);
        if (rest.length > 0) socket.unshift(rest);
        return head.toString("latin1", 0, end);
      }
      if (head.length > MOST_HEAD_BYTES) throw new ProxyRefused("the proxy's answer has no end");
      continue;
    }
    if (socket.readableEnded) throw new ProxyRefused("the proxy closed the connection");
    await Promise.race([once(socket, "readable", { signal }), once(socket, "end", { signal })]);
  }
}
