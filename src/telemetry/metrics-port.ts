/** `/metrics` on an address of its own: Prometheus asks without a key, and so it is not for the world. */
import { createServer, type Server } from "node:http";

/** What Prometheus asks for (text format 0.0.4). */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const CONNECTIONS = 32;
const REQUEST_MS = 10_000;

export interface MetricsPort {
  /** `http://host:port`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Rejects with the error of listening. `read` is asked for each request; where it rejects, the answer is 503. */
export async function openMetricsPort(
  listen: { readonly host: string; readonly port: number },
  read: () => Promise<string>,
): Promise<MetricsPort> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    const path = request.url?.split("?", 1)[0];
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path !== "/metrics" || !isRead) {
      response.writeHead(path === "/metrics" ? 405 : 404).end();
      return;
    }
    read().then(
      (text) => response.writeHead(200, { "content-type": CONTENT_TYPE }).end(request.method === "HEAD" ? "" : text),
      () => response.writeHead(503).end(),
    );
  });
  server.maxConnections = CONNECTIONS;
  await listening(server, listen);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : listen.port;
  const name = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return {
    url: `http://${name}:${port}`,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listening(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
