/**
 * Typed calls from the bench to the processes that it starts, over Node's IPC channel. A process ends when it is told,
 * when it dies, or when the bench is gone: none stays behind.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** The methods of a process: each takes one structured-cloneable argument. */
type CallTable<C> = { readonly [M in keyof C]: (argument: never) => unknown };
type Argument<F> = F extends (argument: infer A) => unknown ? A : never;
type Result<F> = F extends (argument: never) => infer R ? Awaited<R> : never;

type Ask = readonly [id: number, method: string, argument: unknown];
type Answer = readonly [id: number, ok: boolean, value: unknown];

/** How long a process may take to end once its channel is closed, before it is killed. */
const STOP_WITHIN_MS = 15_000;

/** On the clock that all processes of the machine share (CLOCK_MONOTONIC), so that times of two may be subtracted. */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / 1_000_000;
}

/** Rejects with `what` if the promise takes longer. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} took longer than ${timeoutMs / 1_000} s`)), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export class BenchProcess<C extends CallTable<C>> {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** `nodeOptions` reach the process's worker threads too, which `execArgv` doesn't. */
  constructor(name: string, script: URL, nodeOptions = "") {
    this.name = name;
    this.#child = fork(script, {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      env: { ...process.env, NODE_OPTIONS: nodeOptions },
      serialization: "advanced",
      // The bench's standard output is its report alone.
      stdio: ["ignore", 2, 2, "ipc"],
    });
    this.#child.on("message", ([id, ok, value]: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (ok) waiting?.resolve(value);
      else waiting?.reject(new Error(`${name}: ${String(value)}`));
    });
    this.#child.once("exit", (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the ${name} process ended (${signal ?? code})`));
      this.#waiting.clear();
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  call<M extends keyof C & string>(method: M, argument: Argument<C[M]>): Promise<Result<C[M]>> {
    const id = ++this.#calls;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const ask: Ask = [id, method, argument];
    if (this.#child.connected) this.#child.send(ask);
    else answer.reject(new Error(`the ${this.name} process is gone`));
    // The other side's table has the same types: both are C.
    return answer.promise as Promise<Result<C[M]>>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), STOP_WITHIN_MS);
    if (this.#child.connected) this.#child.disconnect();
    await ended;
    clearTimeout(kill);
  }
}

/** The other side: answers calls until the bench closes the channel, then runs `close` and ends. */
export function serveBench<C extends CallTable<C>>(handlers: C, close: () => Promise<void> | void): void {
  const answer = async ([id, method, argument]: Ask): Promise<void> => {
    let message: Answer;
    try {
      // Asks come from `call` alone, which is typed by the same table.
      const handler = handlers[method as keyof C] as unknown as (argument: unknown) => unknown;
      message = [id, true, await handler(argument)];
    } catch (error) {
      message = [id, false, error instanceof Error ? (error.stack ?? error.message) : error];
    }
    if (process.connected) process.send?.(message);
  };
  process.on("message", (ask: Ask) => void answer(ask));
  process.once("disconnect", () => {
    void Promise.resolve(close()).finally(() => process.exit());
  });
}
