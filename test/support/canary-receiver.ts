/** The receiver of the canary's run: every way to end an attempt, and canaries in what it answers. */
import { hash } from "node:crypto";
import { canary } from "./canary.ts";
import { bodyOf, httpServer, type TestServer } from "./receiver.ts";

/** Answers each path in its own way, with a canary in headers and body, and counts. */
export class CanaryReceiver implements AsyncDisposable {
  readonly seen = new Map<string, number>();
  /** SHA-256 of every body that came, in hex: who has a guess at a payload can check it with one. */
  readonly hashes = new Set<string>();
  readonly #server: TestServer;

  private constructor(server: TestServer) {
    this.#server = server;
  }

  static async start(): Promise<CanaryReceiver> {
    const statuses: Readonly<Record<string, number>> = { "/failing": 500, "/gone": 410, "/moved": 302, "/teapot": 418 };
    const server = await httpServer(async (request, response) => {
      receiver.hashes.add(hash("sha256", await bodyOf(request), "hex"));
      const path = (request.url ?? "").split("?")[0] ?? "";
      if (path === "/broken") {
        receiver.#note(path);
        response.destroy();
        return;
      }
      response.writeHead(statuses[path] ?? 200, {
        location: `https://${canary("location")}.example/`,
        "x-from-receiver": canary("response-header"),
        "set-cookie": canary("cookie"),
      });
      response.end(canary("response-body"), () => receiver.#note(path));
    });
    const receiver = new CanaryReceiver(server);
    return receiver;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#server.port}${path}?token=${canary("query")}`;
  }

  #note(path: string): void {
    this.seen.set(path, (this.seen.get(path) ?? 0) + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}
