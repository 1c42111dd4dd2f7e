/** Real servers that receive webhooks, well-behaved and otherwise. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: () => number;
  /** Resolves when a connection has ended, counted from now. */
  readonly closed: () => Promise<void>;
  /** Cuts all connections, as a restart does. */
  readonly cut: () => void;
}

export function httpServer(listener: RequestListener): Promise<TestServer> {
  return listening(createServer(listener), "connection");
}

export function httpsServer(tls: ServerOptions, listener: RequestListener): Promise<TestServer> {
  return listening(createTlsServer(tls, listener), "connection");
}

/** Says what it likes to whoever connects. */
export function tcpServer(onConnection: (socket: Socket) => void): Promise<TestServer> {
  return listening(createTcpServer(onConnection), "connection");
}

/** The request's body, complete. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function listening(server: Server, event: string): Promise<TestServer> {
  const open = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let accepted = 0;
  server.on(event, (socket: Socket) => {
    accepted += 1;
    open.add(socket);
    // A receiver that is cut off by us must not fail the test.
    socket.on("error", () => {});
    socket.on("close", () => {
      open.delete(socket);
      for (const resolve of waiting.splice(0)) resolve();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: address.port,
    connections: () => accepted,
    closed: () => new Promise((resolve) => waiting.push(resolve)),
    cut,
    async [Symbol.asyncDispose]() {
      server.close();
      cut();
      await once(server, "close");
    },
  };
}
