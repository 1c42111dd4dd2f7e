/** The owner's side of a receiver that runs in a process of its own (sink-process.ts). */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Answer, Receipt, SinkCommand, SinkMessage } from "./sink-wire.ts";
import { within } from "./within.ts";

export class Sink implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #calls = new Map<number, (receipts: readonly Receipt[]) => void>();
  #lastCall = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
    child.on("message", (message) => this.#hear(message as SinkMessage));
  }

  static async start(): Promise<Sink> {
    const child = fork(new URL("./sink-process.ts", import.meta.url), {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      serialization: "advanced",
    });
    const [message] = (await within(10_000, "the sink's port", once(child, "message"))) as [SinkMessage];
    if (!("port" in message)) throw new Error("the sink said something else before its port");
    return new Sink(child, message.port);
  }

  /** Where a path of the sink is, for a subscription. */
  url(path: string): string {
    return `http://127.0.0.1:${this.#port}${path}`;
  }

  async answer(path: string, answer: Answer): Promise<void> {
    await this.#call({ kind: "answer", path, answer }, 5_000);
  }

  /** What webhooks to this path are verified with from now on. */
  async expectSecrets(path: string, ...secrets: readonly string[]): Promise<void> {
    await this.#call({ kind: "secrets", path, secrets }, 5_000);
  }

  async release(path: string): Promise<void> {
    await this.#call({ kind: "release", path }, 5_000);
  }

  /** Every request so far, in the order in which they came, less the first `from`. */
  receipts(from = 0): Promise<readonly Receipt[]> {
    return this.#call({ kind: "receipts", from }, 10_000);
  }

  async receiptsAt(path: string): Promise<readonly Receipt[]> {
    return (await this.receipts()).filter((receipt) => receipt.path === path);
  }

  /**
   * Resolves when nobody is connected any more: what somebody who died had sent has been read then, and is a receipt. On a
   * busy machine it may lie unread for as long as a start takes.
   */
  async left(): Promise<void> {
    await this.#call({ kind: "left" }, 10_000);
  }

  /** Resolves when each path has `webhooks` different ones. */
  async reach(paths: readonly string[], webhooks: number, limitMs: number): Promise<void> {
    await this.#call({ kind: "reach", paths, webhooks }, limitMs);
  }

  /** Resolves when the path has accepted so many different webhooks. */
  async accepted(path: string, webhooks: number, limitMs: number): Promise<void> {
    await this.#call({ kind: "accepted", path, webhooks }, limitMs);
  }

  /** Resolves when the path has had so many requests, repeats counted; the requests of that path. */
  async requests(path: string, requests: number, limitMs: number): Promise<readonly Receipt[]> {
    await this.#call({ kind: "requests", path, requests }, limitMs);
    return this.receiptsAt(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #call(command: SinkCommand, limitMs: number): Promise<readonly Receipt[]> {
    const call = ++this.#lastCall;
    const answered = new Promise<readonly Receipt[]>((resolve) => this.#calls.set(call, resolve));
    this.#child.send({ call, command });
    return within(limitMs, `the sink's answer to ${JSON.stringify(command).slice(0, 200)}`, answered);
  }

  #hear(message: SinkMessage): void {
    if (!("call" in message)) return;
    this.#calls.get(message.call)?.(message.receipts);
    this.#calls.delete(message.call);
  }
}
