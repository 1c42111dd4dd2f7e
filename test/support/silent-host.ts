/** A host that drops packets, as far as who connects can tell: its queue of connections is full, and nobody accepts any. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually } from "./within.ts";

/** Listens, says where, and does nothing more. */
const LISTENER = `
  require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    process.stdout.write(String(this.address().port) + "\\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
/** A connection that stands does so at once. */
const STANDS_MS = 300;
const LIMIT_MS = 10_000;

export class SilentHost implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #waiting: readonly Socket[];

  private constructor(port: number, child: ChildProcess, waiting: readonly Socket[]) {
    this.port = port;
    this.#child = child;
    this.#waiting = waiting;
  }

  static async start(): Promise<SilentHost> {
    const child = spawn(process.execPath, ["-e", LISTENER], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout, "data");
    const port = Number(String(line));
    const waiting: Socket[] = [];
    await eventually(LIMIT_MS, "a full queue of connections", async () => {
      const socket = connect({ port, host: "127.0.0.1" }).on("error", () => {});
      waiting.push(socket);
      const stands = await Promise.race([
        once(socket, "connect").then(() => true),
        new Promise<false>((resolve) => setTimeout(resolve, STANDS_MS, false)),
      ]);
      return stands ? undefined : true;
    });
    return new SilentHost(port, child, waiting);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#waiting) socket.destroy();
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
